//! How a fit shows itself in a terminal.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mnist_kit::train::{BatchRecord, EpochRecord, Progress, Report};

/// A bar that runs through each epoch, and a line for each epoch done.
pub struct EpochBar {
    bar: ProgressBar,
}

impl EpochBar {
    pub fn new() -> Result<EpochBar> {
        let style = "{prefix} [{bar:32}] {pos}/{len} batches, {eta} left  {msg}";
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
        Ok(EpochBar { bar })
    }
}

impl Report for EpochBar {
    fn batch(&mut self, record: &BatchRecord, progress: &Progress) -> Result<()> {
        if record.batch == 1 {
            self.bar.reset();
            self.bar.set_length(record.num_batches as u64);
            self.bar.set_prefix(format!("Epoch {}/{}", record.epoch, record.num_epochs));
        }
        if record.every(20) {
            self.bar.set_message(format!(
                "loss {:.4}, accuracy {:.2}%",
                progress.mean_loss()?,
                100.0 * progress.accuracy()?
            ));
        }
        self.bar.inc(1);
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, num_epochs: usize) -> Result<()> {
        self.bar.finish_and_clear();
        let test =
            record.test_accuracy.map_or(String::new(), |a| format!(", test {:.2}%", 100.0 * a));
        println!(
            "Epoch {}/{num_epochs}: loss {:.4}, train {:.2}%{test}, {:.1} s",
            record.epoch,
            record.train_loss,
            100.0 * record.train_accuracy,
            record.seconds
        );
        Ok(())
    }
}
