//! What a running fit tells, and where to.

use super::{BatchRecord, EpochRecord, Progress};
use crate::Result;

/// Hears of every batch and every epoch of a [`fit`](super::fit).
///
/// An error ends the run.
pub trait Report {
    /// After each batch.
    ///
    /// # Errors
    /// What the report has to say against going on: the run ends with it.
    fn batch(&mut self, _record: &BatchRecord, _progress: &Progress) -> Result<()> {
        Ok(())
    }

    /// After each epoch, testing included.
    ///
    /// # Errors
    /// As for [`batch`](Report::batch).
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

/// Prints lesson 2's lines: seconds, and loss and accuracy on both sets, after each epoch.
///
/// The source divides its losses by the number of images instead of batches, so its numbers are
/// smaller by the batch size.
#[derive(Clone, Copy, Debug, Default)]
pub struct EpochLines;

impl EpochLines {
    fn lines(record: &EpochRecord) -> String {
        // The source counts its epochs from 0.
        let mut lines =
            format!("===== {} ====\nelaps: {:.1} sec", record.epoch - 1, record.seconds);
        let mut add = |set, loss, accuracy| {
            lines.push_str(&format!("\n[{set}] loss: {loss:.4}, acc: {accuracy:.3}"));
        };
        add("train", record.train_loss, record.train_accuracy);
        if let (Some(loss), Some(accuracy)) = (record.test_loss, record.test_accuracy) {
            add("test", loss, accuracy);
        }
        lines
    }
}

impl Report for EpochLines {
    fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        println!("{}", EpochLines::lines(record));
        Ok(())
    }
}

/// Prints lesson 3's line after each epoch: the mean cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct CostLines;

impl CostLines {
    fn line(record: &EpochRecord) -> String {
        format!("[Epoch: {:>4}] cost = {}", record.epoch, nine_digits(record.train_loss))
    }
}

impl Report for CostLines {
    fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        println!("{}", CostLines::line(record));
        Ok(())
    }
}

/// Nine significant digits, which is what Python's `{:>.9}` prints of a cost above 1e-4.
fn nine_digits(cost: f64) -> String {
    let decimals = (8.0 - cost.abs().log10().floor()).clamp(0.0, 20.0) as usize;
    let digits = format!("{cost:.decimals$}");
    if digits.contains('.') { digits.trim_end_matches('0').to_string() } else { digits }
}

/// Prints lesson 4's lines: the loss of the first batch and of every hundredth after it, and the test
/// accuracy after each epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossLines;

impl LossLines {
    fn line(record: &BatchRecord, loss: f64) -> Option<String> {
        // The source counts its batches from 0.
        let index = record.batch - 1;
        index.is_multiple_of(100).then(|| {
            format!("Epoch {} [{index}/{}] Loss: {loss:.4}", record.epoch, record.num_batches)
        })
    }
}

impl Report for LossLines {
    fn batch(&mut self, record: &BatchRecord, progress: &Progress) -> Result<()> {
        if let Some(line) = LossLines::line(record, progress.last_loss()?) {
            println!("{line}");
        }
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        if let Some(accuracy) = record.test_accuracy {
            println!("Test Accuracy: {:.2}%", 100.0 * accuracy);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_sources() {
        let record = EpochRecord {
            epoch: 1,
            train_loss: 0.225939184,
            train_accuracy: 0.9301,
            test_loss: Some(0.0631),
            test_accuracy: Some(0.98),
            seconds: 12.34,
        };
        assert_eq!(CostLines::line(&record), "[Epoch:    1] cost = 0.225939184");
        // As Python prints them.
        for (cost, text) in [
            (0.063098251819611, "0.0630982518"),
            (0.009888708591461, "0.00988870859"),
            (2.30258512, "2.30258512"),
            (0.125, "0.125"),
        ] {
            assert_eq!(nine_digits(cost), text);
        }
        assert_eq!(
            EpochLines::lines(&record),
            "===== 0 ====\nelaps: 12.3 sec\n[train] loss: 0.2259, acc: 0.930\n[test] loss: 0.0631, acc: 0.980"
        );
        let batch = |batch| BatchRecord { epoch: 1, num_epochs: 9, batch, num_batches: 938 };
        let line = LossLines::line(&batch(101), 0.16904);
        assert_eq!(line.as_deref(), Some("Epoch 1 [100/938] Loss: 0.1690"));
        assert_eq!(LossLines::line(&batch(100), 0.1), None);
    }
}
