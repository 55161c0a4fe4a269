//! Loss and accuracy, gathered while an epoch runs.

use crate::Result;
use anyhow::{Context, ensure};
use std::time::Instant;
use tch::{Kind, Tensor};

/// Where an epoch stands after a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub num_epochs: usize,
    /// The batch, counted from 1.
    pub batch: usize,
    /// Batches in an epoch.
    pub num_batches: usize,
}

impl BatchRecord {
    /// Whether this batch ends a group of `count` batches (or, with 0, none).
    pub fn every(&self, count: usize) -> bool {
        count > 0 && self.batch.is_multiple_of(count)
    }
}

/// The running sums of one epoch.
///
/// They stay on the model's device and are read only when asked for, so that a GPU is not made to
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
    /// An epoch that begins now.
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
    /// When the shapes are others.
    pub fn batch(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        ensure!(
            logits.dim() == 2 && logits.size()[..1] == labels.size()[..],
            "logits {:?} and labels {:?}: expected [B, classes] and [B]",
            logits.size(),
            labels.size()
        );
        let right = logits.f_argmax(1, false)?.f_eq_tensor(labels)?.f_sum(Kind::Int64)?;
        let add = |sum: Option<Tensor>, value: Tensor| match sum {
            Some(sum) => sum.f_add(&value),
            None => Ok(value),
        };
        // In double precision a sum of many batches does not drift.
        let loss = loss.f_detach()?.f_to_kind(Kind::Double)?;
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
    /// When there was no batch, or the loss is no longer a finite number.
    pub fn mean_loss(&self) -> Result<f64> {
        let sum = self.loss_sum.as_ref().map_or(Ok(f64::NAN), |sum| sum.f_double_value(&[]))?;
        let mean = sum / self.batches as f64;
        ensure!(
            mean.is_finite(),
            "the mean loss of {} batches is {mean}: training diverged or never began; a smaller \
             learning rate often helps",
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
        Ok(loss.f_double_value(&[])?)
    }

    /// Share of images classified right so far, 0–1; 0 before the first batch.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn accuracy(&self) -> Result<f64> {
        let right = self.right.as_ref().map_or(Ok(0), |right| right.f_int64_value(&[]))?;
        Ok(right as f64 / self.images.max(1) as f64)
    }

    /// How many batches there were so far.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Seconds since the epoch began.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
