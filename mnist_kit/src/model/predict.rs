//! The predictions of a model for a whole split.

use super::try_forward;
use crate::Result;
use crate::check::{describe, plain};
use crate::data::Batches;
use anyhow::ensure;
use tch::{Kind, Reduction, Tensor, nn};

/// The logits of a whole split, with the labels they belong to.
#[derive(Debug)]
pub struct Logits {
    /// `[N, classes]`, float32, on the CPU, in the split's order.
    pub logits: Tensor,
    /// `[N]`, int64, on the CPU.
    pub labels: Tensor,
}

impl Logits {
    /// Mean cross-entropy over the images.
    ///
    /// # Errors
    /// When a label is not among the classes of the logits.
    pub fn loss(&self) -> Result<f64> {
        plain(expect_labels(&self.logits, &self.labels))?;
        let loss = cross_entropy(&self.logits, &self.labels, 0.0);
        plain(loss.and_then(|loss| Ok(loss.f_double_value(&[])?)))
    }

    /// The most probable class of each image, `[N]`, int64.
    pub fn predictions(&self) -> Result<Tensor> {
        plain(self.logits.f_argmax(1, false).map_err(Into::into))
    }

    /// Fraction of images whose most probable class is their label, 0–1.
    pub fn accuracy(&self) -> Result<f64> {
        plain(expect_rows(&self.logits, &self.labels))?;
        let right = || -> Result<f64> {
            let right = self.predictions()?.f_eq_tensor(&self.labels)?;
            Ok(right.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?)
        };
        plain(right())
    }

    /// [`accuracy`](Logits::accuracy) in percent, 0–100.
    pub fn accuracy_percent(&self) -> Result<f64> {
        Ok(100.0 * self.accuracy()?)
    }
}

/// Mean cross-entropy of logits `[N, classes]` and labels `[N]`.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    // PyTorch skips labels of −100 unless told another number; here they are as wrong as any other.
    let nothing_ignored = i64::MIN;
    Ok(logits.f_cross_entropy_loss(
        labels,
        None::<&Tensor>,
        Reduction::Mean,
        nothing_ignored,
        smoothing,
    )?)
}

/// Refuses logits and labels that are not float `[N, classes]` and int64 `[N]` on the same device.
pub(crate) fn expect_rows(logits: &Tensor, labels: &Tensor) -> Result<()> {
    let floats = [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16];
    ensure!(
        logits.defined() && logits.dim() == 2 && floats.contains(&logits.kind()),
        "logits are {}, expected Float [N, classes]",
        describe(logits)
    );
    ensure!(
        labels.defined() && labels.size() == logits.size()[..1] && labels.kind() == Kind::Int64,
        "labels are {} for logits {:?}, expected Int64 {:?}",
        describe(labels),
        logits.size(),
        &logits.size()[..1]
    );
    ensure!(
        logits.device() == labels.device(),
        "logits are {}, labels {}: expected both on the same device",
        describe(logits),
        describe(labels)
    );
    Ok(())
}

/// [`expect_rows`], and refuses labels that are not among the classes. On a GPU this waits for the
/// labels.
pub(crate) fn expect_labels(logits: &Tensor, labels: &Tensor) -> Result<()> {
    expect_rows(logits, labels)?;
    let size = logits.size();
    if size[0] > 0 {
        let (low, high) =
            (labels.f_min()?.f_int64_value(&[])?, labels.f_max()?.f_int64_value(&[])?);
        ensure!(
            low >= 0 && high < size[1],
            "labels run from {low} to {high}, expected 0 to {}: the logits have {} classes",
            size[1] - 1,
            size[1]
        );
    }
    Ok(())
}

/// Computes the logits of every image of the batches' split, in the split's order, in evaluation
/// mode and without gradients.
///
/// Shuffling and `drop_last` of the batches have no effect here.
///
/// # Errors
/// When there are no images, or the model cannot process them.
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
    plain(predict_all(model, batches))
}

fn predict_all(model: &(impl nn::ModuleT + ?Sized), batches: &Batches) -> Result<Logits> {
    ensure!(!batches.split().is_empty(), "{}: no images to predict", batches.split().name());
    let _no_grad = tch::no_grad_guard();
    let mut logits = Vec::new();
    for batch in batches.in_order().epoch(1) {
        let (images, _) = batch?;
        logits.push(try_forward(model, &images, false)?.f_to_device(tch::Device::Cpu)?);
    }
    let logits = Tensor::f_cat(&logits, 0)?;
    let (images, size) = (batches.split().len() as i64, logits.size());
    ensure!(
        size.len() == 2 && size[0] == images,
        "the model gave logits of shape {size:?} for {images} images, expected [{images}, classes]"
    );
    Ok(Logits { logits, labels: batches.split().labels().f_to_device(tch::Device::Cpu)? })
}
