//! Calibration: confidence against accuracy.

use super::Evaluation;
use crate::Result;
use crate::check::plain;
use crate::table::{Table, percent};
use anyhow::ensure;
use std::fmt;
use tch::Kind;

/// The division of confidences into bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bins {
    /// Intervals of equal width, this many. The last one includes 1; the others exclude their upper
    /// end.
    EqualWidth(usize),
    /// Groups of (almost) equal size in the order of confidence, this many.
    EqualMass(usize),
}

/// The predictions of a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Lowest and highest confidence of the bin, 0–1.
    pub range: (f64, f64),
    /// Number of predictions.
    pub count: usize,
    /// Mean confidence of the predictions, 0–1; 0 in an empty bin.
    pub confidence: f64,
    /// Fraction of correct predictions, 0–1; 0 in an empty bin.
    pub accuracy: f64,
}

/// Confidence against accuracy, bin by bin.
///
/// A well-calibrated model is right in 80 % of the cases in which its confidence is 80 %.
///
/// ```
/// use mnist_kit::eval::{Bins, Reliability};
///
/// // Two predictions at 90 %, one of them wrong; two at 60 %, one of them wrong.
/// let correct = [true, false, true, false];
/// let reliability = Reliability::new(&[0.9, 0.9, 0.6, 0.6], &correct, Bins::EqualWidth(10))?;
/// assert!((reliability.ece() - (0.5 * 0.4 + 0.5 * 0.1)).abs() < 1e-9);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    bins: Vec<Bin>,
    total: usize,
    note: Option<String>,
}

impl Reliability {
    /// Sorts predictions with their confidences (0–1) into bins.
    ///
    /// # Errors
    /// When there are no predictions or no bins, the two slices differ in length, or a confidence
    /// is not in 0–1.
    pub fn new(confidences: &[f64], right: &[bool], bins: Bins) -> Result<Reliability> {
        ensure!(
            confidences.len() == right.len() && !right.is_empty(),
            "{} confidences and {} predictions, expected the same number of each, at least one",
            confidences.len(),
            right.len()
        );
        if let Some(wrong) = confidences.iter().find(|c| !(0.0..=1.0).contains(*c)) {
            anyhow::bail!("confidence {wrong}: expected 0 to 1");
        }
        let (Bins::EqualWidth(count) | Bins::EqualMass(count)) = bins;
        ensure!((1..=10_000).contains(&count), "{bins:?}: expected 1 to 10,000 bins");
        let total = right.len();
        let mut order: Vec<usize> = (0..total).collect();
        order.sort_by(|&a, &b| confidences[a].total_cmp(&confidences[b]));
        let mut rest = &order[..];
        let bins = (0..count)
            .map(|bin| {
                let upper = (bin + 1) as f64 / count as f64;
                let size = match bins {
                    Bins::EqualMass(_) => total * (bin + 1) / count - total * bin / count,
                    Bins::EqualWidth(_) if bin + 1 == count => rest.len(),
                    Bins::EqualWidth(_) => {
                        rest.partition_point(|&index| confidences[index] < upper)
                    }
                };
                let (inside, after) = rest.split_at(size);
                rest = after;
                let mean = |sum: f64| if size == 0 { 0.0 } else { sum / size as f64 };
                let range = match (bins, inside) {
                    (Bins::EqualMass(_), [first, .., last]) => {
                        (confidences[*first], confidences[*last])
                    }
                    (Bins::EqualMass(_), [only]) => (confidences[*only], confidences[*only]),
                    _ => (bin as f64 / count as f64, upper),
                };
                Bin {
                    range,
                    count: size,
                    confidence: mean(inside.iter().map(|&index| confidences[index]).sum()),
                    accuracy: mean(inside.iter().filter(|&&index| right[index]).count() as f64),
                }
            })
            .collect();
        Ok(Reliability { bins, total, note: None })
    }

    /// The bins, by confidence.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// The note that figures show, see [`Split::note`](crate::data::Split::note).
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Expected calibration error (Guo et al., 2017): the absolute difference between confidence
    /// and accuracy, averaged over the bins with their counts as weights. 0 is perfect, 1 the
    /// worst.
    pub fn ece(&self) -> f64 {
        let gap = |bin: &Bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs();
        self.bins.iter().map(gap).sum::<f64>() / self.total as f64
    }

    /// The bins as a table.
    pub fn table(&self) -> Table {
        let header = ["confidence", "predictions", "mean confidence", "accuracy"];
        let mut table = Table::new(header).note(self.note());
        for bin in self.bins.iter().filter(|bin| bin.count > 0) {
            table.push([
                format!("{:.2} – {:.2}", bin.range.0, bin.range.1),
                bin.count.to_string(),
                percent(bin.confidence),
                percent(bin.accuracy),
            ]);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for Reliability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

impl Evaluation {
    /// The confidence of each prediction, 0–1, and whether it is correct, in the split's order.
    pub fn confidences(&self) -> Result<(Vec<f64>, Vec<bool>)> {
        let confidences = || {
            let (highest, predictions) = self.probabilities()?.f_max_dim(1, false)?;
            let right = predictions.f_eq_tensor(self.labels())?;
            Ok((Vec::try_from(highest.f_to_kind(Kind::Double)?)?, Vec::try_from(right)?))
        };
        plain(confidences())
    }

    /// Sorts the predictions into bins by confidence.
    ///
    /// # Errors
    /// When there are no bins.
    pub fn reliability(&self, bins: Bins) -> Result<Reliability> {
        let (confidences, right) = self.confidences()?;
        let note = self.split().note().map(str::to_string);
        Ok(Reliability { note, ..Reliability::new(&confidences, &right, bins)? })
    }

    /// Brier score (Brier, 1950): the squared difference between the probabilities and the one-hot
    /// label, summed over the classes and averaged over the images. 0 is perfect, 2 the worst.
    pub fn brier(&self) -> Result<f64> {
        plain(self.mean_squared_difference())
    }

    fn mean_squared_difference(&self) -> Result<f64> {
        let classes = self.logits().size()[1];
        let truth = self.labels().f_one_hot(classes)?.f_to_kind(Kind::Double)?;
        let distance = self.probabilities()?.f_to_kind(Kind::Double)?.f_sub(&truth)?.f_square()?;
        let by_image = distance.f_sum_dim_intlist(1, false, Kind::Double)?;
        Ok(by_image.f_mean(Kind::Double)?.f_double_value(&[])?)
    }

    /// Divides the logits by `temperature`. Above 1 the confidences fall, below 1 they rise; the
    /// predicted classes stay.
    ///
    /// # Errors
    /// When the temperature is not a finite number above 0.
    pub fn with_temperature(&self, temperature: f64) -> Result<Evaluation> {
        ensure!(
            temperature > 0.0 && temperature.is_finite(),
            "temperature {temperature}: expected a finite number above 0"
        );
        let logits = self.logits().f_div_scalar(temperature).map_err(Into::into);
        plain(logits.and_then(|logits| self.with_logits(logits)))
    }

    /// The temperature in 0.01–100 that minimizes the mean cross-entropy of these predictions (Guo
    /// et al., 2017).
    ///
    /// Take it from a validation set, and apply it to the test set with
    /// [`with_temperature`](Evaluation::with_temperature).
    pub fn best_temperature(&self) -> Result<f64> {
        plain(self.temperature_of_least_loss())
    }

    fn temperature_of_least_loss(&self) -> Result<f64> {
        let logits = self.logits().f_to_kind(Kind::Double)?;
        // The loss is convex in the inverse temperature, so its slope changes sign only once.
        let slope = |inverse: f64| -> Result<f64> {
            let scaled = logits.f_mul_scalar(inverse)?;
            let expected = scaled.f_softmax(1, Kind::Double)?.f_mul(&logits)?.f_sum_dim_intlist(
                1,
                false,
                Kind::Double,
            )?;
            let truth =
                logits.f_gather(1, &self.labels().f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
            Ok(expected.f_sub(&truth)?.f_mean(Kind::Double)?.f_double_value(&[])?)
        };
        let (mut low, mut high) = (0.01_f64, 100.0_f64);
        // Fifty bisection steps reach f64 precision.
        for _ in 0..50 {
            let middle = (low * high).sqrt();
            if slope(middle)? > 0.0 { high = middle } else { low = middle }
        }
        Ok(1.0 / (low * high).sqrt())
    }
}
