//! Training: the history of a run.

mod history;

pub use history::{EpochRecord, History};
