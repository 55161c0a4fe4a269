//! Confidence against accuracy.

use super::bars::{Bars, amounts, hides_others};
use crate::Result;
use crate::eval::{Bin, Bins, Reliability};
use crate::figure::{Axis, Ends, Figure, Key, Part, Plot, axes, legend, text_width, theme};
use crate::table::thousands;
use plotters::style::text_anchor::HPos;

impl Reliability {
    /// Plots the accuracy of each bin against the diagonal of perfect calibration, and below it the
    /// number of predictions in each bin.
    ///
    /// A bar below the diagonal means that the model is overconfident; the gap up to the mean
    /// confidence is drawn on top of the bar. The axis of the counts is logarithmic where one bin
    /// would hide the others. The expected calibration error is written below.
    ///
    /// ```
    /// use mnist_kit::eval::{Bins, Reliability};
    ///
    /// let reliability = Reliability::new(&[0.9, 0.9, 0.6], &[true, false, true], Bins::EqualWidth(10))?;
    /// assert!(reliability.plot()?.to_svg()?.contains("Expected calibration error"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        let bins: Vec<Bin> = self.bins().iter().copied().filter(|bin| bin.count > 0).collect();
        let caption = format!(
            "Expected calibration error: {:.4} (mean gap between confidence and accuracy, by predictions)",
            self.ece()
        );
        let figure = Figure::new(560.0, 520.0, move |part| draw(&bins, part)).caption(caption);
        Ok(figure.note(self.note()))
    }
}

/// Height of the counts as a fraction of the figure.
const COUNTS: f64 = 0.36;

fn draw(bins: &[Bin], part: &Part) -> Result<()> {
    let keys = [
        (Key::Box(theme::BLUE, ""), "accuracy".to_string()),
        (Key::Box(theme::VERMILLION, ""), "overconfident".to_string()),
        (Key::Box(theme::BLUISH_GREEN, ""), "underconfident".to_string()),
    ];
    let (upper, lower) = part.cut_top((1.0 - COUNTS) * part.height());
    let upper = legend(&upper, &keys)?;
    let from_0_to_1 = |label, ticks| Axis::numbers(label, (0.0, 1.0), ticks, false, Ends::Tick);
    let accuracy = from_0_to_1("Accuracy", (upper.height() / 45.0).clamp(2.0, 5.0));
    let heights: Vec<f64> = bins.iter().map(|bin| bin.count as f64).collect();
    let logarithmic = hides_others(&heights);
    let label = if logarithmic { "Predictions (log)" } else { "Predictions" };
    // Room for the numbers above the bars.
    let room = if logarithmic { 2.0 } else { 1.15 };
    let shown = heights.iter().flat_map(|&height| [height, room * height]);
    let counts = amounts(label, shown, (lower.height() / 45.0).clamp(2.0, 5.0), logarithmic);

    // Both plots start at the same place, so that their bins are in line.
    let beside = accuracy.beside().max(counts.beside());
    let upper = upper.cut_left(beside - accuracy.beside()).1;
    let lower = lower.cut_left(beside - counts.beside()).1;
    let upper = axes(&upper, from_0_to_1("", 5.0), accuracy)?;
    let lower = axes(&lower, from_0_to_1("Confidence", 5.0), counts)?;
    for bin in bins {
        let (low, high) = (bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence));
        let gap =
            if bin.confidence > bin.accuracy { theme::VERMILLION } else { theme::BLUISH_GREEN };
        upper.bar(width(bin, &upper), (low, high), gap);
        upper.bar(width(bin, &upper), (0.0, low), theme::BLUE);
        let height = bin.count as f64;
        lower.bar(width(bin, &lower), (lower.bottom(), height), theme::PALE_BLUE);
        write_count(bin, &lower);
    }
    let diagonal = [upper.at((0.0, 0.0)), upper.at((1.0, 1.0))];
    upper.part.line(&diagonal, theme::LINE_WIDTH, theme::INK);
    Ok(())
}

/// Returns the ends of a bin's bar, with a gap of a pixel between bins; bins of equal mass may be
/// narrower than that.
fn width(bin: &Bin, plot: &Plot) -> (f64, f64) {
    let pixel = 1.0 / plot.part.width();
    let start = bin.range.0 + 0.5 * pixel;
    (start, start + (bin.range.1 - bin.range.0 - pixel).max(2.0 * pixel))
}

/// Writes the count above its bar if it is not wider than the bar.
fn write_count(bin: &Bin, plot: &Plot) {
    const SMALLER: f64 = 0.8;
    let text = thousands(bin.count as i64);
    let (start, end) = width(bin, plot);
    let room = (end - start) * plot.part.width();
    let style = theme::TICK;
    if SMALLER * text_width(&text, style) <= room {
        let (x, top) = plot.at(((start + end) / 2.0, bin.count as f64));
        plot.part.text(&text, (x, top - 0.65 * style.size), style, HPos::Center, room);
    }
}

/// Plots the confidence of correct and of wrong predictions in ten bins, each in percent of its own
/// group. The axis is logarithmic where one bin of a group would hide its others.
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
    let logarithmic = hides_others(&right_percents) || hides_others(&wrong_percents);
    let label = if logarithmic { "Predictions (%, logarithmic)" } else { "Predictions (%)" };
    let bars = Bars::new("Confidence up to", label, names)
        .colored(format!("right ({right})"), theme::BLUISH_GREEN, right_percents)
        .colored(format!("wrong ({wrong})"), theme::VERMILLION, wrong_percents);
    if logarithmic { bars.logarithmic().plot() } else { bars.plot() }
}
