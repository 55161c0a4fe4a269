//! The training loop that lesson 1 writes out by hand.

use super::checkpoint::{Checkpoint, State};
use super::identity::{Identity, Variable};
use super::loss::Loss;
use super::schedule::{Moment, Schedule, val_losses};
use super::{Adam, BatchRecord, History, Optimizer, OptimizerConfig, PrintLines, Progress, Report};
use crate::Result;
use crate::check::plain;
use crate::data::Batches;
use crate::model::{predict, try_forward};
use crate::weights::save_weights;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor, nn};

/// Number of batches between two checks that the loss is still finite. Each check makes a GPU wait.
const CHECK_EVERY: usize = 100;

/// Prepares a training run of `model`, whose parameters are in `vs`.
///
/// Defaults: cross-entropy, Adam with learning rate 1e-3, one epoch, progress printed. The methods
/// of [`Fit`] change each of these, and [`run`](Fit::run) trains. `model` is any module that maps
/// a batch of images to logits `[N, classes]`.
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
/// let splits = digits.train.stratified(&[("train", 400), ("validation", 100)], 1)?;
/// let train_batches = splits[0].batches(50)?.transform(&transform).shuffle(1);
/// let validation_batches = splits[1].batches(100)?.transform(&transform);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Mlp::new(vs.root(), 32)?;
/// let history = fit(&model, &vs, &train_batches)
///     .optimizer(Adam::new(1e-2))
///     .epochs(2)
///     .validation(&validation_batches)
///     .report(Silent)
///     .run()?;
/// assert_eq!(history.epochs().len(), 2);
/// assert!(history.val_accuracy()? > 0.1);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn fit<'a, M>(model: &'a M, vs: &'a nn::VarStore, train: &'a Batches) -> Fit<'a, M>
where
    M: nn::ModuleT + ?Sized,
{
    Fit {
        model,
        vs,
        train,
        validation: None,
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
    validation: Option<&'a Batches>,
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
    /// Sets the optimizer: [`Sgd`](super::Sgd), [`Adam`](super::Adam) or [`AdamW`](super::AdamW).
    pub fn optimizer(mut self, optimizer: impl Into<OptimizerConfig>) -> Self {
        self.optimizer = optimizer.into();
        self
    }

    /// Sets the learning-rate schedule; constant by default.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets the learning rate of the parameters whose names begin with `prefix`, as a multiple of the
    /// optimizer's: 100 for a new head over a backbone, for example.
    pub fn rate(mut self, prefix: &str, factor: f64) -> Self {
        self.rates.push((prefix.to_string(), factor));
        self
    }

    /// Sets the training loss; cross-entropy by default. Validation and test losses are always
    /// cross-entropies.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Sets the number of epochs; 1 by default.
    pub fn epochs(mut self, num_epochs: usize) -> Self {
        self.num_epochs = num_epochs;
        self
    }

    /// Measures loss and accuracy on validation batches after each epoch.
    ///
    /// [`keep_best`](Fit::keep_best), [`early_stopping`](Fit::early_stopping) and
    /// [`Schedule::ReduceOnPlateau`] decide by them.
    pub fn validation(mut self, validation: &'a Batches) -> Self {
        self.validation = Some(validation);
        self
    }

    /// Measures loss and accuracy on test batches after each epoch, for display only.
    ///
    /// Nothing in the run decides by them. Test images that are looked at after each epoch tempt
    /// to choose an epoch by them, so prefer [`validation`](Fit::validation), and
    /// [`evaluate`](crate::eval::evaluate) on the test images once at the end.
    pub fn test(mut self, test: &'a Batches) -> Self {
        self.test = Some(test);
        self
    }

    /// Saves the state of the run to this file after each epoch, and resumes from the file where it
    /// exists, along the same curve as without the interruption.
    ///
    /// The file before the last stays as `<name>.previous`, for the case that the newest one is
    /// damaged. A file of another run (other data, model, seed or settings) is refused.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Saves the weights to this file whenever the validation accuracy exceeds that of every epoch
    /// before; [`load_weights`](crate::weights::load_weights) reads them.
    pub fn keep_best(mut self, path: impl Into<PathBuf>) -> Self {
        self.best = Some(path.into());
        self
    }

    /// Stops after `patience` epochs without an improvement in validation accuracy.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Computes in half precision where the model is on a GPU. On a CPU, where this would be slower, a
    /// line says that training goes on in float32.
    pub fn mixed_precision(mut self) -> Self {
        self.mixed_precision = true;
        self
    }

    /// Sets the reporter that receives progress after each batch and epoch; [`PrintLines`] by default.
    pub fn report(mut self, report: impl Report + 'a) -> Self {
        self.report = Box::new(report);
        self
    }

    /// Trains.
    ///
    /// # Errors
    /// When a setting is out of range, the model cannot process the images, a label is not among its
    /// classes, training diverges, or the checkpoint cannot be written or belongs to another run.
    pub fn run(self) -> Result<History> {
        plain(self.train())
    }

    fn train(mut self) -> Result<History> {
        self.check()?;
        let mut optimizer = self.optimizer.clone().build(self.vs)?;
        for (prefix, factor) in &self.rates {
            optimizer.set_rate(prefix, *factor)?;
        }
        if self.mixed_precision && !self.vs.device().is_cuda() {
            println!("Mixed precision needs CUDA; training goes on in float32.");
            self.mixed_precision = false;
        }
        // A checkpoint restores the rate of its last step.
        let lr = optimizer.lr();
        let mut history = History::of(self.train);
        let checkpoint = self.resume(&mut optimizer, &mut history)?;
        for epoch in history.epochs().len() + 1..=self.num_epochs {
            if self.has_stopped(&history)? {
                break;
            }
            self.train_epoch(epoch, &mut optimizer, lr, &mut history)
                .with_context(|| format!("epoch {epoch}"))?;
            if let Some(path) = &self.best
                && history.best()?.epoch == epoch
            {
                save_weights(self.vs, path)?;
            }
            if let Some(checkpoint) = &checkpoint {
                checkpoint.save(self.vs, &optimizer, &history, self.probe()?)?;
            }
        }
        Ok(history)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.train.is_empty(),
            "no batch to train on: {} images in batches of {}",
            self.train.split().len(),
            self.train.batch_size()
        );
        self.schedule.check()?;
        let decides = self.best.is_some()
            || self.patience.is_some()
            || matches!(self.schedule, Schedule::ReduceOnPlateau { .. });
        ensure!(
            self.validation.is_some() || !decides,
            "keep_best, early_stopping and ReduceOnPlateau decide by validation batches: give the run \
             some with validation(…)"
        );
        Ok(())
    }

    /// Opens the checkpoint, where one is asked for, and restores the run from it.
    fn resume(
        &self,
        optimizer: &mut Optimizer,
        history: &mut History,
    ) -> Result<Option<Checkpoint>> {
        let Some(path) = &self.checkpoint else { return Ok(None) };
        let checkpoint = Checkpoint::open(path.clone(), self.identity()?)?;
        checkpoint.load(State { vs: self.vs, optimizer, history }, || self.probe())?;
        if let (Some(best), false) = (&self.best, history.epochs().is_empty()) {
            self.complete_best(best, history)?;
        }
        Ok(Some(checkpoint))
    }

    /// Makes sure that a resumed run has the weights of its best epoch on file.
    fn complete_best(&self, best: &Path, history: &History) -> Result<()> {
        if best.exists() {
            return Ok(());
        }
        let epoch = history.best()?.epoch;
        ensure!(
            epoch == history.epochs().len(),
            "{} is missing, and the checkpoint has the weights of epoch {} but not of the best epoch, \
             {epoch}; remove the checkpoint to train anew, or resume without keep_best",
            best.display(),
            history.epochs().len()
        );
        save_weights(self.vs, best)
    }

    /// Whether early stopping ends the run here.
    fn has_stopped(&self, history: &History) -> Result<bool> {
        let Some(patience) = self.patience.filter(|_| !history.epochs().is_empty()) else {
            return Ok(false);
        };
        Ok(history.epochs().len() - history.best()?.epoch >= patience)
    }

    fn identity(&self) -> Result<Identity> {
        // The course of these schedules depends on the length of the run.
        let whole = matches!(self.schedule, Schedule::Cosine { .. } | Schedule::OneCycle { .. });
        Ok(Identity {
            model: Variable::all(self.vs),
            optimizer: self.optimizer.clone(),
            rates: self.rates.clone(),
            loss: self.loss,
            schedule: self.schedule,
            num_epochs: whole.then_some(self.num_epochs),
            mixed_precision: self.mixed_precision,
            train: self.train.description()?,
            validation: self.validation.map(Batches::description).transpose()?,
            test: self.test.map(Batches::description).transpose()?,
        })
    }

    /// The logits of a few fixed images. They tell models apart whose variables have the same names
    /// and shapes, but which compute something else with them.
    fn probe(&self) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let (images, _) = self.train.probe()?;
        let logits = try_forward(self.model, &images, false)?;
        Ok(logits.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?)
    }

    /// Trains one epoch, measures it and adds it to the history.
    fn train_epoch(
        &mut self,
        epoch: usize,
        optimizer: &mut Optimizer,
        lr: f64,
        history: &mut History,
    ) -> Result<()> {
        let val_losses = val_losses(history, &self.schedule)?;
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
                    val_losses: &val_losses,
                },
            ))?;
            let logits =
                tch::autocast(self.mixed_precision, || try_forward(self.model, &images, true))?;
            if index == 0 {
                self.expect_classes(&logits, &labels)?;
            }
            let loss = self.loss.compute(&logits.f_to_kind(Kind::Float)?, &labels)?;
            optimizer.zero_grad();
            loss.f_backward()?;
            optimizer.step()?;
            progress.batch(&loss, &logits, &labels)?;
            if (index + 1) % CHECK_EVERY == 0 || index + 1 == num_batches {
                progress.mean_loss().with_context(|| {
                    format!(
                        "batch {} of {num_batches}, learning rate {}",
                        index + 1,
                        optimizer.lr()
                    )
                })?;
            }
            let record =
                BatchRecord { epoch, num_epochs: self.num_epochs, batch: index + 1, num_batches };
            self.report.batch(&record, &progress)?;
        }
        optimizer.expect_finite(self.vs)?;
        let validated = self.validation.map(|batches| predict(self.model, batches)).transpose()?;
        let tested = self.test.map(|batches| predict(self.model, batches)).transpose()?;
        let record =
            history.record_measured(&progress, validated.as_ref(), tested.as_ref())?.clone();
        self.report.epoch(&record, self.num_epochs)
    }

    /// Refuses logits that do not have a column for every label of the split. A GPU would otherwise
    /// fail in a way that leaves the process unusable.
    fn expect_classes(&self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        let (size, split) = (logits.size(), self.train.split());
        ensure!(
            size.len() == 2 && size[..1] == labels.size()[..],
            "the model gave logits of shape {size:?} for {} images, expected [{0}, classes]",
            labels.size()[0]
        );
        let highest = split.labels().f_max()?.f_int64_value(&[])?;
        ensure!(
            highest < size[1],
            "{}: label {highest} is not among the model's {} classes",
            split.name(),
            size[1]
        );
        Ok(())
    }
}
