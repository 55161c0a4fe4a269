//! Reporters of a run's progress.

use super::{BatchRecord, EpochRecord, History, Progress};
use crate::Result;
use crate::table::percent;

/// Receives the progress of a [`fit`](super::fit) after each batch and each epoch.
///
/// An error from any method ends the run with that error.
///
/// ```
/// use mnist_kit::train::{EpochRecord, Report};
///
/// struct Costs;
///
/// impl Report for Costs {
///     fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> anyhow::Result<()> {
///         println!("[Epoch: {:>4}] cost = {}", record.epoch, record.train_loss);
///         Ok(())
///     }
/// }
/// ```
pub trait Report {
    /// Called before the first batch with the epochs that a checkpoint has restored.
    fn start(&mut self, _history: &History, _num_epochs: usize) -> Result<()> {
        Ok(())
    }

    /// Called after each batch.
    fn batch(&mut self, _record: &BatchRecord, _progress: &Progress) -> Result<()> {
        Ok(())
    }

    /// Called after each epoch, when validation and test have been measured.
    fn epoch(&mut self, _record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        Ok(())
    }
}

/// Prints nothing. In a notebook with live output, a progress bar still shows the batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Report for Silent {}

/// Prints lesson 1's lines during and after each epoch.
#[derive(Clone, Copy, Debug)]
pub struct PrintLines {
    /// Number of batches between two lines; 0 prints epochs only.
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
            let (loss, accuracy) = (progress.mean_loss()?, percent(progress.accuracy()?));
            println!("Epoch [{epoch}/{num_epochs}], Batch [{batch}/{num_batches}]");
            println!("  Loss: {loss:.4}, Train Acc: {accuracy}");
        }
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, num_epochs: usize) -> Result<()> {
        println!("Epoch [{}/{num_epochs}] done in {:.1} s:", record.epoch, record.seconds);
        println!("  Mean loss: {:.4}", record.train_loss);
        println!("  Train accuracy: {}", percent(record.train_accuracy));
        if let Some(accuracy) = record.val_accuracy {
            println!("  Validation accuracy: {}", percent(accuracy));
        }
        if let Some(accuracy) = record.test_accuracy {
            println!("  Test accuracy: {}", percent(accuracy));
        }
        println!("{}", "-".repeat(60));
        Ok(())
    }
}
