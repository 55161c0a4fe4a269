//! Learning-rate schedules.

use super::History;
use crate::Result;
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The interval at which a schedule changes the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Every batch.
    Batch,
    /// Every epoch.
    Epoch,
}

/// The learning rate as a function of the progress of a run, starting from the optimizer's.
///
/// A schedule has no state: its value follows from the step and from the validation losses so far,
/// so a run that resumes from a checkpoint follows the same curve. Formulas and defaults are those
/// of `torch.optim.lr_scheduler`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The optimizer's learning rate throughout.
    #[default]
    Constant,
    /// Times `gamma` after every `every` epochs (`StepLR`).
    Step {
        /// Epochs between two changes, at least 1.
        every: usize,
        /// Factor, above 0.
        gamma: f64,
    },
    /// Along half a cosine from the optimizer's learning rate to 0 (`CosineAnnealingLR`, `T_max`
    /// the whole run).
    Cosine {
        /// The interval between two changes.
        unit: Unit,
    },
    /// Up to the optimizer's learning rate, then down to almost 0, every batch (`OneCycleLR` with
    /// cosines; unlike there, the momentum stays constant). Smith and Topin, 2018.
    OneCycle {
        /// Fraction of the run in which the rate rises, between 0 and 1; 0.3 in PyTorch.
        warm_up: f64,
    },
    /// Times `factor` when the validation loss has not fallen for more than `patience` epochs
    /// (`ReduceLROnPlateau`). It has fallen when it is below 0.9999 times the best one.
    ReduceOnPlateau {
        /// Factor, between 0 and 1; 0.1 in PyTorch.
        factor: f64,
        /// Number of epochs without improvement that are tolerated; 10 in PyTorch.
        patience: usize,
    },
}

/// A point in the course of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment<'a> {
    /// Number of batches before this one, over all epochs.
    pub step: usize,
    /// Number of batches in an epoch, at least 1.
    pub steps_per_epoch: usize,
    /// Number of epochs in the whole run.
    pub num_epochs: usize,
    /// Validation loss of each epoch so far.
    pub val_losses: &'a [f64],
}

impl Schedule {
    /// [`Cosine`](Schedule::Cosine), changing every batch.
    pub fn cosine() -> Schedule {
        Schedule::Cosine { unit: Unit::Batch }
    }

    /// [`OneCycle`](Schedule::OneCycle), rising in the first three tenths of the run.
    pub fn one_cycle() -> Schedule {
        Schedule::OneCycle { warm_up: 0.3 }
    }

    /// The learning rate at a point of the run; `lr` is the optimizer's.
    ///
    /// ```
    /// use mnist_kit::train::{Moment, Schedule};
    ///
    /// let at = |step| Moment { step, steps_per_epoch: 10, num_epochs: 4, val_losses: &[] };
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
                lr * factor.powf(plateaus(at.val_losses, patience) as f64)
            }
        }
    }

    /// The learning rate of every step of a run as points for a plot: epochs passed, and the rate.
    ///
    /// Only [`ReduceOnPlateau`](Schedule::ReduceOnPlateau) needs `val_losses`: pass those of
    /// [`History::val_losses`](super::History::val_losses) after the run, an empty slice elsewhere.
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
        val_losses: &[f64],
    ) -> Vec<(f64, f64)> {
        let at = |step: usize| {
            let epochs = (step / steps_per_epoch.max(1)).min(val_losses.len());
            Moment { step, steps_per_epoch, num_epochs, val_losses: &val_losses[..epochs] }
        };
        (0..num_epochs * steps_per_epoch)
            .map(|step| (step as f64 / steps_per_epoch as f64, self.lr(lr, &at(step))))
            .collect()
    }

    pub(super) fn check(&self) -> Result<()> {
        match *self {
            Schedule::Constant | Schedule::Cosine { .. } => {}
            Schedule::Step { every, gamma } => {
                ensure!(every > 0, "schedule Step: every is 0, expected at least 1 epoch");
                ensure!(
                    gamma > 0.0 && gamma.is_finite(),
                    "schedule Step: gamma is {gamma}, expected a finite number above 0"
                );
            }
            Schedule::OneCycle { warm_up } => ensure!(
                warm_up > 0.0 && warm_up < 1.0,
                "schedule OneCycle: warm_up is {warm_up}, expected a fraction between 0 and 1"
            ),
            Schedule::ReduceOnPlateau { factor, .. } => ensure!(
                factor > 0.0 && factor < 1.0,
                "schedule ReduceOnPlateau: factor is {factor}, expected a number between 0 and 1"
            ),
        }
        Ok(())
    }
}

impl Moment<'_> {
    /// Number of steps in the whole run.
    fn steps(&self) -> f64 {
        (self.steps_per_epoch * self.num_epochs).max(1) as f64
    }
}

/// Half a cosine from `start` at 0 to `end` at 1.
fn cosine(start: f64, end: f64, fraction: f64) -> f64 {
    end + (start - end) * (1.0 + (PI * fraction).cos()) / 2.0
}

/// The number of plateaus so far.
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

/// The validation losses that [`Schedule::ReduceOnPlateau`] needs; none for the others.
pub(super) fn val_losses(history: &History, schedule: &Schedule) -> Result<Vec<f64>> {
    if !matches!(schedule, Schedule::ReduceOnPlateau { .. }) {
        return Ok(Vec::new());
    }
    let losses = history.val_losses();
    ensure!(
        losses.len() == history.epochs().len(),
        "ReduceOnPlateau follows the validation loss: give the run batches with validation(…)"
    );
    Ok(losses)
}
