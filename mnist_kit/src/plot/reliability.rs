//! Confidence against accuracy as pictures.

use super::axes::{Axis, Ends, Key, axes, legend, panel_title};
use super::bars::Bars;
use super::figure::{Drawing, Figure};
use super::part::{Backend, Part};
use super::theme;
use crate::Result;
use crate::eval::{Bin, Bins, Reliability};

impl Reliability {
    /// Two panels: the accuracy of each bin against the diagonal of perfect calibration, and how many
    /// predictions each bin has.
    ///
    /// A bar below the diagonal is a model that is surer than it is right; what is missing up to the mean
    /// confidence is drawn on top of it. The expected calibration error stands below.
    ///
    /// # Errors
    /// None: whatever [`Reliability::new`] has sorted into bins can be drawn.
    ///
    /// ```
    /// use mnist_kit::eval::{Bins, Reliability};
    ///
    /// let reliability = Reliability::new(&[0.9, 0.9, 0.6], &[true, false, true], Bins::EqualWidth(10))?;
    /// assert!(reliability.plot()?.to_svg()?.contains("Expected calibration error"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        let bins = self.bins().iter().copied().filter(|bin| bin.count > 0).collect();
        let total = self.bins().iter().map(|bin| bin.count).sum::<usize>() as f64;
        let share = |bin: &Bin| 100.0 * bin.count as f64 / total;
        // One name for each bin: where it ends.
        let names = self.bins().iter().map(|bin| format!("{:.2}", bin.range.1));
        let mut counts = Bars::new("Confidence up to", "Predictions (%)", names)
            .series("predictions", self.bins().iter().map(share));
        counts.title = Some("How many predictions".to_string());
        counts.check()?;
        let diagram = Diagram { bins, counts };
        let caption = format!(
            "Expected calibration error: {:.4}, mean distance of accuracy and confidence",
            self.ece()
        );
        let figure = Figure::new(860.0, 380.0, Drawing::Reliability(diagram)).caption(caption);
        Ok(figure.note(self.note()))
    }
}

pub(super) struct Diagram {
    bins: Vec<Bin>,
    counts: Bars,
}

impl Diagram {
    pub fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        let (left, right) = part.cut_left((part.width() - theme::PANEL_GAP) / 2.0);
        self.counts.draw(&right.inset(theme::PANEL_GAP, 0.0, 0.0, 0.0))?;

        let left = panel_title(&left, "Confidence and accuracy", theme::INK)?;
        let keys = [
            (Key::Box(theme::BLUE, ""), "accuracy".to_string()),
            (Key::Box(theme::VERMILLION, ""), "too sure".to_string()),
            (Key::Box(theme::BLUISH_GREEN, ""), "not sure enough".to_string()),
        ];
        let left = legend(&left, &keys)?;
        let axis = |label| Axis::numbers(label, (0.0, 1.0), 5.0, false, Ends::Tick);
        let (_, plot) = axes(&left, &axis("Confidence"), &axis("Accuracy"))?;
        let (width, height) = (plot.width(), plot.height());
        for bin in &self.bins {
            let (start, end) = bin.range;
            // Bins of equal mass may be narrower than a line.
            let across = ((end - start) * width - 1.0).max(2.0);
            let x = start * width + 0.5;
            let (low, high) = (bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence));
            let gap =
                if bin.confidence > bin.accuracy { theme::VERMILLION } else { theme::BLUISH_GREEN };
            plot.rect((x, (1.0 - high) * height), across, (high - low) * height, gap)?;
            plot.rect((x, (1.0 - low) * height), across, low * height, theme::BLUE)?;
        }
        plot.line(&[(0.0, height), (width, 0.0)], theme::LINE_WIDTH, theme::INK)
    }
}

/// How sure a model was where it was right and where it was wrong, each as shares of its own
/// predictions, in ten bins.
///
/// # Errors
/// When the numbers of confidences and answers differ, or there are none.
///
/// ```
/// use mnist_kit::plot::confidence_histogram;
///
/// let figure = confidence_histogram(&[0.99, 0.95, 0.5], &[true, true, false])?;
/// assert!(figure.to_svg()?.contains("wrong (1)"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn confidence_histogram(confidences: &[f64], right: &[bool]) -> Result<Figure> {
    const BINS: usize = 10;
    let all = Reliability::new(confidences, right, Bins::EqualWidth(BINS))?;
    let total = right.iter().filter(|&&right| right).count();
    let (right, wrong) = (total as f64, (confidences.len() - total) as f64);
    let shares = |total: f64, accuracy: fn(f64) -> f64| -> Vec<f64> {
        let count = |bin: &Bin| bin.count as f64 * accuracy(bin.accuracy);
        all.bins().iter().map(|bin| 100.0 * count(bin) / total.max(1.0)).collect()
    };
    let names = all.bins().iter().map(|bin| format!("{:.1}", bin.range.1));
    let right_shares = shares(right, |accuracy| accuracy);
    let wrong_shares = shares(wrong, |accuracy| 1.0 - accuracy);
    Bars::new("Confidence up to", "Share of the predictions (%)", names)
        .colored(format!("right ({right})"), theme::BLUISH_GREEN, right_shares)
        .colored(format!("wrong ({wrong})"), theme::VERMILLION, wrong_shares)
        .plot()
}
