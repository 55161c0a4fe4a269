//! Training: losses, optimizers with their state in the open, schedules, the training loop, and the
//! history and the record of a run.

mod bar;
mod checkpoint;
mod fit;
mod history;
mod identity;
mod loss;
mod optimizer;
mod progress;
mod record;
mod report;
mod schedule;
mod speed_record;

pub use fit::{Fit, fit};
pub use history::{EpochRecord, History, Measure};
pub use loss::Loss;
pub use optimizer::{Adam, AdamW, Optimizer, OptimizerConfig, Sgd};
pub use progress::{BatchRecord, Progress};
pub use record::{RunRecord, runs_table};
pub use report::{PrintLines, Report, Silent};
pub use schedule::{Moment, Schedule, Unit};
pub use speed_record::{SpeedRecord, SpeedRun};
