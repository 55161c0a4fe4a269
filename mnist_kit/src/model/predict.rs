//! The predictions of a model for a whole split, and the loss of logits.

use super::try_forward;
use crate::Result;
use crate::check::{expect_labels, expect_logits, expect_rows, plain};
use crate::data::Batches;
use crate::runtime::{ProgressBar, stop};
use anyhow::{Context, ensure};
use std::time::Duration;
use tch::{Device, Kind, Reduction, Tensor, nn};

/// The logits of a whole split with its labels. Made by [`predict`].
#[derive(Debug)]
pub struct Logits {
    /// `[N, classes]`, float32, on the CPU, in the split's order.
    pub logits: Tensor,
    /// `[N]`, int64, on the CPU.
    pub labels: Tensor,
}

impl Logits {
    /// Computes the mean cross-entropy over the images.
    ///
    /// # Errors
    /// If a label is not among the classes of the logits.
    pub fn loss(&self) -> Result<f64> {
        let loss = || -> Result<Tensor> {
            expect_labels(&self.logits, &self.labels)?;
            cross_entropy(&self.logits, &self.labels, 0.0)
        };
        plain(loss().and_then(scalar))
    }

    /// Returns the most probable class of each image, `[N]`, int64.
    pub fn predictions(&self) -> Result<Tensor> {
        plain(self.logits.f_argmax(1, false).map_err(Into::into))
    }

    /// Returns the fraction of images whose most probable class is their label, 0 to 1.
    pub fn accuracy(&self) -> Result<f64> {
        let correct = || -> Result<Tensor> {
            expect_logits(&self.logits, &self.labels)?;
            let hits = self.predictions()?.f_eq_tensor(&self.labels)?;
            Ok(hits.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?)
        };
        plain(correct().and_then(scalar))
    }

    /// Returns the [`accuracy`](Logits::accuracy) in percent, 0 to 100.
    pub fn accuracy_percent(&self) -> Result<f64> {
        Ok(100.0 * self.accuracy()?)
    }
}

/// Computes the mean cross-entropy of `logits` `[N, classes]` and `labels` `[N]`, which
/// [`expect_labels`] has checked.
///
/// `label_smoothing` is the fraction of the target that is spread evenly over all classes.
pub(crate) fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    label_smoothing: f64,
) -> Result<Tensor> {
    // libtorch skips labels of -100 unless told to ignore another number.
    let nothing_ignored = i64::MIN;
    Ok(logits.f_cross_entropy_loss(
        labels,
        None::<&Tensor>,
        Reduction::Mean,
        nothing_ignored,
        label_smoothing,
    )?)
}

fn scalar(tensor: Tensor) -> Result<f64> {
    Ok(tensor.f_double_value(&[])?)
}

/// Computes the logits of every image of the batches' split, in evaluation mode, without gradients
/// and in the split's order; shuffling and `drop_last` are left out.
///
/// `model` maps images to logits `[N, classes]`; any `ModuleT` will do.
///
/// # Errors
/// If there are no images, the forward pass fails (see [`try_forward`]), the model returns anything
/// but logits, a label is not among its classes, or the cell is asked to stop
/// ([`Interrupted`](crate::Interrupted)).
///
/// ```
/// use mnist_kit::data::Mnist;
/// use mnist_kit::model::{Mlp, predict};
/// use mnist_kit::transform::Compose;
/// use tch::{Device, nn};
///
/// let digits = Mnist::generated(7, 10, 50)?;
/// let batches = digits.test.batches(25)?.transform(&Compose::new().to_tensor());
/// let vs = nn::VarStore::new(Device::Cpu);
/// let logits = predict(&Mlp::new(vs.root(), 16)?, &batches)?;
/// assert_eq!(logits.logits.size(), [50, 10]);
/// assert_eq!(logits.accuracy_percent()?, 100.0 * logits.accuracy()?);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn predict(model: &(impl nn::ModuleT + ?Sized), batches: &Batches) -> Result<Logits> {
    predict_with(model, batches, bar_over("predict", batches))
}

/// Makes a bar over the images of the batches.
///
/// A lesson asks for predictions many times, and a bar for each would bury its results. So only a
/// call of more than two seconds shows one.
pub(crate) fn bar_over(label: &str, batches: &Batches) -> ProgressBar {
    ProgressBar::new(format!("{label} {}", batches.split().name()), batches.split().len())
        .unit("images")
        .delay(Duration::from_secs(2))
}

/// [`predict`] with a bar of the caller.
pub(crate) fn predict_with(
    model: &(impl nn::ModuleT + ?Sized),
    batches: &Batches,
    bar: ProgressBar,
) -> Result<Logits> {
    plain(predict_all(model, batches, bar))
}

fn predict_all(
    model: &(impl nn::ModuleT + ?Sized),
    batches: &Batches,
    mut bar: ProgressBar,
) -> Result<Logits> {
    let split = batches.split();
    ensure!(!split.is_empty(), "{}: no images to predict", split.name());
    let _no_grad = tch::no_grad_guard();
    let mut logits = Vec::new();
    for batch in batches.in_order().epoch(1) {
        stop::check(|| format!("{}: image {} of {}", split.name(), bar.position(), split.len()))?;
        let (images, labels) = batch?;
        let batch = try_forward(model, &images, false)?;
        expect_rows(&batch, labels.size()[0], "classes")?;
        logits.push(batch.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?);
        bar.advance(labels.size()[0] as usize);
    }
    let logits = Tensor::f_cat(&logits, 0)?;
    let labels = split.labels().f_to_device(Device::Cpu)?;
    expect_labels(&logits, &labels).with_context(|| split.name().to_string())?;
    Ok(Logits { logits, labels })
}
