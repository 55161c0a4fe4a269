//! Bars side by side, one group for each category.

use crate::Result;
use crate::data::{ClassCounts, Split};
use crate::figure::theme::{self, Color};
use crate::figure::{Axis, Ends, Figure, Key, Part, axes, legend};
use crate::table::thousands;
use anyhow::{Context, ensure};

/// Named series of bars over the same categories, with a legend above the data.
///
/// ```
/// use mnist_kit::plot::Bars;
///
/// let figure = Bars::new("Class", "Images", ["0", "1", "2"])
///     .series("train", [990.0, 1120.0, 995.0])
///     .series("validation", [198.0, 224.0, 199.0])
///     .plot()?
///     .title("Images per class");
/// assert!(figure.to_svg()?.contains("validation"));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bars {
    x_label: String,
    y_label: String,
    categories: Vec<String>,
    logarithmic: bool,
    series: Vec<(String, Color, Vec<f64>)>,
}

impl Bars {
    /// Creates axes with these labels and categories and without bars; write units into the labels.
    pub fn new<T: Into<String>>(
        x_label: impl Into<String>,
        y_label: impl Into<String>,
        categories: impl IntoIterator<Item = T>,
    ) -> Bars {
        Bars {
            x_label: x_label.into(),
            y_label: y_label.into(),
            categories: categories.into_iter().map(Into::into).collect(),
            logarithmic: false,
            series: Vec::new(),
        }
    }

    /// Makes the vertical axis logarithmic, for heights of different magnitudes.
    ///
    /// A height of 0 has no bar. Say in the label of the axis that it is logarithmic: lengths of bars
    /// then stand for factors.
    ///
    /// ```
    /// use mnist_kit::plot::Bars;
    ///
    /// let bars = Bars::new("Mistakes", "Images (logarithmic)", ["none", "one", "two"]);
    /// let figure = bars.series("images", [9_876.0, 120.0, 4.0]).logarithmic().plot()?;
    /// assert!(figure.to_svg()?.contains(">1000</text>"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn logarithmic(self) -> Bars {
        Bars { logarithmic: true, ..self }
    }

    /// Adds a series with one height, 0 or more, for each category.
    pub fn series(self, name: impl Into<String>, heights: impl IntoIterator<Item = f64>) -> Bars {
        let color = theme::series(self.series.len());
        self.colored(name, color, heights)
    }

    /// Adds a [`series`](Bars::series) in a color with a meaning, such as
    /// [`BLUISH_GREEN`](theme::BLUISH_GREEN) for correct predictions.
    pub fn colored(
        mut self,
        name: impl Into<String>,
        color: Color,
        heights: impl IntoIterator<Item = f64>,
    ) -> Bars {
        self.series.push((name.into(), color, heights.into_iter().collect()));
        self
    }

    /// Returns the figure.
    ///
    /// # Errors
    /// No categories, no series, a series whose length differs from the number of categories, or a
    /// height that is negative or not finite.
    pub fn plot(&self) -> Result<Figure> {
        const WIDTH: f64 = 560.0;
        self.check()?;
        // Turned names below the axis do not make the bars shorter.
        let x = Axis::named(&self.x_label, &self.categories);
        let names = x.below(0.85 * WIDTH) - Axis::named("", &[]).below(WIDTH);
        let bars = self.clone();
        Ok(Figure::new(WIDTH, 360.0 + names.min(200.0), move |part| bars.draw(part)))
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.categories.is_empty(), "nothing to plot: no categories");
        ensure!(!self.series.is_empty(), "nothing to plot: add a series first");
        for (name, _, heights) in &self.series {
            ensure!(
                heights.len() == self.categories.len(),
                "the series {name:?} has {} bars for {} categories",
                heights.len(),
                self.categories.len()
            );
            if let Some(wrong) = heights.iter().find(|height| !(0.0..=1e100).contains(*height)) {
                anyhow::bail!("a bar of the series {name:?} is {wrong} high, expected 0 or more");
            }
        }
        Ok(())
    }

    fn draw(&self, part: &Part) -> Result<()> {
        let keys: Vec<(Key, String)> = self
            .series
            .iter()
            .map(|(name, color, _)| (Key::Box(*color, ""), name.clone()))
            .collect();
        let part = if keys.len() > 1 { legend(part, &keys)? } else { *part };
        let x = Axis::named(&self.x_label, &self.categories);
        let heights = || self.series.iter().flat_map(|(_, _, heights)| heights).copied();
        let ticks = (part.height() / 45.0).clamp(2.0, 8.0);
        let y = amounts(&self.y_label, heights(), ticks, self.logarithmic);
        let plot = axes(&part, x, y)?;
        let width = 0.8 / self.series.len() as f64;
        for (index, (_, color, heights)) in self.series.iter().enumerate() {
            for (category, &height) in heights.iter().enumerate() {
                let left = category as f64 + 0.1 + index as f64 * width;
                if height >= plot.bottom() {
                    plot.bar((left, left + width), (plot.bottom(), height), *color);
                }
            }
        }
        Ok(())
    }
}

/// Returns an axis for bars of these heights. A logarithmic one starts at half of the lowest bar.
pub(super) fn amounts(
    label: &str,
    heights: impl Iterator<Item = f64>,
    ticks: f64,
    logarithmic: bool,
) -> Axis {
    let (low, high) = heights
        .filter(|&height| height > 0.0)
        .fold((f64::INFINITY, 0.0f64), |(low, high), height| (low.min(height), high.max(height)));
    if logarithmic && high > 0.0 {
        Axis::powers(label, (low / 2.0, high))
    } else {
        Axis::numbers(label, (0.0, high), ticks, false, Ends::Tick)
    }
}

/// Returns whether the highest bar hides the others on a linear axis: it is more than 20 times as
/// high as the median of the bars.
pub(super) fn hides_others(heights: &[f64]) -> bool {
    let mut heights: Vec<f64> = heights.iter().copied().filter(|&height| height > 0.0).collect();
    heights.sort_by(f64::total_cmp);
    let median = heights.get(heights.len().saturating_sub(1) / 2);
    median.zip(heights.last()).is_some_and(|(median, highest)| *highest > 20.0 * median)
}

/// Plots the fraction of each class in each of the named splits, side by side.
///
/// Fractions, in percent, make splits of different sizes comparable; the sizes are in the legend.
///
/// # Errors
/// No splits, a split without images, or splits of different classes.
///
/// ```
/// use mnist_kit::{data::Mnist, plot::class_balance};
///
/// let digits = Mnist::generated(7, 100, 50)?;
/// let figure = class_balance(&[("train", &digits.train), ("test", &digits.test)])?;
/// assert!(figure.to_svg()?.contains("test (50 images)"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn class_balance(splits: &[(&str, &Split)]) -> Result<Figure> {
    let (_, first) = splits.first().context("no splits to compare; name at least one")?;
    let names = first.class_names();
    let mut bars = Bars::new("Class", "Images (% of the split)", names.iter().cloned());
    for (name, split) in splits {
        ensure!(!split.is_empty(), "the split {name:?} has no images");
        ensure!(
            split.class_names() == names,
            "the split {name:?} has the classes {:?}, the first one {names:?}; compare splits of the \
             same data",
            split.class_names()
        );
        let total = split.len() as f64;
        let counts = split.class_counts()?;
        let percents = counts.counts().iter().map(|&count| 100.0 * count as f64 / total);
        bars = bars.series(format!("{name} ({} images)", thousands(split.len() as i64)), percents);
    }
    let note = splits.iter().find_map(|(_, split)| split.note());
    Ok(bars.plot()?.title("Class balance").note(note))
}

impl ClassCounts {
    /// Plots the number of images of each class as bars.
    ///
    /// ```
    /// use mnist_kit::data::Mnist;
    ///
    /// let figure = Mnist::generated(7, 50, 10)?.train.class_counts()?.plot()?;
    /// assert!(figure.to_svg()?.contains("Class"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        let counts = self.counts().iter().map(|&count| count as f64);
        let bars = Bars::new("Class", "Images", self.class_names().iter().cloned())
            .series("images", counts);
        Ok(bars.plot()?.title(self.title()).note(self.note()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bar_hides_the_others_on_a_linear_axis() {
        assert!(hides_others(&[0.0, 6.0, 2.0, 3.0, 1953.0]));
        assert!(!hides_others(&[100.0, 120.0, 90.0]));
        assert!(!hides_others(&[1953.0]));
        assert!(!hides_others(&[]));
    }
}
