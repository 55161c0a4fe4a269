//! Bars side by side, one group for each category.

use super::axes::{Axis, Ends, Key, axes, legend, titled};
use super::figure::{Drawing, Figure};
use super::part::{Backend, Part};
use super::theme::{self, Color};
use crate::Result;
use crate::data::ClassCounts;
use anyhow::ensure;

/// Named series of bars over the same categories; the legend stands above the data.
///
/// ```
/// use mnist_kit::plot::Bars;
///
/// let figure = Bars::new("Class", "Images", ["0", "1", "2"])
///     .series("train", [990.0, 1120.0, 995.0])
///     .series("validation", [198.0, 224.0, 199.0])
///     .plot()?
///     .title("Images by class");
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
    /// Axes with these labels and categories and no bars yet; write units into the labels.
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

    /// Adds a series, one height for each category, 0 or more.
    pub fn series(self, name: impl Into<String>, heights: impl IntoIterator<Item = f64>) -> Bars {
        let color = theme::series(self.series.len());
        self.colored(name, color, heights)
    }

    /// [`series`](Bars::series) in a colour that says something, such as
    /// [`BLUISH_GREEN`](theme::BLUISH_GREEN) for right.
    pub fn colored(
        mut self,
        name: impl Into<String>,
        color: Color,
        heights: impl IntoIterator<Item = f64>,
    ) -> Bars {
        self.series.push((name.into(), color, heights.into_iter().collect()));
        self
    }

    /// The figure.
    ///
    /// # Errors
    /// When there is no category or series, a series has another number of bars than there are
    /// categories, or a height is negative or not finite.
    pub fn plot(self) -> Result<Figure> {
        self.check()?;
        Ok(Figure::new(560.0, 360.0, Drawing::Bars(self)))
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

    pub(super) fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        let titled = titled(part, self.title.as_deref())?;
        let keys: Vec<(Key, String)> = self
            .series
            .iter()
            .map(|(name, color, _)| (Key::Box(*color, ""), name.clone()))
            .collect();
        let part = if keys.len() > 1 { legend(&titled, &keys)? } else { titled };
        let x = Axis::named(&self.x_label, &self.categories);
        let highest =
            self.series.iter().flat_map(|(_, _, heights)| heights).fold(0.0, |a, b| b.max(a));
        let ticks = (part.height() / 45.0).clamp(2.0, 8.0);
        let y = Axis::numbers(&self.y_label, (0.0, highest), ticks, false, Ends::Tick);
        let (_, plot) = axes(&part, &x, &y)?;
        let slot = plot.width() / self.categories.len() as f64;
        let width = 0.8 * slot / self.series.len() as f64;
        for (index, (_, color, heights)) in self.series.iter().enumerate() {
            for (category, height) in heights.iter().enumerate() {
                let left = (category as f64 + 0.1) * slot + index as f64 * width;
                let height =
                    (height - y.range.start) / (y.range.end - y.range.start) * plot.height();
                plot.rect((left, plot.height() - height), width, height, *color)?;
            }
        }
        Ok(())
    }
}

impl ClassCounts {
    /// How many images each class has, as bars.
    ///
    /// ```
    /// use mnist_kit::data::Mnist;
    ///
    /// let figure = Mnist::generated(7, 50, 10)?.train.class_counts()?.plot()?;
    /// assert!(figure.to_svg()?.contains("Class"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no class.
    pub fn plot(&self) -> Result<Figure> {
        let classes = (0..self.counts().len()).map(|class| class.to_string());
        let counts = self.counts().iter().map(|&count| count as f64);
        let bars = Bars::new("Class", "Images", classes).series("images", counts);
        Ok(bars.plot()?.title(self.title()).note(self.note()))
    }
}
