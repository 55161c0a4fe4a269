//! A model's answer to every image of a split.

use super::try_forward;
use crate::Result;
use crate::check::plain;
use crate::data::Batches;
use anyhow::ensure;
use tch::{Kind, Reduction, Tensor, nn};

/// The logits of a whole split, with the labels they are to meet.
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
        let loss = self.logits.f_cross_entropy_loss(
            &self.labels,
            None::<&Tensor>,
            Reduction::Mean,
            -100,
            0.0,
        )?;
        Ok(loss.f_double_value(&[])?)
    }

    /// The most probable class of each image, `[N]`, int64.
    ///
    /// # Errors
    /// When logits and labels have other shapes than [`predict`] gives them.
    pub fn predictions(&self) -> Result<Tensor> {
        Ok(self.logits.f_argmax(1, false)?)
    }

    /// Share of images whose most probable class is their label, 0–1.
    ///
    /// # Errors
    /// When logits and labels have other shapes than [`predict`] gives them.
    pub fn accuracy(&self) -> Result<f64> {
        let right = self.predictions()?.f_eq_tensor(&self.labels)?;
        Ok(right.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?)
    }
}

/// Asks the model about every image of the batches' split, in the split's order and without
/// gradients; shuffling and `drop_last` are left out.
///
/// # Errors
/// When there are no images, or the model cannot take them.
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
