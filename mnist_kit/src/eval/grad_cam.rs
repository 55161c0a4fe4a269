//! Class activation maps.

use crate::Result;
use crate::check::{describe, expect_rows, is_floating, no_such_class, plain};
use crate::model::try_forward;
use crate::runtime::{ProgressBar, stop};
use anyhow::{Context, ensure};
use tch::{Kind, Tensor, nn};

/// Number of images that are computed together, which bounds the memory for their activations.
const BATCH: usize = 64;

/// Computes Grad-CAM maps (Selvaraju et al., 2017): for each image, how strongly each position of
/// a layer's output supports a class.
///
/// The model is given in two parts: `lower` maps images to activations `[N, C, h, w]`, `upper` maps
/// these to logits; [`Backbone::split_after`](crate::model::Backbone::split_after) makes both from
/// a backbone, and any two `ModuleT`s will do. Both run in evaluation mode. The map is the sum of the
/// channels, each weighted by the mean gradient of the class's logit with respect to it; negative
/// values are set to 0.
///
/// # Shapes
/// `images` as `lower` expects them, `classes` one for each image → `[N, h, w]` float32, 0 or more,
/// at the resolution of the activations.
///
/// # Errors
/// If a forward pass fails (see [`try_forward`]), the activations are not `[N, C, h, w]`, a class is
/// not among the model's, or the cell is asked to stop ([`Interrupted`](crate::Interrupted)).
///
/// ```
/// use mnist_kit::eval::grad_cam;
/// use mnist_kit::model::Backbone;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Backbone::resnet18(vs.root(), 10)?;
/// let (lower, upper) = model.split_after("layer3")?;
/// let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// assert_eq!(grad_cam(&lower, &upper, &images, &[4, 9])?.size(), [2, 4, 4]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn grad_cam(
    lower: &(impl nn::ModuleT + ?Sized),
    upper: &(impl nn::ModuleT + ?Sized),
    images: &Tensor,
    classes: &[i64],
) -> Result<Tensor> {
    plain(tch::with_grad(|| all_maps(lower, upper, images, classes)))
}

fn all_maps(
    lower: &(impl nn::ModuleT + ?Sized),
    upper: &(impl nn::ModuleT + ?Sized),
    images: &Tensor,
    classes: &[i64],
) -> Result<Tensor> {
    let count = images.size().first().copied().unwrap_or(0);
    ensure!(
        count == classes.len() as i64 && count > 0,
        "{count} images and {} classes, expected one class for each image",
        classes.len()
    );
    let mut bar = ProgressBar::new("Grad-CAM", classes.len()).unit("images");
    let mut parts = Vec::new();
    for classes in classes.chunks(BATCH) {
        stop::check(|| format!("image {} of {count}", bar.position()))?;
        let batch = images.f_narrow(0, bar.position() as i64, classes.len() as i64)?;
        parts.push(maps(lower, upper, &batch, classes)?);
        bar.advance(classes.len());
    }
    Ok(Tensor::f_cat(&parts, 0)?)
}

fn maps(
    lower: &(impl nn::ModuleT + ?Sized),
    upper: &(impl nn::ModuleT + ?Sized),
    images: &Tensor,
    classes: &[i64],
) -> Result<Tensor> {
    let count = classes.len() as i64;
    let activations = try_forward(lower, images, false).context("the lower part")?;
    ensure!(
        matches!(activations.size()[..], [rows, _, _, _] if rows == count)
            && is_floating(activations.kind()),
        "the lower part returned {} for {count} images, expected Float [{count}, C, h, w]",
        describe(&activations)
    );
    let activations = activations.f_detach()?.f_set_requires_grad(true)?;
    let logits = try_forward(upper, &activations, false).context("the upper part")?;
    expect_rows(&logits, count, "classes").context("the upper part")?;
    let num_classes = logits.size()[1];
    if let Some(&wrong) = classes.iter().find(|class| !(0..num_classes).contains(*class)) {
        return Err(no_such_class(wrong, num_classes));
    }
    ensure!(
        logits.requires_grad(),
        "the upper part's logits have no gradient with respect to the activations; leave out \
         detach and no_grad"
    );
    let classes = Tensor::f_from_slice(classes)?.f_to_device(logits.device())?.f_unsqueeze(1)?;
    // Images do not influence each other in evaluation mode, so one backward pass serves them all.
    let score = logits.f_gather(1, &classes, false)?.f_sum(Kind::Float)?;
    let gradients = Tensor::f_run_backward(&[score], &[&activations], false, false)?;
    let _no_grad = tch::no_grad_guard();
    let weights = gradients[0].f_mean_dim(&[2, 3][..], true, Kind::Float)?;
    let summed = activations.f_mul(&weights)?.f_sum_dim_intlist(1, false, Kind::Float)?;
    Ok(summed.f_relu()?)
}
