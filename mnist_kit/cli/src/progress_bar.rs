//! Progress of a training run in a terminal.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mnist_kit::table::percent;
use mnist_kit::train::{BatchRecord, EpochRecord, Progress, Report};

/// Shows a bar during each epoch and prints a line after it.
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
                "loss {:.4}, accuracy {}",
                progress.mean_loss()?,
                percent(progress.accuracy()?)
            ));
        }
        self.bar.inc(1);
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, num_epochs: usize) -> Result<()> {
        self.bar.finish_and_clear();
        let measured = |name, accuracy: Option<f64>| {
            accuracy.map_or(String::new(), |accuracy| format!(", {name} {}", percent(accuracy)))
        };
        println!(
            "Epoch {}/{num_epochs}: loss {:.4}, train {}{}{}, {:.1} s",
            record.epoch,
            record.train_loss,
            percent(record.train_accuracy),
            measured("validation", record.val_accuracy),
            measured("test", record.test_accuracy),
            record.seconds
        );
        Ok(())
    }
}
