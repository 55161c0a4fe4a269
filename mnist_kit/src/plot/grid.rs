//! Images in rows and columns, each under its title.

use super::canvas::{Anchor, Area};
use super::figure::Figure;
use super::pixels::pixels;
use super::theme::{self, Color};
use crate::Result;
use crate::data::Split;
use crate::eval::Prediction;
use anyhow::{Context, ensure};
use image::RgbImage;
use std::sync::Arc;
use tch::Tensor;

/// An image with its title, for [`grid_of`].
#[derive(Clone, Debug)]
pub struct GridItem {
    image: Arc<RgbImage>,
    title: String,
    color: Color,
}

impl GridItem {
    /// An image, `[C, H, W]` uint8 with 1 channel (grey) or 3 (red, green, blue), under this title.
    ///
    /// # Errors
    /// When shape or dtype is another.
    pub fn new(image: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        Ok(GridItem { image: Arc::new(pixels(image)?), title: title.into(), color: theme::INK })
    }

    /// Writes the title in this colour.
    pub fn color(mut self, color: Color) -> GridItem {
        self.color = color;
        self
    }
}

/// The first `rows × cols` images of a split (fewer where it has fewer), each under `Digit {label}`.
///
/// # Errors
/// When `rows` or `cols` is 0 or the split is empty.
///
/// ```
/// use mnist_kit::{data::Split, plot::grid};
/// use tch::{Kind, Tensor};
///
/// let images = Tensor::zeros([2, 1, 28, 28], (Kind::Uint8, tch::Device::Cpu));
/// let split = Split::new("train", images, Tensor::from_slice(&[5i64, 0]), 10)?;
/// let svg = grid(&split, 1, 2)?.title("The first two images").to_svg()?;
/// assert!(svg.contains("Digit 5") && svg.contains("Digit 0"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn grid(split: &Split, rows: usize, cols: usize) -> Result<Figure> {
    let item = |index: usize| {
        let (image, label) = split.get(index)?;
        GridItem::new(&image, format!("Digit {label}"))
    };
    let count = rows.saturating_mul(cols).min(split.len());
    let items: Vec<GridItem> = (0..count).map(item).collect::<Result<_>>()?;
    grid_of(&items, rows, cols).with_context(|| format!("a grid of the split {:?}", split.name()))
}

/// Predictions as images under `True: t, Pred: p`: bluish green with ✓ where right, vermillion with ✗ where wrong.
///
/// # Errors
/// When there are none or more than `rows × cols`, or an image has another shape or dtype than [`GridItem::new`] takes.
///
/// ```
/// use mnist_kit::{eval::Prediction, plot::predictions};
/// use tch::{Kind, Tensor};
///
/// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, tch::Device::Cpu));
/// let wrong = Prediction { index: 8, image, truth: 1, predicted: 0, probabilities: vec![0.7, 0.3] };
/// assert!(predictions(&[wrong], 1, 1)?.to_svg()?.contains("True: 1, Pred: 0 ✗"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn predictions(predictions: &[Prediction], rows: usize, cols: usize) -> Result<Figure> {
    let item = |prediction: &Prediction| {
        let (title, color) = verdict(prediction);
        Ok(GridItem::new(&prediction.image, title)
            .with_context(|| format!("prediction for image {}", prediction.index))?
            .color(color))
    };
    let items: Vec<GridItem> = predictions.iter().map(item).collect::<Result<_>>()?;
    grid_of(&items, rows, cols)
}

/// True and predicted class in words, with the colour of right or wrong.
pub(super) fn verdict(prediction: &Prediction) -> (String, Color) {
    let right = prediction.truth == prediction.predicted;
    let (mark, color) =
        if right { ('✓', theme::BLUISH_GREEN) } else { ('✗', theme::VERMILLION) };
    (format!("True: {}, Pred: {} {mark}", prediction.truth, prediction.predicted), color)
}

/// Images under titles of their own, row by row; cells that remain stay empty.
///
/// # Errors
/// When there are no items or more than `rows × cols`.
///
/// ```
/// use mnist_kit::plot::{GridItem, grid_of, theme};
/// use tch::{Kind, Tensor};
///
/// let image = Tensor::zeros([3, 8, 12], (Kind::Uint8, tch::Device::Cpu));
/// let items = [GridItem::new(&image, "before")?, GridItem::new(&image, "after")?.color(theme::BLUE)];
/// grid_of(&items, 1, 2)?;
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn grid_of(items: &[GridItem], rows: usize, cols: usize) -> Result<Figure> {
    ensure!(
        rows > 0 && cols > 0 && rows.saturating_mul(cols) <= 10_000,
        "a grid of {rows} rows and {cols} columns, expected at least 1 of each and at most 10,000 cells"
    );
    ensure!(!items.is_empty(), "no images to show");
    ensure!(
        items.len() <= rows * cols,
        "{} images do not fit into {rows} rows of {cols}; take fewer images or more rows",
        items.len()
    );
    // Cells as wide as a title like "True: 8, Pred: 3 ✗"; less where there are many.
    let side = (1000.0 / cols as f64).clamp(48.0, 132.0);
    let band = theme::TEXT_BAND + 2.0;
    let width = (2.0 * theme::MARGIN + cols as f64 * (side + GUTTER) - GUTTER).clamp(200.0, 4000.0);
    let height =
        (2.0 * theme::MARGIN + rows as f64 * (side + band + GUTTER) - GUTTER).clamp(120.0, 4000.0);
    let items = items.to_vec();
    Ok(Figure::new(width, height, move |canvas, area| {
        let cell_width = (area.width + GUTTER) / cols as f64 - GUTTER;
        let cell_height = (area.height + GUTTER) / rows as f64 - GUTTER;
        let style = theme::PANEL_TITLE.size(12.0);
        for (i, item) in items.iter().enumerate() {
            let (row, col) = ((i / cols) as f64, (i % cols) as f64);
            let (x, y) =
                (area.x + col * (cell_width + GUTTER), area.y + row * (cell_height + GUTTER));
            let (title, rest) = Area::new(x, y, cell_width, cell_height).cut_top(band);
            canvas.text(
                &item.title,
                (title.center().0, title.y + theme::TEXT_BAND / 2.0),
                style.color(item.color),
                Anchor::Middle,
                title.width + GUTTER / 2.0,
            );
            canvas.image(fit(rest, &item.image), &item.image);
        }
    }))
}

const GUTTER: f64 = 16.0;

/// The largest place for an image inside `area` that keeps its shape: at the top, in the middle.
pub(super) fn fit(area: Area, image: &RgbImage) -> Area {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let scale = (area.width / width).min(area.height / height);
    let (width, height) = (width * scale, height * scale);
    Area::new(area.center().0 - width / 2.0, area.y, width, height)
}
