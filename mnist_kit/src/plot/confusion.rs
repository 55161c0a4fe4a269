//! The confusion matrix.

use crate::Result;
use crate::eval::ConfusionMatrix;
use crate::figure::theme::{self, Color};
use crate::figure::{ABOVE, Axis, Figure, Part, axes, text_width};
use crate::table::thousands;
use anyhow::ensure;
use plotters::style::text_anchor::HPos;

impl ConfusionMatrix {
    /// Plots the counts of images by true class (row) and predicted class (column).
    ///
    /// The shade shows mistakes only: white is none, the darkest is the largest count off the
    /// diagonal. The diagonal is pale blue throughout; shaded by its thousands, it would leave every
    /// mistake white. Zeros are faint.
    ///
    /// # Errors
    /// Fewer than 2 or more than 64 classes.
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
        let places =
            || (0..counts.len() * counts.len()).map(|i| (i / counts.len(), i % counts.len()));
        let mistakes = |row: usize, col: usize| if row == col { 0 } else { counts[row][col] };
        let worst = places().map(|(row, col)| mistakes(row, col)).max().unwrap_or(0);
        let cell = |(row, col): (usize, usize)| {
            let count = counts[row][col];
            let background = match mistakes(row, col) as f64 / worst.max(1) as f64 {
                _ if row == col => theme::PALE_BLUE,
                0.0 => theme::WHITE,
                fraction => theme::shade(&theme::WARM, 0.1 + 0.9 * fraction),
            };
            Cell { text: thousands(count as i64), background, faint: count == 0 }
        };
        let caption = if worst > 0 {
            format!(
                "Shades: mistakes only, darkest at {}; correct predictions in pale blue",
                thousands(worst as i64)
            )
        } else {
            "No mistakes; correct predictions in pale blue".to_string()
        };
        let cells = places().map(cell).collect();
        let figure = Matrix { names: self.class_names().to_vec(), cells, bar: false }.figure()?;
        Ok(figure.caption(caption).note(self.note()))
    }

    /// Plots each row divided by its sum, in percent: the predictions (columns) for the images of a
    /// true class (row).
    ///
    /// The shade grows with the square root of the fraction, so that 1 % differs from 0; the bar
    /// beside the matrix shows the scale.
    ///
    /// # Errors
    /// Fewer than 2 or more than 64 classes.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?;
    /// assert!(matrix.plot_normalized()?.to_svg()?.contains("66.7"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot_normalized(&self) -> Result<Figure> {
        let cell = |&fraction: &f64| {
            let text = match 100.0 * fraction {
                0.0 => "0".to_string(),
                percent if percent < 0.05 => "<0.1".to_string(),
                percent if percent > 99.95 && fraction < 1.0 => ">99.9".to_string(),
                100.0 => "100".to_string(),
                percent => format!("{percent:.1}"),
            };
            Cell { text, background: shade(fraction), faint: fraction == 0.0 }
        };
        let cells = self.normalized().iter().flatten().map(cell).collect();
        let figure = Matrix { names: self.class_names().to_vec(), cells, bar: true }.figure()?;
        Ok(figure.caption("Percent of the images of each true class").note(self.note()))
    }
}

struct Cell {
    text: String,
    background: Color,
    faint: bool,
}

/// Returns white for 0, then a shade that darkens with the square root of the fraction.
fn shade(fraction: f64) -> Color {
    if fraction == 0.0 { theme::WHITE } else { theme::shade(&theme::COOL, fraction.sqrt()) }
}

/// Width of the color bar with its labels.
const BAR: f64 = 64.0;

struct Matrix {
    names: Vec<String>,
    /// Row by row.
    cells: Vec<Cell>,
    /// Whether a color bar is drawn beside the matrix.
    bar: bool,
}

impl Matrix {
    fn figure(self) -> Result<Figure> {
        let count = self.names.len();
        ensure!(
            (2..=64).contains(&count),
            "a confusion matrix of {count} classes, expected 2 to 64"
        );
        let size = (count as f64 * 44.0).clamp(220.0, 880.0);
        let [x, y] = self.axes();
        let beside = y.beside() + x.right(size) + if self.bar { BAR } else { 0.0 };
        let margins = 2.0 * theme::MARGIN;
        let (width, height) = (size + beside + margins, size + ABOVE + x.below(size) + margins);
        Ok(Figure::new(width, height, move |part| self.draw(part)))
    }

    /// The horizontal and the vertical axis; the first class is at the top.
    fn axes(&self) -> [Axis; 2] {
        let x = Axis::named("Predicted class", &self.names);
        let y = Axis::named("True class", &self.names);
        [x, Axis { range: y.range.end..0.0, ..y }]
    }

    fn draw(&self, part: &Part) -> Result<()> {
        let (part, bar) = part.cut_left(part.width() - if self.bar { BAR } else { 0.0 });
        let [x, y] = self.axes();
        let plot = axes(&part, x, y)?;

        let count = self.names.len();
        let corner = |i: usize| ((i % count) as f64, (i / count) as f64);
        let cells = || self.cells.iter().enumerate().map(|(i, cell)| (corner(i), cell));
        for ((x, y), cell) in cells() {
            plot.bar((x, x + 1.0), (y + 1.0, y), cell.background);
        }
        let whole = count as f64;
        for at in (0..=count).map(|i| i as f64) {
            for ends in [[(at, 0.0), (at, whole)], [(0.0, at), (whole, at)]] {
                plot.part.line(&ends.map(|end| plot.at(end)), 0.5, theme::FAINT);
            }
        }

        // All numbers have the size that the longest one needs.
        let (width, height) = (plot.part.width() / whole, plot.part.height() / whole);
        let style = theme::TICK;
        let longest =
            self.cells.iter().map(|cell| text_width(&cell.text, style)).fold(1.0, f64::max);
        let largest = (1.15 * style.size).min(0.6 * height);
        let style = style.size((style.size * 0.86 * width / longest).min(largest));
        for ((x, y), Cell { text, background, faint }) in cells() {
            let faint = *faint && *background == theme::WHITE;
            let color = if faint { theme::FAINT } else { theme::text_on(*background) };
            let at = plot.at((x + 0.5, y + 0.5));
            plot.part.text(text, at, style.color(color), HPos::Center, width);
        }
        if self.bar {
            color_bar(&bar.level_with(&plot.part));
        }
        Ok(())
    }
}

/// Draws the shades of 0 to 100 %, from bottom to top, with some percentages.
fn color_bar(part: &Part) {
    const STEPS: usize = 64;
    const WIDTH: f64 = 14.0;
    let height = part.height();
    for i in 0..STEPS {
        // Each piece reaches down to the bottom, below the next one, so that there are no seams.
        let top = i as f64 / STEPS as f64 * height;
        let root = 1.0 - (i as f64 + 0.5) / STEPS as f64;
        part.rect((12.0, top), WIDTH, height - top, shade(root * root));
    }
    for percent in [0.0, 1.0, 5.0, 20.0, 50.0, 100.0f64] {
        let y = (1.0 - (percent / 100.0).sqrt()) * height;
        let at = (12.0 + WIDTH + 4.0, y.clamp(5.0, height - 5.0));
        part.text(&format!("{percent} %"), at, theme::TICK.size(10.0), HPos::Left, 36.0);
    }
}
