//! Grad-CAM maps over their images.

use super::grid::item_grid;
use super::item::GridItem;
use crate::Result;
use crate::eval::Prediction;
use crate::figure::Figure;
use anyhow::ensure;
use tch::Tensor;

/// Plots [`grad_cam`](crate::eval::grad_cam) maps over the images of predictions, each below its true
/// and predicted class, with a color bar and one scale for all of them.
///
/// The maps are interpolated as [`GridItem::overlay`] says. Name the network, its weights and the
/// layer in the figure's title. To compare correct with wrong predictions, give the correct ones for
/// the first row and the wrong ones for the second.
///
/// # Shapes
/// `maps` `[N, h, w]`, float, 0 or more: one for each prediction.
///
/// # Errors
/// Another number of maps than of predictions, no predictions or more than `rows × cols`, or what
/// [`GridItem::overlay`] refuses.
///
/// ```
/// use mnist_kit::{eval::Prediction, plot::grad_cam_grid};
/// use tch::{Device, Kind, Tensor};
///
/// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
/// let wrong = Prediction {
///     index: 8,
///     image,
///     truth: 1,
///     predicted: 0,
///     probabilities: vec![0.7, 0.3],
///     class_names: Vec::new(),
///     note: None,
/// };
/// let maps = Tensor::rand([1, 7, 7], (Kind::Float, Device::Cpu));
/// let figure = grad_cam_grid(&[wrong], &maps, 1, 1)?;
/// let figure = figure.title("Grad-CAM of layer4, ResNet18 with ImageNet weights");
/// assert!(figure.to_svg()?.contains("Pred: 0"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn grad_cam_grid(
    predictions: &[Prediction],
    maps: &Tensor,
    rows: usize,
    cols: usize,
) -> Result<Figure> {
    ensure!(
        maps.dim() == 3 && maps.size()[0] == predictions.len() as i64,
        "maps of shape {:?} for {} predictions, expected [{1}, h, w]",
        maps.size(),
        predictions.len()
    );
    let item = |(index, prediction): (usize, &Prediction)| {
        GridItem::prediction(prediction)?.heat(&maps.f_get(index as i64)?)
    };
    let items: Vec<GridItem> = predictions.iter().enumerate().map(item).collect::<Result<_>>()?;
    let note = predictions.iter().find_map(|prediction| prediction.note.as_deref());
    Ok(item_grid(&items, rows, cols)?.note(note))
}
