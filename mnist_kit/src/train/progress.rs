//! Running loss and accuracy of an epoch.

use crate::Result;
use crate::check::{describe, expect_logits, plain};
use anyhow::{Context, ensure};
use std::time::Instant;
use tch::{Kind, Tensor};

/// The position of a batch in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Number of epochs in the run.
    pub num_epochs: usize,
    /// Number of the batch in its epoch, from 1.
    pub batch: usize,
    /// Number of batches in an epoch.
    pub num_batches: usize,
}

impl BatchRecord {
    /// Returns whether the batch number is a multiple of `count`; `false` for a count of 0.
    pub fn every(&self, count: usize) -> bool {
        count > 0 && self.batch.is_multiple_of(count)
    }
}

/// Running sums of one epoch.
///
/// The sums stay on the model's device and are read only on request, so that a GPU does not have to
/// wait after each batch.
///
/// ```
/// use mnist_kit::train::Progress;
/// use tch::Tensor;
///
/// let mut progress = Progress::new();
/// let logits = Tensor::from_slice2(&[[2.0f32, 0.0], [0.0, 2.0]]);
/// progress.batch(&Tensor::from(0.5f32), &logits, &Tensor::from_slice(&[0i64, 0]))?;
/// assert_eq!(progress.mean_loss()?, 0.5);
/// assert_eq!(progress.accuracy()?, 0.5);
/// assert_eq!(progress.accuracy_percent()?, 50.0);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    loss_sum: Option<Tensor>,
    last_loss: Option<Tensor>,
    right: Option<Tensor>,
    images: i64,
    batches: usize,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

impl Progress {
    /// Starts an epoch now.
    pub fn new() -> Progress {
        Progress {
            started: Instant::now(),
            loss_sum: None,
            last_loss: None,
            right: None,
            images: 0,
            batches: 0,
        }
    }

    /// Adds a batch: its mean loss (one value), logits `[B, classes]` and labels `[B]`.
    ///
    /// # Errors
    /// When the shapes or dtypes do not fit.
    pub fn batch(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) -> Result<()> {
        expect_logits(logits, labels)?;
        ensure!(
            loss.defined() && loss.numel() == 1,
            "the loss of a batch is {}, expected one value",
            describe(loss)
        );
        plain(self.add(loss, logits, labels))
    }

    fn add(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let right = logits.f_argmax(1, false)?.f_eq_tensor(labels)?.f_sum(Kind::Int64)?;
        let add = |sum: Option<Tensor>, value: Tensor| match sum {
            Some(sum) => sum.f_add(&value),
            None => Ok(value),
        };
        // In double precision a sum of many batches does not drift.
        let loss = loss.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([0i64; 0])?;
        self.loss_sum = Some(add(self.loss_sum.take(), loss.shallow_clone())?);
        self.last_loss = Some(loss);
        self.right = Some(add(self.right.take(), right)?);
        self.images += labels.size()[0];
        self.batches += 1;
        Ok(())
    }

    /// Mean of the batch losses so far.
    ///
    /// # Errors
    /// When there was no batch, or the mean is not finite.
    pub fn mean_loss(&self) -> Result<f64> {
        let sum = self.loss_sum.as_ref().context("there was no batch yet")?;
        let sum = plain(sum.f_double_value(&[]).map_err(Into::into))?;
        let mean = sum / self.batches as f64;
        ensure!(
            mean.is_finite(),
            "the mean loss of {} batches is {mean}: training diverged; try a smaller learning rate",
            self.batches
        );
        Ok(mean)
    }

    /// Loss of the last batch.
    ///
    /// # Errors
    /// When there was no batch.
    pub fn last_loss(&self) -> Result<f64> {
        let loss = self.last_loss.as_ref().context("there was no batch yet")?;
        plain(loss.f_double_value(&[]).map_err(Into::into))
    }

    /// Fraction of images classified correctly so far, 0–1; 0 before the first batch.
    pub fn accuracy(&self) -> Result<f64> {
        let right = self.right.as_ref().map_or(Ok(0), |right| right.f_int64_value(&[]));
        Ok(plain(right.map_err(Into::into))? as f64 / self.images.max(1) as f64)
    }

    /// [`accuracy`](Progress::accuracy) in percent, 0–100.
    pub fn accuracy_percent(&self) -> Result<f64> {
        Ok(100.0 * self.accuracy()?)
    }

    /// Number of batches so far.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Seconds since the start of the epoch.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
