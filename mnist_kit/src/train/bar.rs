//! The progress bar of a training run.

use super::{BatchRecord, Progress};
use crate::Result;
use crate::runtime::ProgressBar;
use crate::table::percent;

/// Shows the batches of all epochs.
#[derive(Default)]
pub(super) struct FitBar {
    /// Made at the first batch, whose number tells where a resumed run begins.
    bar: Option<ProgressBar>,
}

impl FitBar {
    /// Counts a batch.
    pub(super) fn batch(&mut self, record: &BatchRecord, progress: &Progress) -> Result<()> {
        let &BatchRecord { epoch, num_epochs, batch, num_batches } = record;
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::new("fit", num_epochs * num_batches)
                .unit("batches")
                .from((epoch - 1) * num_batches)
        });
        // Reading the loss makes a GPU wait.
        if bar.is_due() || bar.is_live() && batch == num_batches {
            bar.note(format!(
                "epoch {epoch} of {num_epochs}, loss {:.4}, accuracy {}",
                progress.mean_loss()?,
                percent(progress.accuracy()?)
            ));
        }
        bar.advance(1);
        Ok(())
    }
}
