//! Metrics and predictions of a trained model.

mod calibration;
mod confusion;
mod evaluation;
mod grad_cam;
mod multi_label;
mod prediction;
mod test_record;

pub use calibration::{Bin, Bins, Reliability};
pub use confusion::ConfusionMatrix;
pub use evaluation::{Evaluation, evaluate};
pub use grad_cam::grad_cam;
pub use multi_label::{average_precisions, f1_scores};
pub use prediction::{Prediction, Samples};
pub use test_record::TestRecord;
