//! What a running fit tells, and where to.

use super::{BatchRecord, EpochRecord, Progress};
use crate::Result;

/// Hears of every batch and every epoch of a [`fit`](super::fit).
///
/// An error ends the run.
pub trait Report {
    /// After each batch.
    fn batch(&mut self, _record: &BatchRecord, _progress: &Progress) -> Result<()> {
        Ok(())
    }

    /// After each epoch, testing included.
    fn epoch(&mut self, _record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        Ok(())
    }
}

/// Tells nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Report for Silent {}

/// Prints whole lines, for terminals and notebooks alike: lesson 1's lines.
#[derive(Clone, Copy, Debug)]
pub struct PrintLines {
    /// Batches between two lines; 0 prints epochs only.
    pub every: usize,
}

impl Default for PrintLines {
    /// A line every 100 batches.
    fn default() -> PrintLines {
        PrintLines { every: 100 }
    }
}

impl Report for PrintLines {
    fn batch(&mut self, record: &BatchRecord, progress: &Progress) -> Result<()> {
        if record.every(self.every) {
            let BatchRecord { epoch, num_epochs, batch, num_batches } = record;
            let (loss, accuracy) = (progress.mean_loss()?, 100.0 * progress.accuracy()?);
            println!("Epoch [{epoch}/{num_epochs}], Batch [{batch}/{num_batches}]");
            println!("  Loss: {loss:.4}, Train Acc: {accuracy:.2}%");
        }
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, num_epochs: usize) -> Result<()> {
        println!("Epoch [{}/{num_epochs}] done in {:.1} s:", record.epoch, record.seconds);
        println!("  Mean loss: {:.4}", record.train_loss);
        println!("  Train accuracy: {:.2}%", 100.0 * record.train_accuracy);
        if let Some(accuracy) = record.test_accuracy {
            println!("  Test accuracy: {:.2}%", 100.0 * accuracy);
        }
        println!("{}", "-".repeat(60));
        Ok(())
    }
}
