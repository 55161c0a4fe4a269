//! Training: optimisers in the open, the fit loop, and the history of a run.

mod checkpoint;
mod fit;
mod history;
mod loss;
mod optimizer;
mod progress;
mod report;
mod schedule;

pub use fit::{Fit, fit};
pub use history::{EpochRecord, History};
pub use loss::Loss;
pub use optimizer::{Adam, AdamW, Optimizer, OptimizerConfig, Sgd};
pub use progress::{BatchRecord, Progress};
pub use report::{CostLines, EpochLines, LossLines, PrintLines, Report, Silent};
pub use schedule::{Moment, Schedule, Unit};
