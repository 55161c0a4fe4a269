//! Named series of points on one pair of axes.

use crate::Result;
use crate::figure::{
    Axis, Ends, Figure, Key, Part, axes, legend, marker_scale, series_line, theme, titled,
};
use anyhow::ensure;

/// Named series of points on one pair of axes, each with its own color and marker.
///
/// The legend is above the data. If every x is a whole number, or the label of that axis is "Epoch",
/// its ticks are whole numbers. A series that would hide another one, because most of its points lie
/// on it, is drawn with gaps and smaller markers, so that both are visible.
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
    logarithmic_x: bool,
    y_range: Option<(f64, f64)>,
    floor: Option<f64>,
    series: Vec<(String, Vec<(f64, f64)>)>,
}

impl Lines {
    /// Creates axes with these labels and without points; write units into the labels.
    pub fn new(x_label: impl Into<String>, y_label: impl Into<String>) -> Lines {
        Lines {
            title: None,
            x_label: x_label.into(),
            y_label: y_label.into(),
            logarithmic_x: false,
            y_range: None,
            floor: None,
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

    /// Makes the horizontal axis logarithmic, for values of different magnitudes; each x has to be
    /// above 0. Say in the label of the axis that it is logarithmic.
    ///
    /// ```
    /// use mnist_kit::plot::Lines;
    ///
    /// let lines = Lines::new("Seconds (logarithmic)", "Accuracy (%)");
    /// let lines = lines.series("MLP", [(3.0, 96.9)]).series("CNN", [(250.0, 98.9)]);
    /// assert!(lines.logarithmic_x().plot()?.to_svg()?.contains(">100</text>"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn logarithmic_x(self) -> Lines {
        Lines { logarithmic_x: true, ..self }
    }

    /// Shows at least the y values from `low` to `high`, and more if the data needs it.
    pub fn y_range(mut self, low: f64, high: f64) -> Lines {
        self.y_range = Some((low, high));
        self
    }

    /// Chooses the range of y for accuracies in percent, so that the last epochs can be told apart.
    ///
    /// The axis ends at 100. It starts 2.5 times as far below 100 as the median of all points is, and
    /// points below it are marked by arrows. If all points fit into 1.6 times that range, it starts
    /// at the lowest of them instead. Call it after the last [`series`](Lines::series).
    ///
    /// ```
    /// use mnist_kit::plot::Lines;
    ///
    /// let accuracies = [(1.0, 16.7), (2.0, 96.1), (3.0, 97.0), (4.0, 97.6), (5.0, 98.0)];
    /// let lines = Lines::new("Epoch", "Accuracy (%)").series("Test", accuracies).percent_range();
    /// let svg = lines.plot()?.to_svg()?;
    /// assert!(svg.contains(">98</text>") && svg.contains("below the axis"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn percent_range(mut self) -> Lines {
        let mut percents: Vec<f64> =
            self.series.iter().flat_map(|(_, points)| points).map(|&(_, y)| y).collect();
        percents.sort_by(f64::total_cmp);
        let (Some(&lowest), Some(&median)) = (percents.first(), percents.get(percents.len() / 2))
        else {
            return self;
        };
        // Less than a percent would show differences of single images.
        let span = (2.5 * (100.0 - median)).clamp(1.0, 100.0);
        let low = if 100.0 - lowest <= 1.6 * span { lowest.min(99.0) } else { 100.0 - span };
        self.floor = (lowest < low).then_some(low);
        self.y_range = Some((low, 100.0));
        self
    }

    /// Returns the figure.
    ///
    /// # Errors
    /// No series, an empty series, a number that is not finite (or beyond 1e100), or on a logarithmic
    /// axis an x that is not above 0.
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
                ensure!(
                    x > 0.0 || !self.logarithmic_x,
                    "point {i} of the series {name:?} is ({x}, {y}), expected x above 0 on a \
                     logarithmic axis"
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
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let x = range(points().map(|&(x, _)| x));
        let shown = self.y_range.iter().flat_map(|&(least, most)| [least, most]);
        let floor = self.floor.unwrap_or(f64::NEG_INFINITY);
        let y = range(points().map(|&(_, y)| y).filter(|&y| y >= floor).chain(shown));
        let over = self.overlaps(x, y);
        // One row of the legend is taken off; the number of ticks need not be exact.
        let ticks = ((part.height() - theme::TEXT_BAND) / 45.0).clamp(2.0, 8.0);
        let y = Axis::numbers(&self.y_label, y, ticks, false, Ends::Tick);

        let key = |(index, (name, _)): (usize, &(String, _))| {
            (Key::Series { index, over: over[index] }, name.clone())
        };
        let mut keys: Vec<(Key, String)> = self.series.iter().enumerate().map(key).collect();
        if points().any(|&(_, value)| value < y.range.start) {
            keys.push((Key::Below, "below the axis".to_string()));
        }
        let part = legend(&part, &keys)?;

        let whole = self.x_label == "Epoch" || points().all(|(x, _)| x.fract() == 0.0);
        let ticks = (part.width() / 60.0).clamp(2.0, 10.0);
        let x = match self.logarithmic_x {
            // Markers at the lower end stand free of the axis.
            true => Axis::powers(&self.x_label, (0.7 * x.0, x.1)),
            false => Axis::numbers(&self.x_label, x, ticks, whole, Ends::Margin),
        };
        let plot = axes(&part, x, y)?;
        // Arrows of several series stand side by side.
        let beside = |index: usize| 8.0 * (index as f64 - (self.series.len() - 1) as f64 / 2.0);
        for (index, (_, points)) in self.series.iter().enumerate() {
            for piece in above(points, plot.bottom()) {
                let piece: Vec<(f64, f64)> = piece.iter().map(|&point| plot.at(point)).collect();
                series_line(&plot.part, &piece, index, over[index]);
            }
            // Long curves get about 25 markers.
            for &point in points.iter().step_by(points.len().div_ceil(25)) {
                let (x, y) = plot.at(point);
                if point.1 >= plot.bottom() {
                    plot.part.marker(index, (x, y), marker_scale(over[index]));
                } else {
                    let at = (x + beside(index), plot.part.height() - 5.0);
                    plot.part.arrow_down(at, theme::series(index));
                }
            }
        }
        Ok(())
    }

    /// For each series, the number of earlier ones that it would hide: half of its points lie on
    /// them.
    fn overlaps(&self, x: (f64, f64), y: (f64, f64)) -> Vec<usize> {
        // Distances are judged on a plot of about the usual size, in pixels.
        const SIZE: (f64, f64) = (450.0, 250.0);
        const NEAR: f64 = 2.0;
        let place = |value: f64, (low, high): (f64, f64), size: f64| {
            size * (value - low) / (high - low).max(1e-90)
        };
        let across = |x: f64| if self.logarithmic_x { x.log10() } else { x };
        let x = (across(x.0), across(x.1));
        let curves: Vec<Vec<(f64, f64)>> = self
            .series
            .iter()
            .map(|(_, points)| {
                let at = |&(a, b)| (place(across(a), x, SIZE.0), place(b, y, SIZE.1));
                points.iter().map(at).collect()
            })
            .collect();
        let hides = |upper: &[(f64, f64)], lower: &[(f64, f64)]| {
            let sample: Vec<_> = upper.iter().step_by(upper.len().div_ceil(64)).collect();
            let near = sample.iter().filter(|&&&at| distance(at, lower) < NEAR).count();
            2 * near >= sample.len()
        };
        let over = |(index, upper): (usize, &Vec<(f64, f64)>)| {
            curves[..index].iter().filter(|lower| hides(upper, lower)).count()
        };
        curves.iter().enumerate().map(over).collect()
    }
}

/// Returns the distance of a point from a curve through points.
fn distance(at: (f64, f64), curve: &[(f64, f64)]) -> f64 {
    let to_piece = |start: (f64, f64), end: (f64, f64)| {
        let (dx, dy) = (end.0 - start.0, end.1 - start.1);
        let along = (at.0 - start.0) * dx + (at.1 - start.1) * dy;
        let fraction = (along / (dx * dx + dy * dy).max(1e-90)).clamp(0.0, 1.0);
        (at.0 - start.0 - fraction * dx).hypot(at.1 - start.1 - fraction * dy)
    };
    let pieces = curve.windows(2).map(|pair| to_piece(pair[0], pair[1]));
    pieces.chain(curve.first().map(|&only| to_piece(only, only))).fold(f64::INFINITY, f64::min)
}

/// Cuts a curve at a lower end of y; returns the pieces above it.
fn above(points: &[(f64, f64)], low: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (index, &(x, y)) in points.iter().enumerate() {
        if let Some(&(before_x, before_y)) = index.checked_sub(1).and_then(|i| points.get(i))
            && (before_y >= low) != (y >= low)
        {
            let crossing = before_x + (x - before_x) * (low - before_y) / (y - before_y);
            if let Some(piece) = pieces.last_mut() {
                piece.push((crossing, low));
            }
            if y < low {
                pieces.push(Vec::new());
            }
        }
        if y >= low
            && let Some(piece) = pieces.last_mut()
        {
            piece.push((x, y));
        }
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy(percents: &[f64]) -> Lines {
        let points = percents.iter().enumerate().map(|(i, &percent)| (i as f64 + 1.0, percent));
        Lines::new("Epoch", "Accuracy (%)").series("Test", points).percent_range()
    }

    #[test]
    fn accuracies_get_a_range_that_shows_the_last_epochs() {
        // The median is 3 below 100: the axis starts 7.5 below, and two points lie under it.
        let lines = accuracy(&[16.7, 88.0, 97.0, 97.5, 98.0]);
        assert_eq!((lines.floor, lines.y_range), (Some(92.5), Some((92.5, 100.0))));
        // All points are near: nothing is cut.
        let lines = accuracy(&[89.0, 94.5, 95.7]);
        assert_eq!((lines.floor, lines.y_range), (None, Some((89.0, 100.0))));
        // The range is at least a percent, and no more than a hundred.
        assert_eq!(accuracy(&[100.0, 100.0]).y_range, Some((99.0, 100.0)));
        assert_eq!(accuracy(&[0.0, 10.0, 11.0]).y_range, Some((0.0, 100.0)));
        assert_eq!(accuracy(&[]).y_range, None);
    }

    #[test]
    fn curves_are_cut_at_the_lower_end() {
        let curve = [(0.0, 0.0), (1.0, 10.0), (2.0, 6.0), (3.0, 2.0), (4.0, 2.0), (5.0, 6.0)];
        let pieces = above(&curve, 4.0);
        assert_eq!(
            pieces,
            [vec![(0.4, 4.0), (1.0, 10.0), (2.0, 6.0), (2.5, 4.0)], vec![(4.5, 4.0), (5.0, 6.0)]]
        );
    }

    #[test]
    fn a_series_on_another_one_is_told() {
        let curve = |shift: f64| (0..9).map(move |i| (f64::from(i), f64::from(i % 4) + shift));
        let lines = Lines::new("Epoch", "Loss")
            .series("a", curve(0.0))
            .series("b", curve(1.0))
            .series("c", curve(0.0))
            .series("d", curve(0.001));
        assert_eq!(lines.overlaps((0.0, 8.0), (0.0, 4.0)), [0, 0, 1, 2]);
    }

    #[test]
    fn points_near_each_other_lie_apart_on_a_logarithmic_axis() {
        let lines = Lines::new("Seconds", "Accuracy (%)")
            .series("a", [(3.0, 99.1)])
            .series("b", [(10.0, 99.1)])
            .series("c", [(10_000.0, 97.0)]);
        let (x, y) = ((3.0, 10_000.0), (97.0, 99.1));
        assert_eq!(lines.overlaps(x, y), [0, 1, 0]);
        assert_eq!(lines.logarithmic_x().overlaps(x, y), [0, 0, 0]);
    }
}
