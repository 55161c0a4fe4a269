//! Images in rows and columns, each below its title.

use super::item::{GridItem, Scales, confidence};
use crate::Result;
use crate::data::Split;
use crate::eval::Prediction;
use crate::figure::theme;
use crate::figure::{ColorBar, Figure, Part, SIZES};
use anyhow::{Context, ensure};
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::sync::Arc;

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
    let items: Vec<GridItem> =
        predictions.iter().map(GridItem::prediction).collect::<Result<_>>()?;
    let note = predictions.iter().find_map(|prediction| prediction.note.as_deref());
    Ok(item_grid(&items, rows, cols)?.note(note))
}

/// Plots predictions as [`prediction_grid`] does, and writes the confidence, the probability of the
/// predicted class, below each image.
///
/// # Errors
/// Those of [`prediction_grid`].
///
/// ```
/// # fn main() -> anyhow::Result<()> {
/// # use mnist_kit::{data::Mnist, eval::evaluate, model::Mlp, transform::Compose};
/// # let digits = Mnist::generated(7, 10, 50)?;
/// # let test_batches = digits.test.batches(25)?.transform(&Compose::new().to_tensor());
/// # let vs = tch::nn::VarStore::new(tch::Device::Cpu);
/// # let model = Mlp::new(vs.root(), 16)?;
/// use mnist_kit::plot::confidence_grid;
///
/// let surest = evaluate(&model, &test_batches)?.mistakes()?.most_confident(10)?;
/// let figure = confidence_grid(&surest, 2, 5)?.title("The most confident mistakes");
/// assert_eq!(figure.to_svg()?.matches("Confidence: ").count(), surest.len());
/// # Ok(())
/// # }
/// ```
pub fn confidence_grid(predictions: &[Prediction], rows: usize, cols: usize) -> Result<Figure> {
    let item = |prediction: &Prediction| {
        Ok(GridItem::prediction(prediction)?.caption(confidence(prediction)))
    };
    let items: Vec<GridItem> = predictions.iter().map(item).collect::<Result<_>>()?;
    let note = predictions.iter().find_map(|prediction| prediction.note.as_deref());
    Ok(item_grid(&items, rows, cols)?.note(note))
}

/// Plots images below titles of your own, row by row.
///
/// Cells that remain in the last row stay empty, and rows without an image are left out. The cells
/// have the proportions of the widest and the tallest image. Color bars show the scales of
/// [`GridItem::overlay`] and [`GridItem::signed`].
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
    let rows = items.len().div_ceil(cols);
    let scales = Scales::of(items);
    let pictures = items.iter().map(|item| scales.picture(item)).collect();
    let grid = Grid { items: items.to_vec(), pictures, bars: scales.bars(), rows, cols };
    let cell = grid.cell();
    let length = |count: usize, cell: f64, beside: f64, most: f64| {
        (2.0 * theme::MARGIN + count as f64 * (cell + GUTTER) + beside).clamp(SIZES.0, most)
    };
    let width = length(cols, cell.0, grid.beside(), SIZES.1);
    let height = length(rows, cell.1 + grid.above() + grid.below(), 0.0, SIZES.1 - HEADROOM);
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
/// Height of a caption.
const CAPTION: f64 = theme::TEXT_BAND - 2.0;
/// Width of a frame, and its distance from its image.
const FRAME: f64 = 2.5;
const FRAME_GAP: f64 = 2.0;

struct Grid {
    items: Vec<GridItem>,
    pictures: Vec<Arc<RgbImage>>,
    bars: Vec<ColorBar>,
    rows: usize,
    cols: usize,
}

impl Grid {
    /// Returns width and height of the images' cells.
    fn cell(&self) -> (f64, f64) {
        // Images of 28 × 28 pixels are shown at five times their size, below titles such as
        // "True: 8, Pred: 3 ✗"; smaller if there are many. Wide images get up to twice that width.
        let aspect = |item: &GridItem| f64::from(item.size().0) / f64::from(item.size().1);
        let widest = self.items.iter().map(aspect).fold(0.0, f64::max).clamp(0.5, 2.0);
        let size = (1000.0 / (widest * self.cols as f64)).clamp(48.0, 140.0);
        let width = size * widest;
        let height =
            self.items.iter().map(|item| (width / aspect(item)).min(size)).fold(0.0, f64::max);
        (width, height)
    }

    /// Lines of the longest title, 0 without any.
    fn lines(&self) -> usize {
        self.items.iter().map(|item| item.title.lines().count()).max().unwrap_or(0)
    }

    /// Height of the titles.
    fn above(&self) -> f64 {
        match self.lines() {
            0 => 0.0,
            lines => FIRST_LINE + (lines - 1) as f64 * NEXT_LINE,
        }
    }

    /// Height of the captions.
    fn below(&self) -> f64 {
        if self.items.iter().any(|item| !item.caption.is_empty()) { CAPTION } else { 0.0 }
    }

    /// Width of the color bars.
    fn beside(&self) -> f64 {
        self.bars.iter().map(ColorBar::width).sum()
    }

    fn draw(&self, part: &Part) {
        let (part, mut right) = part.cut_left(part.width() - self.beside().min(0.5 * part.width()));
        let (width, height) = (part.width() / self.cols as f64, part.height() / self.rows as f64);
        // Small figures have smaller gaps and titles.
        let (gap_x, gap_y) = (GUTTER.min(0.15 * width) / 2.0, GUTTER.min(0.15 * height) / 2.0);
        let text = self.above() + self.below();
        let lines = self.lines() as f64 + if self.below() > 0.0 { 1.0 } else { 0.0 };
        let scale = (0.3 * lines * height).min(0.5 * height).min(text) / text.max(1.0);
        let style = theme::PANEL_TITLE.size(12f64.min(0.6 * scale * FIRST_LINE));
        let caption = theme::TICK.size(11f64.min(0.6 * scale * FIRST_LINE));
        let cells = part.cells(self.rows, self.cols);
        for ((item, picture), cell) in self.items.iter().zip(&self.pictures).zip(cells) {
            let cell = cell.inset(gap_x / 2.0, gap_y, gap_x / 2.0, gap_y);
            let (title, rest) = cell.cut_top(scale * self.above());
            for (i, line) in item.title.lines().enumerate() {
                let y = scale * (0.45 * FIRST_LINE + i as f64 * NEXT_LINE);
                let at = (title.width() / 2.0, y);
                title.text(line, at, style.color(item.color), HPos::Center, title.width());
            }
            let below = scale * self.below();
            let image = rest.inset(gap_x / 2.0, 0.0, gap_x / 2.0, below).image(picture);
            if item.framed {
                frame(&image);
            }
            if !item.caption.is_empty() {
                let at = (image.width() / 2.0, image.height() + 0.55 * below);
                image.text(&item.caption, at, caption, HPos::Center, rest.width());
            }
        }
        for bar in &self.bars {
            let (this, rest) = right.cut_left(bar.width());
            bar.draw(&this.inset(
                0.0,
                gap_y + scale * self.above(),
                0.0,
                gap_y + scale * self.below(),
            ));
            right = rest;
        }
    }
}

/// Draws a frame around a part.
fn frame(part: &Part) {
    let out = FRAME_GAP + FRAME / 2.0;
    let (left, top, right, bottom) = (-out, -out, part.width() + out, part.height() + out);
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    part.line(&corners, FRAME, theme::ORANGE);
}
