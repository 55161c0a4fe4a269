//! What a training run leaves behind, epoch by epoch.

use super::Progress;
use crate::Result;
use crate::data::Batches;
use crate::model::Logits;
use crate::table::Table;
use anyhow::Context;
use std::cmp::Ordering;

/// The numbers of one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochRecord {
    /// Counts from 1.
    pub epoch: usize,
    /// Mean of the batch losses over the epoch.
    pub train_loss: f64,
    /// Share of training images classified right while training, 0–1.
    pub train_accuracy: f64,
    /// Mean loss on the test set after the epoch, where it was measured.
    pub test_loss: Option<f64>,
    /// Share of test images classified right after the epoch, 0–1, where it was measured.
    pub test_accuracy: Option<f64>,
    /// Seconds the epoch took, training and testing together.
    pub seconds: f64,
}

/// The epochs of one run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    epochs: Vec<EpochRecord>,
    note: Option<String>,
}

impl History {
    /// A run that has not begun.
    pub fn new() -> History {
        History::default()
    }

    /// A run on these batches that has not begun; carries their split's note.
    pub fn of(train: &Batches) -> History {
        History { epochs: Vec::new(), note: train.split().note().map(str::to_string) }
    }

    /// What every table and figure of this run has to say, see [`Split::note`](crate::data::Split::note).
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Adds an epoch that has just ended: what was gathered while training, and the answers to the
    /// test set where it was asked.
    ///
    /// # Errors
    /// When there was no batch, or the loss is no longer a finite number.
    ///
    /// ```
    /// use mnist_kit::train::{History, Progress};
    /// use tch::Tensor;
    ///
    /// let mut progress = Progress::new();
    /// let logits = Tensor::from_slice2(&[[2.0f32, 0.0]]);
    /// progress.batch(&Tensor::from(0.5f32), &logits, &Tensor::from_slice(&[0i64]))?;
    /// let mut history = History::new();
    /// assert_eq!(history.record(&progress, None)?.epoch, 1);
    /// assert_eq!(history.last()?.train_accuracy, 1.0);
    /// assert!(history.test_accuracy().is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn record(&mut self, progress: &Progress, test: Option<&Logits>) -> Result<&EpochRecord> {
        self.epochs.push(EpochRecord {
            epoch: self.epochs.len() + 1,
            train_loss: progress.mean_loss()?,
            train_accuracy: progress.accuracy()?,
            test_loss: test.map(Logits::loss).transpose()?,
            test_accuracy: test.map(Logits::accuracy).transpose()?,
            seconds: progress.seconds(),
        });
        Ok(&self.epochs[self.epochs.len() - 1])
    }

    /// Adds the numbers of an epoch as they are.
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
        self.epochs.last().cloned().context("the run has no epoch yet: train first")
    }

    /// Share of test images classified right after the last epoch, 0–1.
    ///
    /// # Errors
    /// When no epoch has ended yet, or the last one was not followed by a test.
    pub fn test_accuracy(&self) -> Result<f64> {
        self.last()?
            .test_accuracy
            .context("the last epoch was not tested: give the run test batches")
    }

    /// The epoch of highest test accuracy, the first of equals. It was chosen by looking at the test
    /// set, so it may stand beside the [last](History::last) epoch, not in its place.
    ///
    /// # Errors
    /// When no epoch was tested.
    ///
    /// ```
    /// use mnist_kit::train::{EpochRecord, History};
    ///
    /// let mut history = History::new();
    /// for (epoch, accuracy) in [(1, 0.97), (2, 0.99), (3, 0.98)] {
    ///     history.push(EpochRecord {
    ///         epoch,
    ///         train_loss: 0.1,
    ///         train_accuracy: 0.98,
    ///         test_loss: Some(0.1),
    ///         test_accuracy: Some(accuracy),
    ///         seconds: 1.0,
    ///     });
    /// }
    /// assert_eq!(history.best()?.epoch, 2);
    /// assert_eq!(history.last()?.epoch, 3);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn best(&self) -> Result<EpochRecord> {
        let tested = self.epochs.iter().filter(|record| record.test_accuracy.is_some());
        let better = |a: &EpochRecord, b: &EpochRecord| {
            a.test_accuracy.partial_cmp(&b.test_accuracy).unwrap_or(Ordering::Equal)
        };
        // max_by takes the last of equals.
        tested
            .rev()
            .max_by(|a, b| better(a, b))
            .cloned()
            .context("no epoch was tested: give the run test batches")
    }

    /// The test loss of each epoch that was tested.
    pub fn test_losses(&self) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.test_loss).collect()
    }

    /// Seconds of all epochs together.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// The history as a table, accuracies in percent.
    pub fn table(&self) -> Table {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        let optional = |value: Option<String>| value.unwrap_or_else(|| "–".to_string());
        let mut table = Table::new([
            "epoch",
            "train loss",
            "train acc %",
            "test loss",
            "test acc %",
            "seconds",
        ])
        .note(self.note());
        for record in &self.epochs {
            table.push([
                record.epoch.to_string(),
                format!("{:.4}", record.train_loss),
                percent(record.train_accuracy),
                optional(record.test_loss.map(|loss| format!("{loss:.4}"))),
                optional(record.test_accuracy.map(percent)),
                format!("{:.1}", record.seconds),
            ]);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}
