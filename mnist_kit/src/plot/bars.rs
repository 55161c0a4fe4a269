//! Bars side by side, one group for each category.

use crate::Result;
use crate::data::ClassCounts;
use crate::figure::theme::{self, Color};
use crate::figure::{Axis, Ends, Figure, Key, Part, axes, legend, titled};
use anyhow::ensure;

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
    pub(super) title: Option<String>,
    x_label: String,
    y_label: String,
    categories: Vec<String>,
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
            title: None,
            x_label: x_label.into(),
            y_label: y_label.into(),
            categories: categories.into_iter().map(Into::into).collect(),
            series: Vec::new(),
        }
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

    pub(super) fn check(&self) -> Result<()> {
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

    pub(super) fn draw(&self, part: &Part) -> Result<()> {
        let part = titled(part, self.title.as_deref());
        let keys: Vec<(Key, String)> = self
            .series
            .iter()
            .map(|(name, color, _)| (Key::Box(*color, ""), name.clone()))
            .collect();
        let part = if keys.len() > 1 { legend(&part, &keys)? } else { part };
        let x = Axis::named(&self.x_label, &self.categories);
        let highest =
            self.series.iter().flat_map(|(_, _, heights)| heights).fold(0.0, |a, b| b.max(a));
        let ticks = (part.height() / 45.0).clamp(2.0, 8.0);
        let y = Axis::numbers(&self.y_label, (0.0, highest), ticks, false, Ends::Tick);
        let plot = axes(&part, x, y)?;
        let width = 0.8 / self.series.len() as f64;
        for (index, (_, color, heights)) in self.series.iter().enumerate() {
            for (category, &height) in heights.iter().enumerate() {
                let left = category as f64 + 0.1 + index as f64 * width;
                plot.bar((left, left + width), (0.0, height), *color);
            }
        }
        Ok(())
    }
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
