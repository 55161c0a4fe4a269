//! Images in rows and columns, each below its title.

use crate::Result;
use crate::data::Split;
use crate::eval::Prediction;
use crate::figure::theme::{self, Color};
use crate::figure::{Figure, Part, SIZES, pixels};
use anyhow::{Context, ensure};
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// An image with its title, for [`item_grid`].
#[derive(Clone, Debug)]
pub struct GridItem {
    image: Arc<RgbImage>,
    title: String,
    color: Color,
}

impl GridItem {
    /// Creates an item from an image, uint8 `[1 or 3, H, W]` (gray or red, green, blue).
    ///
    /// A title may have several lines, separated by `\n`.
    ///
    /// # Errors
    /// Another shape or dtype.
    pub fn new(image: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        Ok(GridItem { image: Arc::new(pixels(image)?), title: title.into(), color: theme::INK })
    }

    /// Creates a gray image from any matrix, float `[H, W]` or with leading dimensions of 1, such as
    /// a filtered image, a kernel or a feature map.
    ///
    /// The smallest value is black and the largest white; equal values are all gray.
    ///
    /// # Errors
    /// Another shape or dtype, or a value that is not finite.
    ///
    /// ```
    /// use mnist_kit::plot::{GridItem, item_grid};
    /// use tch::Tensor;
    ///
    /// let kernel = Tensor::from_slice2(&[[-1.0f32, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]);
    /// item_grid(&[GridItem::values(&kernel, "Sobel")?], 1, 1)?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn values(values: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        let (size, kind) = (values.size(), values.kind());
        let leading = size.len().saturating_sub(2);
        ensure!(
            size.len() >= 2
                && size[..leading].iter().all(|&length| length == 1)
                && values.numel() > 0
                && matches!(kind, Kind::Float | Kind::Double),
            "the values are {kind:?} {size:?}, expected Float [H, W]"
        );
        let values = values.f_detach()?.f_reshape([1, size[leading], size[leading + 1]])?;
        let (low, high) =
            (values.f_min()?.f_double_value(&[])?, values.f_max()?.f_double_value(&[])?);
        ensure!(
            low.is_finite() && high.is_finite(),
            "the values run from {low} to {high}, expected finite numbers"
        );
        let levels = if high > low {
            values.f_sub_scalar(low)?.f_mul_scalar(255.0 / (high - low))?
        } else {
            values.f_full_like(127.5)?
        };
        GridItem::new(&levels.f_round()?.f_to_kind(Kind::Uint8)?, title)
    }

    /// Creates an item from an image, uint8 `[1 or 3, H, W]`, overlaid with a heat map of any
    /// resolution, float `[h, w]`, such as one of [`grad_cam`](crate::eval::grad_cam).
    ///
    /// The image turns vermillion where the map is highest and stays as it is where the map is 0.
    ///
    /// # Errors
    /// Another shape or dtype, or a value of the map that is negative or not finite.
    ///
    /// ```
    /// use mnist_kit::plot::GridItem;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
    /// let map = Tensor::rand([7, 7], (Kind::Float, Device::Cpu));
    /// GridItem::overlay(&image, &map, "Grad-CAM")?;
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

    /// Writes the title in this color.
    pub fn color(mut self, color: Color) -> GridItem {
        self.color = color;
        self
    }
}

/// Plots the first `rows × cols` images of a split, each below the name of its class.
///
/// Shows fewer images if the split has fewer.
///
/// # Errors
/// `rows` or `cols` of 0, or an empty split.
///
/// ```
/// use mnist_kit::{data::Split, plot::image_grid};
/// use tch::{Kind, Tensor};
///
/// let images = Tensor::zeros([2, 1, 28, 28], (Kind::Uint8, tch::Device::Cpu));
/// let split = Split::new("train", images, Tensor::from_slice(&[5i64, 0]), 10)?;
/// let svg = image_grid(&split, 1, 2)?.title("The first two images").to_svg()?;
/// assert!(svg.contains(">5</text>") && svg.contains(">0</text>"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn image_grid(split: &Split, rows: usize, cols: usize) -> Result<Figure> {
    let item = |index: usize| {
        let (image, label) = split.get(index)?;
        GridItem::new(&image, split.class_name(label))
    };
    let count = rows.saturating_mul(cols).min(split.len());
    let items: Vec<GridItem> = (0..count).map(item).collect::<Result<_>>()?;
    let figure = item_grid(&items, rows, cols)
        .with_context(|| format!("a grid of the split {:?}", split.name()))?;
    Ok(figure.note(split.note()))
}

/// Plots predictions as images below their true and predicted class: bluish green with ✓ if
/// correct, vermillion with ✗ if wrong.
///
/// # Errors
/// No predictions or more than `rows × cols`, or an image that [`GridItem::new`] refuses.
///
/// ```
/// use mnist_kit::{eval::Prediction, plot::prediction_grid};
/// use tch::{Device, Kind, Tensor};
///
/// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
/// let wrong = Prediction {
///     index: 8,
///     image,
///     truth: 1,
///     predicted: 0,
///     probabilities: vec![0.7, 0.3],
///     class_names: vec!["Shirt".to_string(), "Dress".to_string()],
///     note: None,
/// };
/// assert!(prediction_grid(&[wrong], 1, 1)?.to_svg()?.contains("Pred: Shirt ✗"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn prediction_grid(predictions: &[Prediction], rows: usize, cols: usize) -> Result<Figure> {
    let item = |prediction: &Prediction| {
        let (title, color) = verdict(prediction);
        Ok(GridItem::new(&prediction.image, title)
            .with_context(|| format!("prediction for image {}", prediction.index))?
            .color(color))
    };
    let items: Vec<GridItem> = predictions.iter().map(item).collect::<Result<_>>()?;
    let note = predictions.iter().find_map(|prediction| prediction.note.as_deref());
    Ok(item_grid(&items, rows, cols)?.note(note))
}

/// Returns true and predicted class in words, with the color of correct or wrong. Names too long
/// for one line take two.
pub(super) fn verdict(prediction: &Prediction) -> (String, Color) {
    let (mark, color) = if prediction.is_correct() {
        ('✓', theme::BLUISH_GREEN)
    } else {
        ('✗', theme::VERMILLION)
    };
    let truth = prediction.class_name(prediction.truth);
    let predicted = prediction.class_name(prediction.predicted);
    let short = |name: &str| name.chars().count() <= 2;
    let between = if short(&truth) && short(&predicted) { ", " } else { "\n" };
    (format!("True: {truth}{between}Pred: {predicted} {mark}"), color)
}

/// Plots images below titles of your own, row by row; cells that remain stay empty.
///
/// # Errors
/// No items or more than `rows × cols`.
///
/// ```
/// use mnist_kit::figure::theme;
/// use mnist_kit::plot::{GridItem, item_grid};
/// use tch::{Device, Kind, Tensor};
///
/// let image = Tensor::zeros([3, 8, 12], (Kind::Uint8, Device::Cpu));
/// let items = [GridItem::new(&image, "before")?, GridItem::new(&image, "after")?.color(theme::BLUE)];
/// item_grid(&items, 1, 2)?;
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn item_grid(items: &[GridItem], rows: usize, cols: usize) -> Result<Figure> {
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
    let grid = Grid { items: items.to_vec(), rows, cols };
    // Images of 28 × 28 pixels are shown at five times their size, below titles such as
    // "True: 8, Pred: 3 ✗"; smaller if there are many.
    let size = (1000.0 / cols as f64).clamp(48.0, 140.0);
    let length = |count: usize, cell: f64, most: f64| {
        (2.0 * theme::MARGIN + count as f64 * (cell + GUTTER)).clamp(SIZES.0, most)
    };
    let width = length(cols, size, SIZES.1);
    let height = length(rows, size + grid.band(), SIZES.1 - HEADROOM);
    Ok(Figure::new(width, height, move |part| {
        grid.draw(part);
        Ok(())
    }))
}

/// Height that the tallest grid leaves for a title, a caption of some lines and a note.
const HEADROOM: f64 = 200.0;
/// Distance between images.
const GUTTER: f64 = 16.0;
/// Height of a title's first line, and of each further one.
const FIRST_LINE: f64 = theme::TEXT_BAND + 2.0;
const NEXT_LINE: f64 = 15.0;

struct Grid {
    items: Vec<GridItem>,
    rows: usize,
    cols: usize,
}

impl Grid {
    /// Lines of the longest title.
    fn lines(&self) -> usize {
        self.items.iter().map(|item| item.title.lines().count()).max().unwrap_or(1).max(1)
    }

    /// Height of the titles.
    fn band(&self) -> f64 {
        FIRST_LINE + (self.lines() - 1) as f64 * NEXT_LINE
    }

    fn draw(&self, part: &Part) {
        let (width, height) = (part.width() / self.cols as f64, part.height() / self.rows as f64);
        // Small figures have smaller gaps and titles.
        let (gap_x, gap_y) = (GUTTER.min(0.15 * width) / 2.0, GUTTER.min(0.15 * height) / 2.0);
        let band = self.band().min(0.3 * self.lines() as f64 * height).min(0.5 * height);
        let scale = band / self.band();
        let style = theme::PANEL_TITLE.size(12f64.min(0.6 * scale * FIRST_LINE));
        for (item, cell) in self.items.iter().zip(part.cells(self.rows, self.cols)) {
            let cell = cell.inset(gap_x / 2.0, gap_y, gap_x / 2.0, gap_y);
            let (title, rest) = cell.cut_top(band);
            for (i, line) in item.title.lines().enumerate() {
                let y = scale * (0.45 * FIRST_LINE + i as f64 * NEXT_LINE);
                let at = (title.width() / 2.0, y);
                title.text(line, at, style.color(item.color), HPos::Center, title.width());
            }
            rest.inset(gap_x / 2.0, 0.0, gap_x / 2.0, 0.0).image(&item.image);
        }
    }
}
