//! Loss and accuracy by epoch.

use super::lines::{Lines, side_by_side};
use crate::Result;
use crate::figure::Figure;
use crate::train::{History, Measure};
use anyhow::ensure;

const LOSSES: [(&str, Measure); 3] =
    [("Train", Measure::TrainLoss), ("Validation", Measure::ValLoss), ("Test", Measure::TestLoss)];
const ACCURACIES: [(&str, Measure); 3] = [
    ("Train", Measure::TrainAccuracy),
    ("Validation", Measure::ValAccuracy),
    ("Test", Measure::TestAccuracy),
];

impl History {
    /// Plots loss and accuracy by epoch in two panels.
    ///
    /// Shows the training set and, in the epochs that measured them, the validation and the test
    /// set. The loss axis starts at 0. The accuracy axis ends at 100 % and starts where the last
    /// epochs can be told apart, see [`Lines::percent_range`]; arrows mark accuracies below it.
    ///
    /// # Errors
    /// No epoch yet, a loss that is not finite, or an accuracy outside of 0 to 1.
    ///
    /// ```
    /// use mnist_kit::train::{EpochRecord, History};
    ///
    /// let mut history = History::new();
    /// history.push(EpochRecord {
    ///     epoch: 1,
    ///     train_loss: 0.35,
    ///     train_accuracy: 0.90,
    ///     val_loss: Some(0.19),
    ///     val_accuracy: Some(0.944),
    ///     ..EpochRecord::default()
    /// });
    /// let svg = history.plot()?.title("Lesson 1").to_svg()?;
    /// assert!(svg.contains("Accuracy (%)") && svg.contains("Validation"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        ensure!(!self.epochs().is_empty(), "the history has no epochs: train first, then plot");
        let losses = self.measured(&LOSSES);
        let highest = values(&losses).fold(1e-6, f64::max);
        let loss = Lines::new("Epoch", "Loss").title("Loss").y_range(0.0, highest);
        let loss = losses.into_iter().fold(loss, |lines, (name, curve)| lines.series(name, curve));

        let accuracies = self.measured(&ACCURACIES);
        for &(epoch, percent) in accuracies.iter().flat_map(|(_, curve)| curve) {
            ensure!(
                (-1e-9..=100.0 + 1e-9).contains(&percent),
                "an accuracy of epoch {epoch} is {}, expected a fraction from 0 to 1",
                percent / 100.0
            );
        }
        let accuracy = Lines::new("Epoch", "Accuracy (%)").title("Accuracy");
        let accuracy = accuracies
            .into_iter()
            .fold(accuracy, |lines, (name, curve)| lines.series(name, curve))
            .percent_range();

        loss.check()?;
        accuracy.check()?;
        let panels = [loss, accuracy];
        let figure = Figure::new(860.0, 340.0, move |part| side_by_side(&panels, part));
        Ok(figure.note(self.note()))
    }

    /// The curves that have a point.
    fn measured(&self, series: &[(&'static str, Measure)]) -> Vec<(&'static str, Vec<(f64, f64)>)> {
        let curve = |&(name, measure): &(&'static str, Measure)| (name, self.curve(measure));
        series.iter().map(curve).filter(|(_, points)| !points.is_empty()).collect()
    }
}

fn values(curves: &[(&str, Vec<(f64, f64)>)]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(|(_, points)| points).map(|&(_, value)| value)
}
