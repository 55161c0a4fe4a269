//! Confusion matrices.

use crate::Result;
use crate::eval::ConfusionMatrix;
use crate::figure::theme::{self, Color};
use crate::figure::{ABOVE, Axis, ColorBar, Figure, Part, axes, text_width, titled};
use crate::table::thousands;
use anyhow::ensure;
use plotters::style::text_anchor::HPos;

const CAPTION: &str = "Shades: mistakes; correct predictions in pale blue";

impl ConfusionMatrix {
    /// Plots the counts of images by true class (row) and predicted class (column).
    ///
    /// The shade shows mistakes only: white is none, the darkest is the largest count off the
    /// diagonal. The diagonal is pale blue throughout; shaded by its thousands, it would leave every
    /// mistake white. Zeros are faint. To compare two matrices, see
    /// [`confusion_pair`](crate::plot::confusion_pair).
    ///
    /// # Errors
    /// Fewer than 2 or more than 64 classes.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?.with_title("Two classes");
    /// let svg = matrix.plot()?.to_svg()?;
    /// assert!(svg.contains("Predicted class") && svg.contains("Two classes"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        let worst = self.largest_mistake();
        let matrix = Matrix::counts(self, worst)?;
        let figure = figure(vec![matrix], count_bar(worst));
        let caption =
            if worst > 0 { CAPTION } else { "No mistakes; correct predictions in pale blue" };
        Ok(figure.title(self.title_or_default()).caption(caption).note(self.note()))
    }

    /// Plots each row divided by its sum, in percent: the predictions (columns) for the images of a
    /// true class (row).
    ///
    /// The shade shows mistakes only. Its scale is logarithmic, from 0.1 % to 30 %, and the same in
    /// every figure, so that figures can be compared. The diagonal is pale blue throughout.
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
        let figure = figure(vec![Matrix::percents(self)?], Some(percent_bar()));
        let title = format!("{}, in percent of each true class", self.title_or_default());
        Ok(figure.title(title).caption(CAPTION).note(self.note()))
    }

    fn title_or_default(&self) -> &str {
        self.title().unwrap_or("Confusion matrix")
    }

    fn largest_mistake(&self) -> u64 {
        self.top_mistakes(1).first().map_or(0, |&(_, _, count)| count)
    }
}

/// Plots the counts of two confusion matrices side by side, shaded on one scale as
/// [`ConfusionMatrix::plot`] does, to compare two models on the same images.
///
/// Each matrix is titled by [`with_title`](ConfusionMatrix::with_title); without that, the titles are
/// "First" and "Second".
///
/// # Errors
/// Fewer than 2 or more than 64 classes, or matrices of different classes.
///
/// ```
/// use mnist_kit::eval::ConfusionMatrix;
/// use mnist_kit::plot::confusion_pair;
///
/// let cnn = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], 2)?.with_title("CNN");
/// let deeper = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 1], 2)?.with_title("Deeper CNN");
/// assert!(confusion_pair(&cnn, &deeper)?.to_svg()?.contains("Deeper CNN"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn confusion_pair(first: &ConfusionMatrix, second: &ConfusionMatrix) -> Result<Figure> {
    ensure!(
        first.class_names() == second.class_names(),
        "the matrices have the classes {:?} and {:?}; compare two models of the same classes",
        first.class_names(),
        second.class_names()
    );
    let worst = first.largest_mistake().max(second.largest_mistake());
    let mut matrices = Vec::new();
    for (matrix, title) in [(first, "First"), (second, "Second")] {
        let title = Some(matrix.title().unwrap_or(title).to_string());
        matrices.push(Matrix { title, ..Matrix::counts(matrix, worst)? });
    }
    let note = first.note().or(second.note());
    Ok(figure(matrices, count_bar(worst)).caption(CAPTION).note(note))
}

/// Returns the shade of mistakes from the fewest (0) to the most (1).
fn shade(place: f64) -> Color {
    theme::shade(&theme::WARM, 0.1 + 0.9 * place)
}

fn count_bar(worst: u64) -> Option<ColorBar> {
    (worst > 0).then(|| ColorBar::linear("Mistakes (images)", shade, (0.0, worst as f64), true))
}

/// The percentages that the scale of normalized matrices reaches from and to.
const PERCENTS: (f64, f64) = (0.1, 30.0);

/// Returns the place of a percentage on the logarithmic scale of normalized matrices.
fn place(percent: f64) -> f64 {
    ((percent / PERCENTS.0).ln() / (PERCENTS.1 / PERCENTS.0).ln()).clamp(0.0, 1.0)
}

fn percent_bar() -> ColorBar {
    let ticks =
        [(0.1, "≤ 0.1"), (0.3, "0.3"), (1.0, "1"), (3.0, "3"), (10.0, "10"), (30.0, "≥ 30")];
    ColorBar {
        label: "Mistakes (% of the true class)".to_string(),
        color: shade,
        ticks: ticks.map(|(percent, text)| (place(percent), text.to_string())).to_vec(),
    }
}

#[derive(Debug)]
struct Cell {
    text: String,
    background: Color,
    faint: bool,
}

#[derive(Debug)]
struct Matrix {
    title: Option<String>,
    names: Vec<String>,
    /// Row by row.
    cells: Vec<Cell>,
}

impl Matrix {
    /// Counts, of which `worst` mistakes are the darkest.
    fn counts(matrix: &ConfusionMatrix, worst: u64) -> Result<Matrix> {
        Matrix::new(matrix, |row, col| {
            let count = matrix.counts()[row][col];
            let fraction = count as f64 / worst.max(1) as f64;
            (thousands(count as i64), (count > 0).then(|| shade(fraction)))
        })
    }

    fn percents(matrix: &ConfusionMatrix) -> Result<Matrix> {
        let fractions = matrix.normalized();
        Matrix::new(matrix, |row, col| {
            let fraction = fractions[row][col];
            let text = match 100.0 * fraction {
                0.0 => "0".to_string(),
                percent if percent < 0.05 => "<0.1".to_string(),
                percent if percent > 99.95 && fraction < 1.0 => ">99.9".to_string(),
                100.0 => "100".to_string(),
                percent => format!("{percent:.1}"),
            };
            (text, (fraction > 0.0).then(|| shade(place(100.0 * fraction))))
        })
    }

    /// `cell` returns the text at a row and column, and the shade if the number is not 0.
    fn new(
        matrix: &ConfusionMatrix,
        cell: impl Fn(usize, usize) -> (String, Option<Color>),
    ) -> Result<Matrix> {
        let names = matrix.class_names().to_vec();
        let count = names.len();
        ensure!(
            (2..=64).contains(&count),
            "a confusion matrix of {count} classes, expected 2 to 64"
        );
        let cell = |i: usize| {
            let (row, col) = (i / count, i % count);
            let (text, shade) = cell(row, col);
            let background = match shade {
                _ if row == col => theme::PALE_BLUE,
                shade => shade.unwrap_or(theme::WHITE),
            };
            Cell { text, background, faint: shade.is_none() }
        };
        Ok(Matrix { title: None, cells: (0..count * count).map(cell).collect(), names })
    }

    /// Width and height that the matrix needs with its axes.
    fn size(&self) -> (f64, f64) {
        let size = (self.names.len() as f64 * 44.0).clamp(220.0, 880.0);
        let [x, y] = self.axes();
        let title = if self.title.is_some() { theme::TEXT_BAND + theme::GAP } else { 0.0 };
        (size + y.beside() + x.right(size), size + ABOVE + x.below(size) + title)
    }

    /// The horizontal and the vertical axis; the first class is at the top.
    fn axes(&self) -> [Axis; 2] {
        let x = Axis::named("Predicted class", &self.names);
        let y = Axis::named("True class", &self.names);
        [x, Axis { range: y.range.end..0.0, ..y }]
    }

    /// Draws the matrix; returns the part that its cells cover.
    fn draw<'a>(&self, part: &Part<'a>) -> Result<Part<'a>> {
        let part = titled(part, self.title.as_deref());
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
        Ok(plot.part)
    }
}

/// Returns the figure of matrices side by side, with the bar of their colors.
fn figure(matrices: Vec<Matrix>, bar: Option<ColorBar>) -> Figure {
    let sizes = matrices.iter().map(Matrix::size);
    let width: f64 = sizes.clone().map(|(width, _)| width).sum();
    let height = sizes.map(|(_, height)| height).fold(0.0, f64::max);
    let gaps = (matrices.len() - 1) as f64 * theme::PANEL_GAP;
    let beside = bar.as_ref().map_or(0.0, ColorBar::width);
    let margins = 2.0 * theme::MARGIN;
    Figure::new(width + gaps + beside + margins, height + margins, move |part| {
        let (part, right) = part.cut_left(part.width() - beside);
        let each = (part.width() - gaps) / matrices.len() as f64;
        let mut cells = part;
        for (i, matrix) in matrices.iter().enumerate() {
            let (_, rest) = part.cut_left(i as f64 * (each + theme::PANEL_GAP));
            cells = matrix.draw(&rest.cut_left(each).0)?;
        }
        if let Some(bar) = &bar {
            bar.draw(&right.level_with(&cells));
        }
        Ok(())
    })
}
