//! Named series of points on one pair of axes.

use super::axes::{Axis, Ends, Key, axes, legend, titled};
use super::figure::{Drawing, Figure};
use super::part::{Backend, Part};
use super::theme;
use crate::Result;
use anyhow::ensure;
use plotters::prelude::*;

type Point = (f64, f64);

/// Named series on one pair of axes, each with its own colour and marker; the legend stands above the data.
///
/// Where every x is a whole number, as epochs are, only whole numbers are written on that axis.
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
    series: Vec<(String, Vec<Point>)>,
}

impl Lines {
    /// Axes with these labels and nothing on them yet; write units into the labels.
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

    /// Shows at least the y values from `low` to `high`; more where the data needs it.
    pub fn y_range(mut self, low: f64, high: f64) -> Lines {
        self.y_range = Some((low, high));
        self
    }

    /// The figure.
    ///
    /// # Errors
    /// When there is no series, a series is empty, or a number is not finite (or beyond 1e100).
    pub fn plot(self) -> Result<Figure> {
        self.check()?;
        Ok(Figure::new(560.0, 360.0, Drawing::Lines(vec![self])))
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.series.is_empty(), "nothing to plot: add a series first");
        for (name, points) in &self.series {
            ensure!(!points.is_empty(), "the series {name:?} has no points");
            for (i, &(x, y)) in points.iter().enumerate() {
                ensure!(
                    drawable(x) && drawable(y),
                    "point {i} of the series {name:?} is ({x}, {y}), expected finite numbers; \
                     a loss that is not finite means that training diverged (try a smaller learning rate)"
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

    pub(super) fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        let titled = titled(part, self.title.as_deref())?;
        let keys: Vec<(Key, String)> = self
            .series
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (Key::Series(index), name.clone()))
            .collect();
        let part = legend(&titled, &keys)?;

        let points = || self.series.iter().flat_map(|(_, points)| points);
        let whole = points().all(|(x, _)| x.fract() == 0.0);
        let ticks = (part.width() / 60.0).clamp(2.0, 10.0);
        let x = range(points().map(|&(x, _)| x));
        let x = Axis::numbers(&self.x_label, x, ticks, whole, Ends::Margin);
        let ticks = (part.height() / 45.0).clamp(2.0, 8.0);
        let shown = self.y_range.iter().flat_map(|&(least, most)| [least, most]);
        let y = range(points().map(|&(_, y)| y).chain(shown));
        let y = Axis::numbers(&self.y_label, y, ticks, false, Ends::Tick);

        let (mut chart, _) = axes(&part, &x, &y)?;
        let (left, top) = part.area.get_base_pixel();
        for (index, (_, points)) in self.series.iter().enumerate() {
            let width = part.scale.stroke(theme::LINE_WIDTH);
            let style = theme::series(index).rgb().stroke_width(width);
            if part.scale.bitmap {
                // Long thick paths have spikes at sharp corners there: each piece is drawn alone, with a round joint.
                let pieces = points.windows(2).map(|pair| PathElement::new(pair.to_vec(), style));
                chart.draw_series(pieces)?;
                let joint = |&point| Circle::new(point, width as i32 / 2, style.filled());
                chart.draw_series(points.iter().map(joint))?;
            } else {
                chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            }
            // Long curves get a marker now and then; plotters would cut markers at the border of the data's own area.
            for &point in points.iter().step_by(points.len().div_ceil(25)) {
                let (x, y) = chart.backend_coord(&point);
                part.marker(index, (x - left, y - top))?;
            }
        }
        Ok(())
    }
}

fn drawable(value: f64) -> bool {
    value.abs() <= 1e100
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}
