//! The confusion matrix as a picture.

use super::axes::{ABOVE, Axis, BELOW, LEFT, axes};
use super::figure::{Drawing, Figure};
use super::part::{Backend, Part, text_width};
use super::theme::{self, Color};
use crate::Result;
use crate::eval::ConfusionMatrix;
use crate::table::thousands;
use anyhow::ensure;
use plotters::prelude::*;
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;

impl ConfusionMatrix {
    /// Counts of images by true class (row) and predicted class (column).
    ///
    /// The shade counts *mistakes*: white is none, the darkest is the largest count off the diagonal. The diagonal is
    /// right and has one pale blue, or its thousands would leave every mistake white. Zeros are faint.
    ///
    /// # Errors
    /// When the matrix has fewer than 2 or more than 64 classes.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?;
    /// let svg = matrix.plot()?.title("Two classes").to_svg()?;
    /// assert!(svg.contains("Predicted class"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        let counts = self.counts();
        let mistakes = |row: usize, col: usize| if row == col { 0 } else { counts[row][col] };
        let places =
            || (0..counts.len() * counts.len()).map(|i| (i / counts.len(), i % counts.len()));
        let worst = places().map(|(row, col)| mistakes(row, col)).max().unwrap_or(0);
        let cell = |(row, col): (usize, usize)| {
            let count = counts[row][col];
            let background = match mistakes(row, col) as f64 / worst.max(1) as f64 {
                _ if row == col => theme::PALE_BLUE,
                0.0 => theme::WHITE,
                share => theme::shade(&theme::WARM, 0.1 + 0.9 * share),
            };
            Cell { text: thousands(count as i64), background, faint: count == 0 }
        };
        let caption = if worst > 0 {
            format!(
                "Shades: mistakes only, darkest at {}; right answers in pale blue",
                thousands(worst as i64)
            )
        } else {
            "No mistakes; right answers in pale blue".to_string()
        };
        let figure = matrix(counts.len(), places().map(cell).collect(), false)?;
        Ok(figure.caption(caption).note(self.note()))
    }

    /// Each row divided by its sum, in percent: where the images of a true class (row) went (column).
    ///
    /// The shade grows with the square root of the share, so that 1 % differs from none; the bar beside the matrix tells it.
    ///
    /// # Errors
    /// When the matrix has fewer than 2 or more than 64 classes.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?;
    /// assert!(matrix.plot_normalized()?.to_svg()?.contains("66.7"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot_normalized(&self) -> Result<Figure> {
        let shares = self.normalized();
        let cell = |&share: &f64| {
            let text = match 100.0 * share {
                0.0 => "0".to_string(),
                percent if percent < 0.05 => "<0.1".to_string(),
                percent if percent > 99.95 && share < 1.0 => ">99.9".to_string(),
                100.0 => "100".to_string(),
                percent => format!("{percent:.1}"),
            };
            Cell { text, background: shade(share), faint: share == 0.0 }
        };
        let cells = shares.iter().flatten().map(cell).collect();
        let figure = matrix(shares.len(), cells, true)?;
        Ok(figure.caption("Percent of the images of each true class").note(self.note()))
    }
}

struct Cell {
    text: String,
    background: Color,
    faint: bool,
}

/// White for nothing, then darker with the square root of the share.
fn shade(share: f64) -> Color {
    if share == 0.0 { theme::WHITE } else { theme::shade(&theme::COOL, share.sqrt()) }
}

/// Width of the bar that tells the shades, with its labels.
const BAR: f64 = 64.0;

pub(super) struct Matrix {
    count: usize,
    /// Row by row.
    cells: Vec<Cell>,
    bar: bool,
}

fn matrix(count: usize, cells: Vec<Cell>, bar: bool) -> Result<Figure> {
    ensure!((2..=64).contains(&count), "a confusion matrix of {count} classes, expected 2 to 64");
    let side = (count as f64 * 44.0).clamp(220.0, 880.0);
    let beside = if bar { BAR } else { 0.0 };
    // Class numbers are at most two digits wide.
    let labels = (LEFT + 1.5 * theme::TICK.size, ABOVE + BELOW);
    let margins = 2.0 * theme::MARGIN;
    let (width, height) = (side + labels.0 + beside + margins, side + labels.1 + margins);
    Ok(Figure::new(width, height, Drawing::Matrix(Matrix { count, cells, bar })))
}

impl Matrix {
    pub fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        let (part, bar) = part.cut_left(part.width() - if self.bar { BAR } else { 0.0 });
        let count = self.count;
        let x = Axis::classes("Predicted class", count);
        // The first class stands at the top.
        let y = Axis { range: count as f64..0.0, ..Axis::classes("True class", count) };
        let (mut chart, plot) = axes(&part, &x, &y)?;

        let corner = |i: usize| ((i % count) as f64, (i / count) as f64);
        let cells = || self.cells.iter().enumerate().map(|(i, cell)| (corner(i), cell));
        chart.draw_series(cells().map(|((x, y), cell)| {
            Rectangle::new([(x, y), (x + 1.0, y + 1.0)], cell.background.rgb().filled())
        }))?;
        let edge = theme::FAINT.rgb().stroke_width(part.scale.stroke(0.5));
        let whole = count as f64;
        chart.draw_series((0..=count).map(|i| i as f64).flat_map(|at| {
            [[(at, 0.0), (at, whole)], [(0.0, at), (whole, at)]]
                .map(|ends| PathElement::new(ends, edge))
        }))?;

        // One size for all numbers: the one that the longest needs.
        let (width, height) = (plot.width() / whole, plot.height() / whole);
        let style = theme::TICK;
        let mut longest = 1.0f64;
        for (_, cell) in cells() {
            longest = longest.max(text_width(&cell.text, style)?);
        }
        let largest = (1.15 * style.size).min(0.6 * height);
        let style = style.size((style.size * 0.86 * width / longest).min(largest));
        for ((x, y), Cell { text, background, faint }) in cells() {
            let faint = *faint && *background == theme::WHITE;
            let color = if faint { theme::FAINT } else { theme::text_on(*background) };
            let at = ((x + 0.5) * width, (y + 0.5) * height);
            plot.text(text, at, style.color(color), HPos::Center, width)?;
        }
        if self.bar { color_bar(&bar.inset(0.0, ABOVE, 0.0, BELOW)) } else { Ok(()) }
    }
}

/// The shades of 0 to 100 %, from bottom to top, with the shares where they stand.
fn color_bar<DB: Backend>(part: &Part<DB>) -> Result<()> {
    const STEPS: usize = 64;
    const WIDTH: f64 = 14.0;
    let height = part.height();
    for i in 0..STEPS {
        // Each piece reaches to the bottom, under the next one: no seams.
        let top = i as f64 / STEPS as f64 * height;
        let root = 1.0 - (i as f64 + 0.5) / STEPS as f64;
        part.rect((12.0, top), WIDTH, height - top, shade(root * root))?;
    }
    for percent in [0.0, 1.0, 5.0, 20.0, 50.0, 100.0f64] {
        let y = (1.0 - (percent / 100.0).sqrt()) * height;
        let at = (12.0 + WIDTH + 4.0, y.clamp(5.0, height - 5.0));
        part.text(&format!("{percent} %"), at, theme::TICK.size(10.0), HPos::Left, 36.0)?;
    }
    Ok(())
}
