//! What a trained model gets right and wrong.

mod confusion;
mod prediction;

pub use confusion::ConfusionMatrix;
pub use prediction::Prediction;
