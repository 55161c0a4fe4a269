//! Confidence against accuracy.

use super::bars::Bars;
use crate::Result;
use crate::eval::{Bin, Bins, Reliability};
use crate::figure::{Axis, Ends, Figure, Key, Part, axes, legend, panel_title, theme};

impl Reliability {
    /// Plots the accuracy of each bin against the diagonal of perfect calibration, and the number
    /// of predictions in each bin.
    ///
    /// A bar below the diagonal means that the model is overconfident; the gap up to the mean
    /// confidence is drawn on top of the bar. The expected calibration error is written below.
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
        let percent = |bin: &Bin| 100.0 * bin.count as f64 / total;
        // A bin is named after its upper end.
        let names = self.bins().iter().map(|bin| format!("{:.2}", bin.range.1));
        let mut counts = Bars::new("Confidence up to", "Predictions (%)", names)
            .series("predictions", self.bins().iter().map(percent));
        counts.title = Some("Predictions in each bin".to_string());
        counts.check()?;
        let diagram = Diagram { bins, counts };
        let caption = format!(
            "Expected calibration error: {:.4}, mean distance of accuracy and confidence",
            self.ece()
        );
        let figure = Figure::new(860.0, 380.0, move |part| diagram.draw(part)).caption(caption);
        Ok(figure.note(self.note()))
    }
}

struct Diagram {
    bins: Vec<Bin>,
    counts: Bars,
}

impl Diagram {
    fn draw(&self, part: &Part) -> Result<()> {
        let (left, right) = part.cut_left((part.width() - theme::PANEL_GAP) / 2.0);
        self.counts.draw(&right.inset(theme::PANEL_GAP, 0.0, 0.0, 0.0))?;

        let left = panel_title(&left, "Confidence and accuracy", theme::INK);
        let keys = [
            (Key::Box(theme::BLUE, ""), "accuracy".to_string()),
            (Key::Box(theme::VERMILLION, ""), "overconfident".to_string()),
            (Key::Box(theme::BLUISH_GREEN, ""), "underconfident".to_string()),
        ];
        let left = legend(&left, &keys)?;
        let axis = |label| Axis::numbers(label, (0.0, 1.0), 5.0, false, Ends::Tick);
        let plot = axes(&left, axis("Confidence"), axis("Accuracy"))?;
        // A gap of a pixel between bins; bins of equal mass may be narrower than that.
        let pixel = 1.0 / plot.part.width();
        for bin in &self.bins {
            let start = bin.range.0 + 0.5 * pixel;
            let width = (bin.range.1 - bin.range.0 - pixel).max(2.0 * pixel);
            let (low, high) = (bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence));
            let gap =
                if bin.confidence > bin.accuracy { theme::VERMILLION } else { theme::BLUISH_GREEN };
            plot.bar((start, start + width), (low, high), gap);
            plot.bar((start, start + width), (0.0, low), theme::BLUE);
        }
        let diagonal = [plot.at((0.0, 0.0)), plot.at((1.0, 1.0))];
        plot.part.line(&diagonal, theme::LINE_WIDTH, theme::INK);
        Ok(())
    }
}

/// Plots the confidence of correct and of wrong predictions in ten bins, each in percent of its own
/// group.
///
/// # Errors
/// No predictions, or different numbers of confidences and of flags in `right`.
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
    let percents = |total: f64, accuracy: fn(f64) -> f64| -> Vec<f64> {
        let count = |bin: &Bin| bin.count as f64 * accuracy(bin.accuracy);
        all.bins().iter().map(|bin| 100.0 * count(bin) / total.max(1.0)).collect()
    };
    let names = all.bins().iter().map(|bin| format!("{:.1}", bin.range.1));
    let right_percents = percents(right, |accuracy| accuracy);
    let wrong_percents = percents(wrong, |accuracy| 1.0 - accuracy);
    Bars::new("Confidence up to", "Predictions (%)", names)
        .colored(format!("right ({right})"), theme::BLUISH_GREEN, right_percents)
        .colored(format!("wrong ({wrong})"), theme::VERMILLION, wrong_percents)
        .plot()
}
