//! Progress of a training run in a terminal.

use crate::record::Recorder;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mnist_kit::table::percent;
use mnist_kit::train::{BatchRecord, EpochRecord, History, Progress, Report};

/// Shows a bar during each epoch and prints a line after it, which goes into the record too.
pub struct EpochBar {
    bar: ProgressBar,
    recorder: Option<Recorder>,
}

impl EpochBar {
    pub fn new() -> Result<EpochBar> {
        let style = "{prefix} [{bar:32}] {pos}/{len} batches, {eta} left  {msg}";
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
        Ok(EpochBar { bar, recorder: None })
    }

    /// Keeps a record of the run.
    pub fn record(self, recorder: Option<Recorder>) -> EpochBar {
        EpochBar { recorder, ..self }
    }
}

/// The line that is printed after an epoch.
fn line(record: &EpochRecord, num_epochs: usize) -> String {
    let measured = |name, accuracy: Option<f64>| {
        accuracy.map_or(String::new(), |accuracy| format!(", {name} {}", percent(accuracy)))
    };
    format!(
        "Epoch {}/{num_epochs}: loss {:.4}, train {}{}{}, {:.1} s",
        record.epoch,
        record.train_loss,
        percent(record.train_accuracy),
        measured("validation", record.val_accuracy),
        measured("test", record.test_accuracy),
        record.seconds
    )
}

impl Report for EpochBar {
    fn start(&mut self, history: &History, num_epochs: usize) -> Result<()> {
        match &mut self.recorder {
            Some(recorder) => {
                recorder.start(history, num_epochs, |record| line(record, num_epochs))
            }
            None => Ok(()),
        }
    }

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
        let line = line(record, num_epochs);
        println!("{line}");
        match &mut self.recorder {
            Some(recorder) => recorder.epoch(record, &line),
            None => Ok(()),
        }
    }
}
