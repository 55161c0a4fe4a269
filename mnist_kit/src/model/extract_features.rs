//! Features computed once, to train a head on without the backbone.

use super::try_forward;
use crate::Result;
use crate::check::{expect_rows, plain};
use crate::data::{Batches, Split};
use crate::runtime::{ProgressBar, stop};
use anyhow::{Context, ensure};
use tch::{Device, Kind, Tensor, nn};

/// Computes a module's features of every image, once for each of `views`, in evaluation mode and
/// without gradients.
///
/// A head can then be trained on the features without running the backbone again. With random steps
/// in the transform, each view is another augmentation of the images, the same in every call
/// whatever the seed of [`shuffle`](Batches::shuffle). The views lie one after the other, so one
/// epoch over the result is worth `views` epochs over the images.
///
/// `module` maps images to features `[N, F]`, as [`Backbone::body`](super::Backbone::body) does, or
/// to activations `[N, C, h, w]`, as the lower part of
/// [`Backbone::split_after`](super::Backbone::split_after) does.
///
/// # Shapes
/// float32 features `[views · N, F, 1, 1]`, or activations `[views · N, C, h, w]`, with their
/// labels. Features take `4 · views · N · F` bytes: 61 MB for three views of 10,000 images under
/// ResNet18. Activations take more: 2 GB for one view after its `layer3`.
///
/// # Errors
/// If there are no images or views, the forward pass fails (see [`try_forward`]), the module
/// returns another shape, or the cell is asked to stop
/// ([`Interrupted`](crate::Interrupted)).
///
/// ```
/// use mnist_kit::data::Mnist;
/// use mnist_kit::model::{Backbone, extract_features};
/// use mnist_kit::transform::Compose;
/// use tch::{Device, nn};
///
/// let digits = Mnist::generated(1, 20, 10)?;
/// let transform = Compose::new().resize(32, 32).to_tensor().repeat_channels(3);
/// let train_batches = digits.train.batches(10)?.transform(&transform);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Backbone::resnet18(vs.root(), 10)?;
/// let features = extract_features(&model.body(), &train_batches, 1)?;
/// assert_eq!(features.images().size(), [20, 512, 1, 1]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn extract_features(
    module: &(impl nn::ModuleT + ?Sized),
    batches: &Batches,
    views: usize,
) -> Result<Split> {
    plain(extract(module, batches, views))
}

fn extract(module: &(impl nn::ModuleT + ?Sized), batches: &Batches, views: usize) -> Result<Split> {
    let split = batches.split();
    ensure!(
        views > 0 && !split.is_empty(),
        "{}: {views} views of {} images, expected one or more of each",
        split.name(),
        split.len()
    );
    let _no_grad = tch::no_grad_guard();
    let in_order = batches.in_order();
    let (mut rows, mut labels) = (None, Vec::new());
    let total = views * split.len();
    let mut bar = ProgressBar::new(format!("features of {}", split.name()), total).unit("images");
    for view in 1..=views {
        for batch in in_order.epoch(view) {
            stop::check(|| format!("{}: image {} of {total}", split.name(), bar.position()))?;
            let (images, batch_labels) = batch?;
            let features = try_forward(module, &images, false)?;
            let count = batch_labels.size()[0];
            let features = if features.dim() == 4 && features.size()[0] == count {
                features
            } else {
                expect_rows(&features, count, "features")?;
                features.f_unsqueeze(-1)?.f_unsqueeze(-1)?
            };
            // Activations can be gigabytes, so they are written where they stay.
            let rows = match &mut rows {
                Some(rows) => rows,
                rows => {
                    let size = [&[total as i64], &features.size()[1..]].concat();
                    rows.insert(Tensor::f_empty(size, (Kind::Float, Device::Cpu))?)
                }
            };
            rows.f_narrow(0, bar.position() as i64, count)?.f_copy_(&features)?;
            labels.push(batch_labels.f_to_device(Device::Cpu)?);
            bar.advance(count as usize);
        }
    }
    let rows = rows.context("the batches have no images")?;
    let features = Split::new(split.name(), rows, Tensor::f_cat(&labels, 0)?, split.num_classes())?;
    let features = features.with_class_names(split.class_names().iter().cloned())?;
    Ok(features.with_note(split.note().map(str::to_string)))
}
