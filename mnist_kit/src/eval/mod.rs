//! What a trained model gets right and wrong.

mod confusion;
mod evaluation;
mod prediction;

pub use confusion::ConfusionMatrix;
pub use evaluation::{Evaluation, evaluate};
pub use prediction::{Prediction, Samples};
