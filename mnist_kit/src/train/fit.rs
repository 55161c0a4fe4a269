//! The training loop that lesson 1 writes out by hand.

use super::checkpoint::Checkpoint;
use super::loss::Loss;
use super::schedule::{Moment, Schedule, test_losses};
use super::{Adam, BatchRecord, History, Optimizer, OptimizerConfig, PrintLines, Progress, Report};
use crate::Result;
use crate::check::plain;
use crate::data::{Batches, BatchesDescription};
use crate::model::{predict, try_forward};
use crate::weights::save_weights;
use anyhow::{Context, ensure};
use std::path::PathBuf;
use tch::{Kind, nn};

/// Prepares a training run of `model`, whose parameters live in `vs`: cross-entropy, Adam with
/// learning rate 1e-3, one epoch, progress printed; the methods of [`Fit`] change each of these.
///
/// ```
/// use mnist_kit::data::Mnist;
/// use mnist_kit::model::Mlp;
/// use mnist_kit::train::{Adam, Silent, fit};
/// use mnist_kit::transform::Compose;
/// use tch::{Device, nn};
///
/// let digits = Mnist::generated(7, 500, 100)?;
/// let transform = Compose::new().to_tensor();
/// let train_batches = digits.train.batches(50)?.transform(&transform).shuffle(1);
/// let test_batches = digits.test.batches(100)?.transform(&transform);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Mlp::new(vs.root(), 32)?;
/// let history = fit(&model, &vs, &train_batches)
///     .optimizer(Adam::new(1e-2))
///     .epochs(2)
///     .test(&test_batches)
///     .report(Silent)
///     .run()?;
/// assert_eq!(history.epochs().len(), 2);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn fit<'a, M: nn::ModuleT + ?Sized>(
    model: &'a M,
    vs: &'a nn::VarStore,
    train: &'a Batches,
) -> Fit<'a, M> {
    Fit {
        model,
        vs,
        train,
        test: None,
        optimizer: Adam::new(1e-3).into(),
        schedule: Schedule::Constant,
        num_epochs: 1,
        rates: Vec::new(),
        loss: Loss::default(),
        checkpoint: None,
        best: None,
        patience: None,
        mixed_precision: false,
        report: Box::new(PrintLines::default()),
    }
}

/// A training run in preparation. Made by [`fit`].
pub struct Fit<'a, M: nn::ModuleT + ?Sized> {
    model: &'a M,
    vs: &'a nn::VarStore,
    train: &'a Batches,
    test: Option<&'a Batches>,
    optimizer: OptimizerConfig,
    schedule: Schedule,
    num_epochs: usize,
    rates: Vec<(String, f64)>,
    loss: Loss,
    checkpoint: Option<PathBuf>,
    best: Option<PathBuf>,
    patience: Option<usize>,
    mixed_precision: bool,
    report: Box<dyn Report + 'a>,
}

impl<'a, M: nn::ModuleT + ?Sized> Fit<'a, M> {
    /// The optimiser: [`Sgd`](super::Sgd), [`Adam`](super::Adam) or [`AdamW`](super::AdamW).
    pub fn optimizer(mut self, optimizer: impl Into<OptimizerConfig>) -> Self {
        self.optimizer = optimizer.into();
        self
    }

    /// How the optimiser's learning rate changes in the course of the run; constant by default.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Gives the parameters whose names begin with `prefix` a learning rate of their own, as a multiple
    /// of the optimiser's: 100 for a new head over a backbone.
    pub fn rate(mut self, prefix: &str, factor: f64) -> Self {
        self.rates.push((prefix.to_string(), factor));
        self
    }

    /// What training makes smaller; cross-entropy by default. Test losses are always cross-entropies.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// How often the model sees every training image.
    pub fn epochs(mut self, num_epochs: usize) -> Self {
        self.num_epochs = num_epochs;
        self
    }

    /// Measures loss and accuracy on these batches after each epoch.
    pub fn test(mut self, test: &'a Batches) -> Self {
        self.test = Some(test);
        self
    }

    /// Keeps the state of the run in this file, replaced after each epoch. Where the file is there
    /// already, the run goes on from it, along the same curve as if it had never been interrupted.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Saves the weights to this file whenever the test accuracy is higher than after every epoch
    /// before; [`load_weights`](crate::model::load_weights) brings them back. The batches of
    /// [`test`](Fit::test) should then be a validation set, for the choice looks at them.
    pub fn keep_best(mut self, path: impl Into<PathBuf>) -> Self {
        self.best = Some(path.into());
        self
    }

    /// Ends the run when for `patience` epochs none was better on the test batches than the best one
    /// before.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Lets the model compute in half precision where that is faster, on a GPU. Elsewhere one line says
    /// that it does not, and training goes on in float32.
    pub fn mixed_precision(mut self) -> Self {
        self.mixed_precision = true;
        self
    }

    /// Who hears how it goes.
    pub fn report(mut self, report: impl Report + 'a) -> Self {
        self.report = Box::new(report);
        self
    }

    /// Trains.
    ///
    /// # Errors
    /// When the optimiser's settings are out of range, there is no batch, the model cannot take
    /// the images, a label is not among its classes, the loss stops being a finite number, or the
    /// checkpoint cannot be written or belongs to another run.
    pub fn run(self) -> Result<History> {
        plain(self.train())
    }

    fn train(mut self) -> Result<History> {
        ensure!(
            !self.train.is_empty(),
            "no batch to train on: {} images in batches of {}",
            self.train.split().len(),
            self.train.batch_size()
        );
        self.schedule.check()?;
        ensure!(
            self.test.is_some() || !self.looks_at_tests(),
            "keep_best, early_stopping and ReduceOnPlateau look at test batches: give the run some with test()"
        );
        let mut optimizer = self.optimizer.clone().build(self.vs)?;
        for (prefix, factor) in &self.rates {
            optimizer.set_rate(prefix, *factor)?;
        }
        if self.mixed_precision && !self.vs.device().is_cuda() {
            println!("Mixed precision needs CUDA; training goes on in float32.");
            self.mixed_precision = false;
        }
        // A checkpoint brings the rate of its last step.
        let lr = optimizer.lr();
        let mut history = History::of(self.train);
        let checkpoint = match self.checkpoint.take() {
            Some(path) => Some(Checkpoint { path, settings: self.settings()? }),
            None => None,
        };
        if let Some(checkpoint) = &checkpoint {
            checkpoint.load(self.vs, &mut optimizer, &mut history)?;
        }
        for epoch in history.epochs().len() + 1..=self.num_epochs {
            if self.has_stopped(&history)? {
                break;
            }
            let test_losses = test_losses(&history, &self.schedule)?;
            let progress = self
                .train_epoch(epoch, &mut optimizer, lr, &test_losses)
                .with_context(|| format!("epoch {epoch}"))?;
            let tested = self.test.map(|test| predict(self.model, test)).transpose()?;
            let record = history
                .record(&progress, tested.as_ref())
                .with_context(|| format!("epoch {epoch}"))?;
            self.report.epoch(record, self.num_epochs)?;
            if let Some(path) = &self.best
                && history.best()?.epoch == epoch
            {
                save_weights(self.vs, path)?;
            }
            if let Some(checkpoint) = &checkpoint {
                checkpoint.save(self.vs, &optimizer, &history)?;
            }
        }
        Ok(history)
    }

    fn looks_at_tests(&self) -> bool {
        self.best.is_some()
            || self.patience.is_some()
            || matches!(self.schedule, Schedule::ReduceOnPlateau { .. })
    }

    /// Whether the last epochs were no better than one before them.
    fn has_stopped(&self, history: &History) -> Result<bool> {
        let Some(patience) = self.patience.filter(|_| !history.epochs().is_empty()) else {
            return Ok(false);
        };
        Ok(history.epochs().len() - history.best()?.epoch >= patience)
    }

    /// What decides the course of the run, in words; what is left as usual is not mentioned.
    fn settings(&self) -> Result<String> {
        let batches: BatchesDescription = self.train.description()?;
        let batches = serde_json::to_string(&batches)?;
        let mut run = format!("{:?}, {batches}", self.optimizer);
        for (prefix, factor) in &self.rates {
            run.push_str(&format!(", {factor} times the rate for {prefix}"));
        }
        if self.loss != Loss::default() {
            run.push_str(&format!(", {:?}", self.loss));
        }
        Ok(match self.schedule {
            Schedule::Constant => run,
            // What these do in an epoch depends on how many there are in all.
            schedule @ (Schedule::Cosine { .. } | Schedule::OneCycle { .. }) => {
                format!("{run}, {schedule:?} over {} epochs", self.num_epochs)
            }
            schedule => format!("{run}, {schedule:?}"),
        })
    }

    fn train_epoch(
        &mut self,
        epoch: usize,
        optimizer: &mut Optimizer,
        lr: f64,
        test_losses: &[f64],
    ) -> Result<Progress> {
        // Dropout draws from libtorch's generator, whose state cannot be saved.
        tch::manual_seed(self.train.epoch_seed(epoch));
        let mut progress = Progress::new();
        let num_batches = self.train.len();
        for (index, batch) in self.train.epoch(epoch).enumerate() {
            let (images, labels) = batch?;
            optimizer.set_lr(self.schedule.lr(
                lr,
                &Moment {
                    step: (epoch - 1) * num_batches + index,
                    steps_per_epoch: num_batches,
                    num_epochs: self.num_epochs,
                    test_losses,
                },
            ))?;
            let logits =
                tch::autocast(self.mixed_precision, || try_forward(self.model, &images, true))?;
            let loss = self.loss.of(&logits.f_to_kind(Kind::Float)?, &labels)?;
            optimizer.zero_grad();
            loss.f_backward()?;
            optimizer.step()?;
            progress.batch(&loss, &logits, &labels)?;
            let record =
                BatchRecord { epoch, num_epochs: self.num_epochs, batch: index + 1, num_batches };
            self.report.batch(&record, &progress)?;
        }
        Ok(progress)
    }
}
