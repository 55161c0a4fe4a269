//! How the learning rate changes in the course of a run.

use super::History;
use crate::Result;
use anyhow::ensure;
use std::f64::consts::PI;

/// When a schedule takes its next value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// At every batch.
    Batch,
    /// At every epoch.
    Epoch,
}

/// The learning rate as a function of how far the run has come, on top of the optimiser's own.
///
/// A schedule has no state: its value follows from the step and from the test losses so far, so a run
/// that goes on from a checkpoint follows the same curve. Formulas and defaults are those of
/// `torch.optim.lr_scheduler`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// The optimiser's learning rate throughout.
    #[default]
    Constant,
    /// Times `gamma` after every `every` epochs (`StepLR`).
    Step {
        /// Epochs between two changes, at least 1.
        every: usize,
        /// Factor, above 0.
        gamma: f64,
    },
    /// Along half a cosine from the optimiser's learning rate to 0 (`CosineAnnealingLR`, `T_max` the
    /// whole run).
    Cosine {
        /// How fine its steps are.
        unit: Unit,
    },
    /// Up to the optimiser's learning rate, then down to almost 0, at every batch (`OneCycleLR` with
    /// cosines; unlike there, momentum stays as it is). Smith and Topin, 2018.
    OneCycle {
        /// Share of the run in which it rises, between 0 and 1; 0.3 in PyTorch.
        warm_up: f64,
    },
    /// Times `factor` when the test loss has not fallen for more than `patience` epochs
    /// (`ReduceLROnPlateau`; it has fallen when it is below the best by a ten-thousandth of it).
    ReduceOnPlateau {
        /// Factor, between 0 and 1; 0.1 in PyTorch.
        factor: f64,
        /// Epochs to wait for; 10 in PyTorch.
        patience: usize,
    },
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment<'a> {
    /// Batches before this one, in all epochs.
    pub step: usize,
    /// Batches in an epoch, at least 1.
    pub steps_per_epoch: usize,
    /// Epochs of the whole run.
    pub num_epochs: usize,
    /// Test loss of each epoch so far.
    pub test_losses: &'a [f64],
}

impl Schedule {
    /// [`Cosine`](Schedule::Cosine) at every batch.
    pub fn cosine() -> Schedule {
        Schedule::Cosine { unit: Unit::Batch }
    }

    /// [`OneCycle`](Schedule::OneCycle) that rises for three tenths of the run.
    pub fn one_cycle() -> Schedule {
        Schedule::OneCycle { warm_up: 0.3 }
    }

    /// The learning rate of a step; `lr` is the optimiser's.
    ///
    /// ```
    /// use mnist_kit::train::{Moment, Schedule};
    ///
    /// let at = |step| Moment { step, steps_per_epoch: 10, num_epochs: 4, test_losses: &[] };
    /// assert_eq!(Schedule::cosine().lr(0.1, &at(0)), 0.1);
    /// assert!((Schedule::cosine().lr(0.1, &at(20)) - 0.05).abs() < 1e-9);
    /// assert_eq!(Schedule::Step { every: 2, gamma: 0.5 }.lr(0.1, &at(20)), 0.05);
    /// ```
    pub fn lr(&self, lr: f64, at: &Moment) -> f64 {
        let epoch = at.step / at.steps_per_epoch.max(1);
        match *self {
            Schedule::Constant => lr,
            Schedule::Step { every, gamma } => lr * gamma.powf((epoch / every.max(1)) as f64),
            Schedule::Cosine { unit: Unit::Batch } => cosine(lr, 0.0, at.step as f64 / at.steps()),
            Schedule::Cosine { unit: Unit::Epoch } => {
                cosine(lr, 0.0, epoch as f64 / at.num_epochs.max(1) as f64)
            }
            Schedule::OneCycle { warm_up } => {
                // OneCycleLR's div_factor and final_div_factor.
                let (first, last) = (lr / 25.0, lr / 25.0 / 1e4);
                let peak = warm_up * at.steps() - 1.0;
                let step = at.step as f64;
                if peak > 0.0 && step <= peak {
                    cosine(first, lr, step / peak)
                } else {
                    cosine(lr, last, ((step - peak) / (at.steps() - 1.0 - peak)).min(1.0))
                }
            }
            Schedule::ReduceOnPlateau { factor, patience } => {
                lr * factor.powf(plateaus(at.test_losses, patience) as f64)
            }
        }
    }

    /// The learning rate of every step of a run, for a plot: epochs passed, and the rate.
    ///
    /// `test_losses` are those of [`History::test_losses`](super::History::test_losses) for a run that is
    /// over; none are needed before it, except by [`ReduceOnPlateau`](Schedule::ReduceOnPlateau).
    ///
    /// ```
    /// use mnist_kit::train::Schedule;
    ///
    /// let curve = Schedule::one_cycle().curve(0.1, 3, 100, &[]);
    /// assert_eq!(curve.len(), 300);
    /// assert!(curve.iter().all(|&(_, lr)| lr <= 0.1));
    /// ```
    pub fn curve(
        &self,
        lr: f64,
        num_epochs: usize,
        steps_per_epoch: usize,
        test_losses: &[f64],
    ) -> Vec<(f64, f64)> {
        let at = |step: usize| {
            let epochs = (step / steps_per_epoch).min(test_losses.len());
            Moment { step, steps_per_epoch, num_epochs, test_losses: &test_losses[..epochs] }
        };
        (0..num_epochs * steps_per_epoch)
            .map(|step| (step as f64 / steps_per_epoch as f64, self.lr(lr, &at(step))))
            .collect()
    }

    pub(super) fn check(&self) -> Result<()> {
        let (value, fits) = match *self {
            Schedule::Constant | Schedule::Cosine { .. } => return Ok(()),
            Schedule::Step { every, gamma } => {
                (gamma, every > 0 && gamma > 0.0 && gamma.is_finite())
            }
            Schedule::OneCycle { warm_up } => (warm_up, warm_up > 0.0 && warm_up < 1.0),
            Schedule::ReduceOnPlateau { factor, .. } => (factor, factor > 0.0 && factor < 1.0),
        };
        ensure!(fits, "schedule {self:?}: {value} or another number is out of its range");
        Ok(())
    }
}

impl Moment<'_> {
    /// Steps of the whole run.
    fn steps(&self) -> f64 {
        (self.steps_per_epoch * self.num_epochs).max(1) as f64
    }
}

/// From `start` at 0 to `end` at 1.
fn cosine(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) * (1.0 + (PI * share).cos()) / 2.0
}

/// How often the loss has stopped falling.
fn plateaus(losses: &[f64], patience: usize) -> usize {
    let (mut best, mut bad, mut count) = (f64::INFINITY, 0, 0);
    for &loss in losses {
        if loss < best * (1.0 - 1e-4) {
            (best, bad) = (loss, 0);
        } else {
            bad += 1;
        }
        if bad > patience {
            (bad, count) = (0, count + 1);
        }
    }
    count
}

/// The test losses that [`Schedule::ReduceOnPlateau`] follows; the others need none.
pub(super) fn test_losses(history: &History, schedule: &Schedule) -> Result<Vec<f64>> {
    if !matches!(schedule, Schedule::ReduceOnPlateau { .. }) {
        return Ok(Vec::new());
    }
    let losses = history.test_losses();
    ensure!(
        losses.len() == history.epochs().len(),
        "a schedule that follows the test loss needs test batches"
    );
    Ok(losses)
}
