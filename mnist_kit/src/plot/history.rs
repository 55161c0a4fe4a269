//! Loss and accuracy by epoch.

use super::figure::{Drawing, Figure};
use super::lines::Lines;
use crate::Result;
use crate::train::{EpochRecord, History};
use anyhow::ensure;

impl History {
    /// Two panels: the loss by epoch, and the accuracy by epoch in percent; of training, and of the test set in the
    /// epochs where it was measured. The loss axis starts at 0; the accuracy axis runs from 80 to 100 %, from lower where a value is below 80.
    ///
    /// # Errors
    /// When there is no epoch yet, a loss is not finite, or an accuracy is not in 0–1.
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
        let points = |value: fn(&EpochRecord) -> Option<f64>| -> Vec<(f64, f64)> {
            let point = |r: &EpochRecord| value(r).map(|value| (r.epoch as f64, value));
            self.epochs().iter().filter_map(point).collect()
        };
        let train_loss = points(|r| Some(r.train_loss));
        let test_loss = points(|r| r.test_loss);
        let highest = train_loss.iter().chain(&test_loss).map(|point| point.1).fold(1e-6, f64::max);
        let loss = Lines::new("Epoch", "Loss")
            .title("Loss")
            .y_range(0.0, highest)
            .series("Train", train_loss);
        let loss = if test_loss.is_empty() { loss } else { loss.series("Test", test_loss) };

        let train = points(|r| Some(100.0 * r.train_accuracy));
        let test = points(|r| r.test_accuracy.map(|share| 100.0 * share));
        for (epoch, percent) in train.iter().chain(&test) {
            ensure!(
                (-1e-9..=100.0 + 1e-9).contains(percent),
                "an accuracy of epoch {epoch} is {}, expected a share from 0 to 1",
                percent / 100.0
            );
        }
        let lowest = train.iter().chain(&test).map(|point| point.1).fold(80.0, f64::min);
        let accuracy = Lines::new("Epoch", "Accuracy (%)")
            .title("Accuracy")
            .y_range((lowest / 10.0).floor().max(0.0) * 10.0, 100.0)
            .series("Train", train);
        let accuracy = if test.is_empty() { accuracy } else { accuracy.series("Test", test) };

        loss.check()?;
        accuracy.check()?;
        let figure = Figure::new(860.0, 340.0, Drawing::Lines(vec![loss, accuracy]));
        Ok(figure.note(self.note()))
    }
}
