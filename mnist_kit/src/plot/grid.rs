//! Images in rows and columns, each under its title.

use super::figure::{Drawing, Figure, SIDES};
use super::part::{Backend, Part};
use super::pixels::pixels;
use super::theme::{self, Color};
use crate::Result;
use crate::data::Split;
use crate::eval::Prediction;
use anyhow::{Context, ensure};
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::sync::Arc;
use tch::{Kind, Tensor};

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

    /// Any table of numbers, `[H, W]` float (or with leading sides of 1), as an image: the smallest
    /// number black, the largest white; all alike, grey. For filtered images, kernels, feature maps.
    ///
    /// # Errors
    /// When the shape or dtype is another, or a number is not finite.
    ///
    /// ```
    /// use mnist_kit::plot::{GridItem, grid_of};
    /// use tch::Tensor;
    ///
    /// let kernel = Tensor::from_slice2(&[[-1.0f32, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]);
    /// grid_of(&[GridItem::values(&kernel, "Sobel")?], 1, 1)?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn values(values: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        let (size, kind) = (values.size(), values.kind());
        let leading = size.len().saturating_sub(2);
        ensure!(
            size.len() >= 2
                && size[..leading].iter().all(|&side| side == 1)
                && values.numel() > 0
                && matches!(kind, Kind::Float | Kind::Double),
            "values are {kind:?} {size:?}, expected Float [H, W]"
        );
        let values = values.f_detach()?.f_reshape([1, size[leading], size[leading + 1]])?;
        let (low, high) =
            (values.f_min()?.f_double_value(&[])?, values.f_max()?.f_double_value(&[])?);
        ensure!(
            low.is_finite() && high.is_finite(),
            "values from {low} to {high}, expected finite numbers"
        );
        let shares = if high > low {
            values.f_sub_scalar(low)?.f_mul_scalar(255.0 / (high - low))?
        } else {
            values.f_full_like(127.5)?
        };
        GridItem::new(&shares.f_round()?.f_to_kind(Kind::Uint8)?, title)
    }

    /// An image, `[1 or 3, H, W]` uint8, under a map of any resolution, `[h, w]` float, 0 or more: vermillion
    /// where the map is highest, untouched where it is 0. For Grad-CAM, see [`grad_cam`](crate::eval::grad_cam).
    ///
    /// # Errors
    /// When a shape or dtype is another, or a number of the map is negative or not finite.
    ///
    /// ```
    /// use mnist_kit::plot::GridItem;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
    /// let map = Tensor::rand([7, 7], (Kind::Float, Device::Cpu));
    /// GridItem::overlay(&image, &map, "looks here")?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn overlay(image: &Tensor, map: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        let mut item = GridItem::new(image, title)?;
        ensure!(
            map.dim() == 2 && matches!(map.kind(), Kind::Float | Kind::Double) && map.numel() > 0,
            "the map is {:?} {:?}, expected Float [h, w]",
            map.kind(),
            map.size()
        );
        let (low, high) = (map.f_min()?.f_double_value(&[])?, map.f_max()?.f_double_value(&[])?);
        ensure!(
            low >= 0.0 && high.is_finite(),
            "the map runs from {low} to {high}, expected finite numbers, 0 or more"
        );
        let (width, height) = item.image.dimensions();
        let size = [i64::from(height), i64::from(width)];
        let heat = map.f_detach()?.f_to_kind(Kind::Double)?.f_div_scalar(high.max(1e-12))?;
        let heat = heat.f_view([1, 1, map.size()[0], map.size()[1]])?;
        let heat = heat.f_upsample_bilinear2d(&size[..], false, None, None)?;
        let heat = Vec::<f64>::try_from(heat.f_contiguous()?.f_view([-1])?)?;
        let Color(red, green, blue) = theme::VERMILLION;
        let mut blended = (*item.image).clone();
        for (pixel, heat) in blended.pixels_mut().zip(heat) {
            for (level, target) in pixel.0.iter_mut().zip([red, green, blue]) {
                let (from, to) = (f64::from(*level), f64::from(target));
                *level = (from + 0.75 * heat * (to - from)).round() as u8;
            }
        }
        item.image = Arc::new(blended);
        Ok(item)
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
    let figure = grid_of(&items, rows, cols)
        .with_context(|| format!("a grid of the split {:?}", split.name()))?;
    Ok(figure.note(split.note()))
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
/// let probabilities = vec![0.7, 0.3];
/// let wrong = Prediction { index: 8, image, truth: 1, predicted: 0, probabilities, class_names: Vec::new(), note: None };
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
    let note = predictions.iter().find_map(|prediction| prediction.note.as_deref());
    Ok(grid_of(&items, rows, cols)?.note(note))
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
    // Images of 28 pixels a side at five times their size under titles like "True: 8, Pred: 3 ✗"; less where there are many.
    let side = (1000.0 / cols as f64).clamp(48.0, 140.0);
    let length = |count: usize, cell: f64, most: f64| {
        (2.0 * theme::MARGIN + count as f64 * (cell + GUTTER)).clamp(SIDES.0, most)
    };
    let width = length(cols, side, SIDES.1);
    let height = length(rows, side + BAND, SIDES.1 - HEADROOM);
    let grid = Grid { items: items.to_vec(), rows, cols };
    Ok(Figure::new(width, height, Drawing::Grid(grid)))
}

/// What the highest grid leaves for a title, a caption of some lines and a note.
const HEADROOM: f64 = 200.0;
/// Distance between images.
const GUTTER: f64 = 16.0;
/// Height of an image's title.
const BAND: f64 = theme::TEXT_BAND + 2.0;

pub(super) struct Grid {
    items: Vec<GridItem>,
    rows: usize,
    cols: usize,
}

impl Grid {
    pub fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        let (width, height) = (part.width() / self.cols as f64, part.height() / self.rows as f64);
        // Small figures have smaller gaps and titles.
        let (gap_x, gap_y) = (GUTTER.min(0.15 * width) / 2.0, GUTTER.min(0.15 * height) / 2.0);
        let band = BAND.min(0.3 * height);
        let style = theme::PANEL_TITLE.size(12f64.min(0.6 * band));
        for (item, cell) in self.items.iter().zip(part.cells(self.rows, self.cols)) {
            let cell = cell.inset(gap_x / 2.0, gap_y, gap_x / 2.0, gap_y);
            let (title, rest) = cell.cut_top(band);
            let at = (title.width() / 2.0, 0.45 * band);
            title.text(&item.title, at, style.color(item.color), HPos::Center, title.width())?;
            rest.inset(gap_x / 2.0, 0.0, gap_x / 2.0, 0.0).image(&item.image)?;
        }
        Ok(())
    }
}
