//! The numbers of a training run, epoch by epoch.

use super::Progress;
use crate::check::plain;
use crate::data::Batches;
use crate::model::Logits;
use crate::table::{Table, percent};
use crate::{Result, files};
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The numbers of one epoch.
///
/// Validation and test are `None` where the run had no such batches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean of the batch losses over the epoch.
    pub train_loss: f64,
    /// Fraction of training images classified correctly during the epoch, 0–1.
    pub train_accuracy: f64,
    /// Mean loss over the validation images after the epoch.
    pub val_loss: Option<f64>,
    /// Fraction of validation images classified correctly after the epoch, 0–1.
    pub val_accuracy: Option<f64>,
    /// Mean loss over the test images after the epoch.
    pub test_loss: Option<f64>,
    /// Fraction of test images classified correctly after the epoch, 0–1.
    pub test_accuracy: Option<f64>,
    /// Duration of the epoch in seconds, evaluation included.
    pub seconds: f64,
}

impl EpochRecord {
    /// The loss and accuracy of `logits`; an error where the loss is not finite.
    fn measure(set: &str, logits: &Logits) -> Result<(Option<f64>, Option<f64>)> {
        let loss = logits.loss()?;
        ensure!(
            loss.is_finite(),
            "the {set} loss is {loss}: training diverged; try a smaller learning rate"
        );
        Ok((Some(loss), Some(logits.accuracy()?)))
    }

    /// Refuses numbers that no epoch can have.
    fn check(&self) -> Result<()> {
        let finite = |value: f64| value.is_finite();
        let fraction = |value: f64| (0.0..=1.0).contains(&value);
        let fields = [
            ("train_loss", Some(self.train_loss), finite(self.train_loss)),
            ("train_accuracy", Some(self.train_accuracy), fraction(self.train_accuracy)),
            ("val_loss", self.val_loss, self.val_loss.is_none_or(finite)),
            ("val_accuracy", self.val_accuracy, self.val_accuracy.is_none_or(fraction)),
            ("test_loss", self.test_loss, self.test_loss.is_none_or(finite)),
            ("test_accuracy", self.test_accuracy, self.test_accuracy.is_none_or(fraction)),
            ("seconds", Some(self.seconds), finite(self.seconds) && self.seconds >= 0.0),
        ];
        for (name, value, fits) in fields {
            let expected = if name.ends_with("accuracy") { "0 to 1" } else { "a finite number" };
            ensure!(
                fits,
                "epoch {}: {name} is {}, expected {expected}",
                self.epoch,
                value.unwrap_or(f64::NAN)
            );
        }
        Ok(())
    }

    /// One of the epoch's measures; accuracies in percent.
    pub(crate) fn get(&self, measure: Measure) -> Option<f64> {
        let in_percent = |fraction: f64| 100.0 * fraction;
        match measure {
            Measure::TrainLoss => Some(self.train_loss),
            Measure::TrainAccuracy => Some(in_percent(self.train_accuracy)),
            Measure::ValLoss => self.val_loss,
            Measure::ValAccuracy => self.val_accuracy.map(in_percent),
            Measure::TestLoss => self.test_loss,
            Measure::TestAccuracy => self.test_accuracy.map(in_percent),
        }
    }
}

/// A measure of [`History::curve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Mean loss of the training batches.
    TrainLoss,
    /// Training accuracy in percent.
    TrainAccuracy,
    /// Validation loss.
    ValLoss,
    /// Validation accuracy in percent.
    ValAccuracy,
    /// Test loss.
    TestLoss,
    /// Test accuracy in percent.
    TestAccuracy,
}

/// The epochs of one run, in order.
///
/// A history shows itself as a table, [plots](History::plot) its curves, and is saved as JSON or
/// CSV.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    epochs: Vec<EpochRecord>,
    note: Option<String>,
}

impl History {
    /// Creates an empty history.
    pub fn new() -> History {
        History::default()
    }

    /// Creates an empty history that carries the [note](crate::data::Split::note) of the training
    /// images into its tables and figures.
    pub fn of(train: &Batches) -> History {
        History { epochs: Vec::new(), note: train.split().note().map(str::to_string) }
    }

    /// The note that tables and figures of this run show, see
    /// [`Split::note`](crate::data::Split::note).
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Adds the epoch that has just ended, without validation or test.
    ///
    /// # Errors
    /// When there was no batch, or the mean loss is not finite.
    ///
    /// ```
    /// use mnist_kit::train::{History, Progress};
    /// use tch::Tensor;
    ///
    /// let mut progress = Progress::new();
    /// let logits = Tensor::from_slice2(&[[2.0f32, 0.0]]);
    /// progress.batch(&Tensor::from(0.5f32), &logits, &Tensor::from_slice(&[0i64]))?;
    /// let mut history = History::new();
    /// assert_eq!(history.record(&progress)?.epoch, 1);
    /// assert_eq!(history.last()?.train_accuracy, 1.0);
    /// assert!(history.test_accuracy().is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn record(&mut self, progress: &Progress) -> Result<&EpochRecord> {
        self.record_measured(progress, None, None)
    }

    /// Adds the epoch that has just ended, with the model's predictions for the validation images.
    ///
    /// # Errors
    /// As for [`record`](History::record), also for the validation loss.
    pub fn record_validation(
        &mut self,
        progress: &Progress,
        validation: &Logits,
    ) -> Result<&EpochRecord> {
        self.record_measured(progress, Some(validation), None)
    }

    /// Adds the epoch that has just ended, with the model's predictions for the test images.
    ///
    /// # Errors
    /// As for [`record`](History::record), also for the test loss.
    pub fn record_test(&mut self, progress: &Progress, test: &Logits) -> Result<&EpochRecord> {
        self.record_measured(progress, None, Some(test))
    }

    pub(super) fn record_measured(
        &mut self,
        progress: &Progress,
        validation: Option<&Logits>,
        test: Option<&Logits>,
    ) -> Result<&EpochRecord> {
        let measure = |set: &str, logits: Option<&Logits>| {
            logits.map_or(Ok((None, None)), |logits| EpochRecord::measure(set, logits))
        };
        let (val_loss, val_accuracy) = measure("validation", validation)?;
        let (test_loss, test_accuracy) = measure("test", test)?;
        self.epochs.push(EpochRecord {
            epoch: self.epochs.len() + 1,
            train_loss: progress.mean_loss()?,
            train_accuracy: progress.accuracy()?,
            val_loss,
            val_accuracy,
            test_loss,
            test_accuracy,
            seconds: progress.seconds(),
        });
        Ok(&self.epochs[self.epochs.len() - 1])
    }

    /// Adds an epoch with these numbers.
    pub fn push(&mut self, record: EpochRecord) {
        self.epochs.push(record);
    }

    /// The epochs so far.
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.epochs
    }

    /// The last epoch, which is the result of the run.
    ///
    /// # Errors
    /// When no epoch has ended yet.
    pub fn last(&self) -> Result<EpochRecord> {
        self.epochs.last().cloned().context("the history has no epochs: train first")
    }

    /// Validation accuracy after the last epoch, 0–1.
    ///
    /// # Errors
    /// When no epoch has ended yet, or the run had no validation batches.
    pub fn val_accuracy(&self) -> Result<f64> {
        let accuracy = self.last()?.val_accuracy;
        accuracy.context("the run has no validation accuracy: give it batches with validation(…)")
    }

    /// Test accuracy after the last epoch, 0–1.
    ///
    /// # Errors
    /// When no epoch has ended yet, or the run had no test batches.
    pub fn test_accuracy(&self) -> Result<f64> {
        let accuracy = self.last()?.test_accuracy;
        accuracy.context("the run has no test accuracy: give it batches with test(…)")
    }

    /// The epoch with the highest validation accuracy, the first of equals.
    ///
    /// # Errors
    /// When the run had no validation batches.
    ///
    /// ```
    /// use mnist_kit::train::{EpochRecord, History};
    ///
    /// let mut history = History::new();
    /// for (epoch, accuracy) in [(1, 0.97), (2, 0.99), (3, 0.98)] {
    ///     let val_accuracy = Some(accuracy);
    ///     history.push(EpochRecord { epoch, val_accuracy, ..EpochRecord::default() });
    /// }
    /// assert_eq!(history.best()?.epoch, 2);
    /// assert_eq!(history.last()?.epoch, 3);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn best(&self) -> Result<EpochRecord> {
        let best = self.highest(Measure::ValAccuracy);
        best.context("the run has no validation accuracy: give it batches with validation(…)")
    }

    /// The epoch with the highest test accuracy, the first of equals: for looking back only.
    ///
    /// Choosing an epoch by its test accuracy makes that accuracy too optimistic. Report the
    /// [last](History::last) epoch, or choose with a validation set and [`best`](History::best).
    ///
    /// # Errors
    /// When the run had no test batches.
    pub fn best_on_test(&self) -> Result<EpochRecord> {
        let best = self.highest(Measure::TestAccuracy);
        best.context("the run has no test accuracy: give it batches with test(…)")
    }

    fn highest(&self, measure: Measure) -> Option<EpochRecord> {
        let measured = self.epochs.iter().filter(|record| record.get(measure).is_some());
        // NaN is never the highest. `max_by` takes the last of equals.
        let value = |record: &EpochRecord| {
            record.get(measure).filter(|value| !value.is_nan()).unwrap_or(f64::NEG_INFINITY)
        };
        measured.rev().max_by(|a, b| value(a).total_cmp(&value(b))).cloned()
    }

    /// One measure of every epoch that has it, as `(epoch, value)` points for a plot.
    ///
    /// Accuracies are in percent.
    ///
    /// ```
    /// use mnist_kit::plot::Lines;
    /// use mnist_kit::train::{EpochRecord, History, Measure};
    ///
    /// let mut history = History::new();
    /// let test_accuracy = Some(0.98);
    /// history.push(EpochRecord { epoch: 1, test_accuracy, ..EpochRecord::default() });
    /// assert_eq!(history.curve(Measure::TestAccuracy), [(1.0, 98.0)]);
    /// let lines = Lines::new("Epoch", "Test accuracy (%)");
    /// lines.series("CNN", history.curve(Measure::TestAccuracy)).plot()?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn curve(&self, measure: Measure) -> Vec<(f64, f64)> {
        let point = |record: &EpochRecord| Some((record.epoch as f64, record.get(measure)?));
        self.epochs.iter().filter_map(point).collect()
    }

    /// The validation loss of each epoch, as [`Schedule::curve`](super::Schedule::curve) takes it.
    pub fn val_losses(&self) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.val_loss).collect()
    }

    /// Duration of all epochs together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// The history as a table, with columns for what was measured.
    pub fn table(&self) -> Table {
        let loss = |loss: f64| format!("{loss:.4}");
        type Cell = Box<dyn Fn(&EpochRecord) -> Option<String>>;
        let columns: [(&str, Cell); 8] = [
            ("epoch", Box::new(|r| Some(r.epoch.to_string()))),
            ("train loss", Box::new(move |r| Some(loss(r.train_loss)))),
            ("train accuracy", Box::new(|r| Some(percent(r.train_accuracy)))),
            ("validation loss", Box::new(move |r| r.val_loss.map(loss))),
            ("validation accuracy", Box::new(|r| r.val_accuracy.map(percent))),
            ("test loss", Box::new(move |r| r.test_loss.map(loss))),
            ("test accuracy", Box::new(|r| r.test_accuracy.map(percent))),
            ("seconds", Box::new(|r| Some(format!("{:.1}", r.seconds)))),
        ];
        let measured = |cell: &Cell| self.epochs.iter().any(|record| cell(record).is_some());
        let columns: Vec<_> = columns.into_iter().filter(|(_, cell)| measured(cell)).collect();
        let mut table = Table::new(columns.iter().map(|(name, _)| *name)).note(self.note());
        for record in &self.epochs {
            let cells = columns.iter().map(|(_, cell)| cell(record));
            table.push(cells.map(|cell| cell.unwrap_or_else(|| "–".to_string())));
        }
        table
    }

    /// The history as JSON, every number in full precision.
    ///
    /// # Errors
    /// When a number is not finite. JSON has no NaN, and it must not be read back as a value that
    /// was not measured.
    ///
    /// ```
    /// use mnist_kit::train::{EpochRecord, History};
    ///
    /// let mut history = History::new();
    /// history.push(EpochRecord { epoch: 1, train_loss: 0.1 + 0.2, ..EpochRecord::default() });
    /// assert_eq!(History::from_json(&history.to_json()?)?, history);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn to_json(&self) -> Result<String> {
        for record in &self.epochs {
            record.check().context("the history cannot be written as JSON")?;
        }
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads a history that [`to_json`](History::to_json) has written.
    ///
    /// # Errors
    /// When the text is not such a history, its epochs are not numbered 1, 2, 3, …, or a number is
    /// out of range.
    pub fn from_json(text: &str) -> Result<History> {
        let history: History = plain(serde_json::from_str(text).context("not a history in JSON"))?;
        history.check()?;
        Ok(history)
    }

    /// Refuses epochs that are not numbered 1, 2, 3, …, and numbers that no epoch can have.
    pub(super) fn check(&self) -> Result<()> {
        for (index, record) in self.epochs.iter().enumerate() {
            ensure!(
                record.epoch == index + 1,
                "epoch {} stands in place {} of the history; the file is damaged",
                record.epoch,
                index + 1
            );
            record.check()?;
        }
        Ok(())
    }

    /// The history as comma-separated values, one line an epoch: every number in full precision,
    /// accuracies as fractions, an empty field where nothing was measured.
    ///
    /// ```
    /// use mnist_kit::train::{EpochRecord, History};
    ///
    /// let mut history = History::new();
    /// history.push(EpochRecord { epoch: 1, val_loss: Some(0.25), ..EpochRecord::default() });
    /// assert_eq!(history.to_csv().lines().nth(1), Some("1,0,0,0.25,,,,0"));
    /// ```
    pub fn to_csv(&self) -> String {
        let mut lines = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,test_loss,\
                         test_accuracy,seconds\n"
            .to_string();
        let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        for record in &self.epochs {
            let fields = [
                record.epoch.to_string(),
                record.train_loss.to_string(),
                record.train_accuracy.to_string(),
                optional(record.val_loss),
                optional(record.val_accuracy),
                optional(record.test_loss),
                optional(record.test_accuracy),
                record.seconds.to_string(),
            ];
            lines += &(fields.join(",") + "\n");
        }
        lines
    }

    /// Writes the history to a `.json` or `.csv` file, as a whole or not at all.
    ///
    /// # Errors
    /// When the name ends otherwise, or the file cannot be written.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let history = mnist_kit::train::History::new();
    /// history.save(folder.path().join("history.csv"))?;
    /// assert!(history.save(folder.path().join("history.txt")).is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let text = match extension.as_ref().and_then(|it| it.to_str()) {
            Some("json") => self.to_json()?,
            Some("csv") => self.to_csv(),
            _ => bail!(
                "cannot save a history as {}: the name has to end in .json or .csv",
                path.display()
            ),
        };
        files::write_whole(path, text.as_bytes())
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
