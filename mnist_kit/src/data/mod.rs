//! Where images and labels come from, and how they reach the model in batches.

mod batches;
mod split;

pub use batches::{Batches, Epoch};
pub use split::{ClassCounts, Split};
