//! The confusion matrix as a picture.

use super::axes::axis_labels;
use super::canvas::{Anchor, Area, Canvas};
use super::figure::Figure;
use super::theme::{self, Color};
use crate::Result;
use crate::eval::ConfusionMatrix;
use crate::table::thousands;
use anyhow::ensure;

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
        let off_diagonal = |row: usize, col: usize| if row == col { 0 } else { counts[row][col] };
        let worst = largest(counts.len(), |row, col| off_diagonal(row, col) as f64);
        let cells = cells(counts.len(), |row, col| {
            let count = counts[row][col];
            let background = match off_diagonal(row, col) as f64 / worst.max(1.0) {
                _ if row == col => theme::PALE_BLUE,
                0.0 => theme::WHITE,
                share => theme::shade(&theme::WARM, 0.1 + 0.9 * share),
            };
            Cell { text: thousands(count as i64), background, faint: count == 0 }
        });
        let caption = if worst > 0.0 {
            format!(
                "Shades: mistakes only, darkest at {}; right answers in pale blue",
                thousands(worst as i64)
            )
        } else {
            "No mistakes; right answers in pale blue".to_string()
        };
        Ok(matrix(cells, None)?.caption(caption))
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
        let cells = cells(shares.len(), |row, col| {
            let share = shares[row][col];
            let text = match 100.0 * share {
                0.0 => "0".to_string(),
                percent if percent < 0.05 => "<0.1".to_string(),
                percent if percent > 99.95 && share < 1.0 => ">99.9".to_string(),
                100.0 => "100".to_string(),
                percent => format!("{percent:.1}"),
            };
            Cell { text, background: shade(share), faint: share == 0.0 }
        });
        Ok(matrix(cells, Some(color_bar))?.caption("Percent of the images of each true class"))
    }
}

struct Cell {
    text: String,
    background: Color,
    faint: bool,
}

fn largest(count: usize, value: impl Fn(usize, usize) -> f64) -> f64 {
    (0..count * count).map(|i| value(i / count, i % count)).fold(0.0, f64::max)
}

fn cells(count: usize, cell: impl Fn(usize, usize) -> Cell) -> Vec<Vec<Cell>> {
    (0..count).map(|row| (0..count).map(|col| cell(row, col)).collect()).collect()
}

/// White for nothing, then darker with the square root of the share.
fn shade(share: f64) -> Color {
    if share == 0.0 { theme::WHITE } else { theme::shade(&theme::COOL, share.sqrt()) }
}

const BAR_WIDTH: f64 = 64.0;

fn matrix(cells: Vec<Vec<Cell>>, bar: Option<fn(&mut Canvas, Area)>) -> Result<Figure> {
    let count = cells.len();
    ensure!((2..=64).contains(&count), "a confusion matrix of {count} classes, expected 2 to 64");
    // Class numbers are at most two digits wide.
    let (left, below) = (2.0 * theme::TEXT_BAND + theme::GAP, 2.0 * theme::TEXT_BAND);
    let beside = if bar.is_some() { BAR_WIDTH } else { 0.0 };
    let side = (count as f64 * 44.0).clamp(220.0, 880.0);
    let (width, height) = (side + left + beside, side + below);
    let margins = 2.0 * theme::MARGIN;
    Ok(Figure::new(width + margins, height + margins, move |canvas, area| {
        let inner = area.inset(left, 0.0, beside, below);
        // Cells stay square.
        let side = inner.width.min(inner.height);
        let plot = Area::new(inner.center().0 - side / 2.0, inner.y, side, side);
        let cell = side / count as f64;
        let style = theme::TICK;
        let room = 0.86 * cell;
        // One size for all numbers: the one that the longest needs.
        let longest =
            cells.iter().flatten().map(|c| canvas.text_width(&c.text, style)).fold(1.0, f64::max);
        let style =
            style.size((style.size * room / longest).min(1.15 * style.size).min(0.6 * cell));
        for (i, row) in cells.iter().enumerate() {
            for (j, Cell { text, background, faint }) in row.iter().enumerate() {
                let (x, y) = (plot.x + j as f64 * cell, plot.y + i as f64 * cell);
                let place = Area::new(x, y, cell, cell);
                canvas.rect(place, *background);
                let color = theme::text_on(*background);
                let faint = *faint && *background == theme::WHITE;
                let style = style.color(if faint { theme::FAINT } else { color });
                canvas.text(text, place.center(), style, Anchor::Middle, cell);
            }
        }
        for i in 0..=count {
            let at = i as f64 * cell;
            canvas.line(
                vec![(plot.x + at, plot.y), (plot.x + at, plot.bottom())],
                0.5,
                theme::FAINT,
            );
            canvas.line(
                vec![(plot.x, plot.y + at), (plot.right(), plot.y + at)],
                0.5,
                theme::FAINT,
            );
        }
        let style = theme::TICK.size(theme::TICK.size.min(0.7 * cell));
        for class in 0..count {
            let (middle, name) = ((class as f64 + 0.5) * cell, class.to_string());
            let below = (plot.x + middle, plot.bottom() + theme::TEXT_BAND / 2.0);
            canvas.text(&name, below, style, Anchor::Middle, cell);
            let beside = (plot.x - theme::GAP, plot.y + middle);
            canvas.text(&name, beside, style, Anchor::End, theme::TEXT_BAND);
        }
        let around = Area::new(plot.x - left, plot.y, side + left, side + below);
        axis_labels(canvas, around, plot, "Predicted class", "True class");
        if let Some(bar) = bar {
            bar(canvas, Area::new(plot.right(), plot.y, BAR_WIDTH, side));
        }
    }))
}

/// The shades of 0 to 100 %, from bottom to top, with the shares where they stand.
fn color_bar(canvas: &mut Canvas, area: Area) {
    const STEPS: usize = 64;
    let bar = area.inset(12.0, 0.0, area.width - 26.0, 0.0);
    for i in 0..STEPS {
        let share = ((i as f64 + 0.5) / STEPS as f64).powi(2);
        let height = bar.height / STEPS as f64;
        // Pieces overlap by half a pixel: no seams.
        let top = bar.bottom() - (i + 1) as f64 * height;
        let overlap = if i == 0 { 0.0 } else { 0.5 };
        canvas.rect(Area::new(bar.x, top, bar.width, height + overlap), shade(share));
    }
    for percent in [0.0, 1.0, 5.0, 20.0, 50.0, 100.0f64] {
        let y = bar.bottom() - (percent / 100.0).sqrt() * bar.height;
        let y = y.clamp(area.y + 5.0, area.bottom() - 5.0);
        let style = theme::TICK.size(10.0);
        canvas.text(&format!("{percent} %"), (bar.right() + 4.0, y), style, Anchor::Start, 36.0);
    }
}
