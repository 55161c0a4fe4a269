//! Where images and labels come from, and how they reach the model in batches.

mod split;

pub use split::{ClassCounts, Split};
