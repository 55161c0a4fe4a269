//! Where a network looks.

use crate::Result;
use crate::model::Backbone;
use anyhow::ensure;
use tch::{Kind, Tensor};

/// Grad-CAM (Selvaraju and others, 2017): how much each place of a layer's output speaks for a class.
///
/// The channels of the layer are added up, each weighted by the mean gradient of the class's logit with
/// respect to it, and what speaks against the class is set to 0. The model runs in evaluation mode.
///
/// # Shapes
/// `images` as the model expects them, `[N, 3, H, W]`; `classes` one for each image; the result is
/// `[N, h, w]` float32, 0 or more, at the resolution of the layer.
///
/// # Errors
/// When no layer is called so (the message lists them), a class is not among the model's, or the
/// images are not as the model expects them.
///
/// ```
/// use mnist_kit::eval::grad_cam;
/// use mnist_kit::model::Backbone;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Backbone::resnet18(vs.root(), 10);
/// let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// assert_eq!(grad_cam(&model, &images, "layer3", &[4, 9])?.size(), [2, 4, 4]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn grad_cam(model: &Backbone, images: &Tensor, layer: &str, classes: &[i64]) -> Result<Tensor> {
    let count = images.size().first().copied().unwrap_or(0);
    ensure!(
        count == classes.len() as i64 && count > 0,
        "{count} images and {} classes, expected one class for each image",
        classes.len()
    );
    let activations = model.activations(images, layer)?.f_detach()?.f_set_requires_grad(true)?;
    let logits = model.logits_from(&activations, layer)?;
    let num_classes = logits.size()[1];
    if let Some(wrong) = classes.iter().find(|class| !(0..num_classes).contains(*class)) {
        anyhow::bail!("class {wrong}: the model has classes 0 to {}", num_classes - 1);
    }
    let classes = Tensor::f_from_slice(classes)?.f_to_device(logits.device())?.f_unsqueeze(1)?;
    // Images do not influence each other here, so one backward pass serves them all.
    let score = logits.f_gather(1, &classes, false)?.f_sum(Kind::Float)?;
    let gradients = Tensor::f_run_backward(&[score], &[&activations], false, false)?;
    let _no_grad = tch::no_grad_guard();
    let weights = gradients[0].f_mean_dim(&[2, 3][..], true, Kind::Float)?;
    let summed = activations.f_mul(&weights)?.f_sum_dim_intlist(1, false, Kind::Float)?;
    Ok(summed.f_relu()?)
}
