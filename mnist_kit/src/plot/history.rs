//! Loss and accuracy by epoch.

use super::lines::{Lines, side_by_side};
use crate::Result;
use crate::figure::Figure;
use crate::train::{EpochRecord, History};
use anyhow::ensure;

/// A series of a panel: its name and its value in an epoch.
type Measured = (&'static str, fn(&EpochRecord) -> Option<f64>);

const LOSSES: [Measured; 2] =
    [("Train", |record| Some(record.train_loss)), ("Test", |record| record.test_loss)];
const ACCURACIES: [Measured; 2] =
    [("Train", |record| Some(record.train_accuracy)), ("Test", |record| record.test_accuracy)];

impl History {
    /// Plots loss and accuracy by epoch in two panels.
    ///
    /// Shows the training set and, in the epochs that measured them, the validation and the test
    /// set. The loss axis starts at 0. The accuracy axis runs from 80 to 100 %, or from lower if a
    /// value is below 80 %.
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
    ///     test_loss: Some(0.19),
    ///     test_accuracy: Some(0.944),
    ///     seconds: 2.5,
    ///     ..EpochRecord::default()
    /// });
    /// let svg = history.plot()?.title("Lesson 1").to_svg()?;
    /// assert!(svg.contains("Accuracy (%)"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        ensure!(!self.epochs().is_empty(), "the history has no epochs: train first, then plot");
        let losses = self.measured(&LOSSES, 1.0);
        let highest = values(&losses).fold(1e-6, f64::max);
        let loss = Lines::new("Epoch", "Loss").title("Loss").y_range(0.0, highest);
        let loss =
            losses.into_iter().fold(loss, |lines, (name, points)| lines.series(name, points));

        let accuracies = self.measured(&ACCURACIES, 100.0);
        for &(epoch, percent) in accuracies.iter().flat_map(|(_, points)| points) {
            ensure!(
                (-1e-9..=100.0 + 1e-9).contains(&percent),
                "an accuracy of epoch {epoch} is {}, expected a fraction from 0 to 1",
                percent / 100.0
            );
        }
        let lowest = values(&accuracies).fold(80.0, f64::min);
        let accuracy = Lines::new("Epoch", "Accuracy (%)")
            .title("Accuracy")
            .y_range((lowest / 10.0).floor().max(0.0) * 10.0, 100.0);
        let accuracy = accuracies
            .into_iter()
            .fold(accuracy, |lines, (name, points)| lines.series(name, points));

        loss.check()?;
        accuracy.check()?;
        let panels = [loss, accuracy];
        let figure = Figure::new(860.0, 340.0, move |part| side_by_side(&panels, part));
        Ok(figure.note(self.note()))
    }

    /// The points of each series that was measured at least once, its values times `scale`.
    fn measured(&self, series: &[Measured], scale: f64) -> Vec<(&'static str, Vec<(f64, f64)>)> {
        let points = |&(name, value): &Measured| {
            let point = |r: &EpochRecord| value(r).map(|value| (r.epoch as f64, scale * value));
            (name, self.epochs().iter().filter_map(point).collect::<Vec<_>>())
        };
        series.iter().map(points).filter(|(_, points)| !points.is_empty()).collect()
    }
}

fn values(series: &[(&str, Vec<(f64, f64)>)]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|(_, points)| points).map(|&(_, value)| value)
}
