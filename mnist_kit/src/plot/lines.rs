//! Named series of points on one pair of axes.

use crate::Result;
use crate::figure::{Axis, Ends, Figure, Key, Part, axes, legend, theme, titled};
use anyhow::ensure;

/// Named series of points on one pair of axes, each with its own color and marker.
///
/// The legend is above the data. If every x is a whole number, as epochs are, the ticks of that
/// axis are whole numbers too.
///
/// ```
/// use mnist_kit::plot::Lines;
///
/// let figure = Lines::new("Shift (pixels)", "Accuracy (%)")
///     .title("A shifted digit")
///     .series("MLP", [(0.0, 97.5), (3.0, 61.0), (6.0, 21.0)])
///     .series("CNN", [(0.0, 98.7), (3.0, 83.0), (6.0, 34.0)])
///     .y_range(0.0, 100.0)
///     .plot()?;
/// assert!(figure.to_svg()?.contains("Shift (pixels)"));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lines {
    title: Option<String>,
    x_label: String,
    y_label: String,
    y_range: Option<(f64, f64)>,
    series: Vec<(String, Vec<(f64, f64)>)>,
}

impl Lines {
    /// Creates axes with these labels and without points; write units into the labels.
    pub fn new(x_label: impl Into<String>, y_label: impl Into<String>) -> Lines {
        Lines {
            title: None,
            x_label: x_label.into(),
            y_label: y_label.into(),
            y_range: None,
            series: Vec::new(),
        }
    }

    /// Writes a line above these axes.
    pub fn title(mut self, title: impl Into<String>) -> Lines {
        self.title = Some(title.into());
        self
    }

    /// Adds a series of `(x, y)` points, joined in this order.
    pub fn series(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Lines {
        self.series.push((name.into(), points.into_iter().collect()));
        self
    }

    /// Shows at least the y values from `low` to `high`, and more if the data needs it.
    pub fn y_range(mut self, low: f64, high: f64) -> Lines {
        self.y_range = Some((low, high));
        self
    }

    /// Returns the figure.
    ///
    /// # Errors
    /// No series, an empty series, or a number that is not finite (or beyond 1e100).
    pub fn plot(&self) -> Result<Figure> {
        self.check()?;
        let lines = self.clone();
        Ok(Figure::new(560.0, 360.0, move |part| lines.draw(part)))
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.series.is_empty(), "nothing to plot: add a series first");
        for (name, points) in &self.series {
            ensure!(!points.is_empty(), "the series {name:?} has no points");
            for (i, &(x, y)) in points.iter().enumerate() {
                ensure!(
                    drawable(x) && drawable(y),
                    "point {i} of the series {name:?} is ({x}, {y}), expected finite numbers; a \
                     loss that is not finite means that training diverged (try a smaller learning \
                     rate)"
                );
            }
        }
        if let Some((low, high)) = self.y_range {
            ensure!(
                drawable(low) && drawable(high) && low < high,
                "the y range is {low} to {high}, expected two finite numbers, the smaller one first"
            );
        }
        Ok(())
    }

    pub(super) fn draw(&self, part: &Part) -> Result<()> {
        let part = titled(part, self.title.as_deref());
        let keys: Vec<(Key, String)> = self
            .series
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (Key::Series(index), name.clone()))
            .collect();
        let part = legend(&part, &keys)?;

        let points = || self.series.iter().flat_map(|(_, points)| points);
        let whole = points().all(|(x, _)| x.fract() == 0.0);
        let ticks = (part.width() / 60.0).clamp(2.0, 10.0);
        let x = range(points().map(|&(x, _)| x));
        let x = Axis::numbers(&self.x_label, x, ticks, whole, Ends::Margin);
        let ticks = (part.height() / 45.0).clamp(2.0, 8.0);
        let shown = self.y_range.iter().flat_map(|&(least, most)| [least, most]);
        let y = range(points().map(|&(_, y)| y).chain(shown));
        let y = Axis::numbers(&self.y_label, y, ticks, false, Ends::Tick);

        let plot = axes(&part, x, y)?;
        for (index, (_, points)) in self.series.iter().enumerate() {
            let points: Vec<(f64, f64)> = points.iter().map(|&point| plot.at(point)).collect();
            plot.part.line(&points, theme::LINE_WIDTH, theme::series(index));
            // Long curves get about 25 markers.
            for &point in points.iter().step_by(points.len().div_ceil(25)) {
                plot.part.marker(index, point);
            }
        }
        Ok(())
    }
}

/// Draws panels of lines side by side.
pub(super) fn side_by_side(panels: &[Lines], part: &Part) -> Result<()> {
    let gaps = (panels.len() - 1) as f64 * theme::PANEL_GAP;
    let width = (part.width() - gaps) / panels.len() as f64;
    for (i, panel) in panels.iter().enumerate() {
        let (_, rest) = part.cut_left(i as f64 * (width + theme::PANEL_GAP));
        panel.draw(&rest.cut_left(width).0)?;
    }
    Ok(())
}

fn drawable(value: f64) -> bool {
    value.abs() <= 1e100
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}
