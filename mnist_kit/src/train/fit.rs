//! The training loop that lesson 1 writes out by hand.

use super::checkpoint::Checkpoint;
use super::schedule::{Moment, Schedule, test_losses};
use super::{Adam, BatchRecord, History, Optimizer, OptimizerConfig, PrintLines, Progress, Report};
use crate::Result;
use crate::data::Batches;
use crate::model::{Model, predict};
use anyhow::{Context, ensure};
use std::path::PathBuf;
use tch::{Reduction, Tensor, nn};

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
pub fn fit<'a, M: Model>(model: &'a M, vs: &'a nn::VarStore, train: &'a Batches) -> Fit<'a, M> {
    Fit {
        model,
        vs,
        train,
        test: None,
        optimizer: Adam::new(1e-3).into(),
        schedule: Schedule::Constant,
        num_epochs: 1,
        checkpoint: None,
        report: Box::new(PrintLines::default()),
    }
}

/// A training run in preparation. Made by [`fit`].
pub struct Fit<'a, M: Model> {
    model: &'a M,
    vs: &'a nn::VarStore,
    train: &'a Batches,
    test: Option<&'a Batches>,
    optimizer: OptimizerConfig,
    schedule: Schedule,
    num_epochs: usize,
    checkpoint: Option<PathBuf>,
    report: Box<dyn Report + 'a>,
}

impl<'a, M: Model> Fit<'a, M> {
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
    pub fn run(mut self) -> Result<History> {
        ensure!(
            !self.train.is_empty(),
            "no batch to train on: {} images in batches of {}",
            self.train.split().len(),
            self.train.batch_size()
        );
        self.schedule.check()?;
        let mut optimizer = self.optimizer.clone().build(self.vs)?;
        // A checkpoint brings the rate of its last step.
        let lr = optimizer.lr();
        let mut history = History::of(self.train);
        let checkpoint =
            self.checkpoint.take().map(|path| Checkpoint { path, settings: self.settings() });
        if let Some(checkpoint) = &checkpoint {
            checkpoint.load(self.vs, &mut optimizer, &mut history)?;
        }
        for epoch in history.epochs().len() + 1..=self.num_epochs {
            let test_losses = test_losses(&history, &self.schedule)?;
            let progress = self
                .train_epoch(epoch, &mut optimizer, lr, &test_losses)
                .with_context(|| format!("epoch {epoch}"))?;
            let tested = self.test.map(|test| predict(self.model, test)).transpose()?;
            let record = history
                .record(&progress, tested.as_ref())
                .with_context(|| format!("epoch {epoch}"))?;
            self.report.epoch(record, self.num_epochs)?;
            if let Some(checkpoint) = &checkpoint {
                checkpoint.save(self.vs, &optimizer, &history)?;
            }
        }
        Ok(history)
    }

    /// What decides the course of the run, in words.
    fn settings(&self) -> String {
        let run = format!("{:?}, {}", self.optimizer, self.train.settings());
        match self.schedule {
            Schedule::Constant => run,
            // What these do in an epoch depends on how many there are in all.
            schedule @ (Schedule::Cosine { .. } | Schedule::OneCycle { .. }) => {
                format!("{run}, {schedule:?} over {} epochs", self.num_epochs)
            }
            schedule => format!("{run}, {schedule:?}"),
        }
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
            let logits = self.model.logits(&images, true)?;
            let loss = logits.f_cross_entropy_loss(
                &labels,
                None::<&Tensor>,
                Reduction::Mean,
                -100,
                0.0,
            )?;
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
