//! The training loop that lesson 1 writes out by hand.

use super::bar::FitBar;
use super::checkpoint::{BestWeights, Checkpoint, State};
use super::identity::{Identity, ModelDescription};
use super::loss::Loss;
use super::schedule::{Moment, Schedule, val_losses};
use super::{Adam, BatchRecord, History, Optimizer, OptimizerConfig, Progress, Report};
use crate::Result;
use crate::check::plain;
use crate::data::Batches;
use crate::model::{predict_with, try_forward};
use crate::runtime::{Interrupted, ProgressBar, stop};
use crate::weights::save_weights;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor, nn};

/// Number of batches whose losses are checked together. Checking each one would make a GPU wait.
const CHECK_EVERY: usize = 100;

/// Prepares a training run of `model`, whose parameters are in `vs`.
///
/// Defaults: cross-entropy, Adam with learning rate 1e-3, one epoch, progress printed or shown live.
/// The methods of [`Fit`] change each of these, and [`run`](Fit::run) trains. `model` is any module that maps
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
        report: None,
        bar: FitBar::default(),
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
    report: Option<Box<dyn Report + 'a>>,
    bar: FitBar,
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

    /// Sets the learning rate of the parameters whose names begin with `prefix`, as a multiple of
    /// the optimizer's: 100 for a new head over a backbone, for example.
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

    /// Computes in half precision where the model is on a GPU. On a CPU, where this would be
    /// slower, a line says that training goes on in float32.
    pub fn mixed_precision(mut self) -> Self {
        self.mixed_precision = true;
        self
    }

    /// Sets the reporter that receives progress after each batch and epoch. Defaults to
    /// [`PrintLines`](super::PrintLines), or to a growing figure in a notebook with live output.
    pub fn report(mut self, report: impl Report + 'a) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// Trains, and reports to `default` if no other reporter was set.
    pub(crate) fn run_reporting(mut self, default: impl Report + 'a) -> Result<History> {
        let mut report = self.report.take().unwrap_or_else(|| Box::new(default));
        plain(self.train(&mut *report))
    }

    fn train(mut self, report: &mut dyn Report) -> Result<History> {
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
        self.expect_classes(&self.probe()?)?;
        let mut history = History::of(self.train);
        let mut best = None;
        let mut checkpoint = self.resume(&mut optimizer, &mut history, &mut best)?;
        report.start(&history, self.num_epochs)?;
        for epoch in history.epochs().len() + 1..=self.num_epochs {
            if self.has_stopped(&history)? {
                break;
            }
            match self.train_epoch(epoch, &mut optimizer, lr, &mut history, report) {
                Ok(()) => {}
                Err(error) if error.is::<Interrupted>() => {
                    self.say_interrupted(epoch, &error, &history);
                    break;
                }
                Err(error) => return Err(error.context(format!("epoch {epoch}"))),
            }
            let improved = self.best.is_some() && history.best()?.epoch == epoch;
            if let Some(checkpoint) = &mut checkpoint {
                if improved {
                    best = Some(BestWeights::of(self.vs, epoch)?);
                }
                let state = State {
                    vs: self.vs,
                    optimizer: &mut optimizer,
                    history: &mut history,
                    best: &mut best,
                };
                let saved = self.repeatable_probe().and_then(|probe| checkpoint.save(state, probe));
                saved.with_context(|| format!("epoch {epoch}"))?;
            }
            // After the checkpoint, which then holds the same weights: a run that is interrupted
            // between the two files can still write the second one.
            if let Some(path) = self.best.as_ref().filter(|_| improved) {
                save_weights(self.vs, path)?;
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
        for (set, batches) in [("validation", self.validation), ("test", self.test)] {
            ensure!(
                batches.is_none_or(|batches| !batches.split().is_empty()),
                "the {set} batches have no images"
            );
        }
        self.schedule.check()?;
        self.loss.check()?;
        ensure!(self.patience != Some(0), "early_stopping(0): expected 1 epoch or more");
        let plateau = matches!(self.schedule, Schedule::ReduceOnPlateau { .. });
        let deciding: Vec<&str> = [
            ("keep_best", self.best.is_some()),
            ("early_stopping", self.patience.is_some()),
            ("ReduceOnPlateau", plateau),
        ]
        .iter()
        .filter_map(|(name, used)| used.then_some(*name))
        .collect();
        ensure!(
            self.validation.is_some() || deciding.is_empty(),
            "without validation batches there is nothing to decide by for {}: give the run some \
             with validation(…), for example a part of the training set from Split::stratified",
            deciding.join(" and ")
        );
        Ok(())
    }

    /// Opens the checkpoint, where one is asked for, and restores the run from it.
    fn resume(
        &self,
        optimizer: &mut Optimizer,
        history: &mut History,
        best: &mut Option<BestWeights>,
    ) -> Result<Option<Checkpoint>> {
        let Some(path) = &self.checkpoint else { return Ok(None) };
        let mut checkpoint = Checkpoint::open(path.clone(), self.identity()?)?;
        checkpoint.load(State { vs: self.vs, optimizer, history, best }, || self.probe())?;
        if let (Some(path), false) = (&self.best, history.epochs().is_empty()) {
            self.complete_best(path, history, best)?;
        }
        Ok(Some(checkpoint))
    }

    /// Makes sure that a resumed run has the weights of its best epoch on file.
    fn complete_best(
        &self,
        path: &Path,
        history: &History,
        best: &mut Option<BestWeights>,
    ) -> Result<()> {
        let (epoch, last) = (history.best()?.epoch, history.epochs().len());
        if best.as_ref().is_some_and(|best| best.epoch() == epoch && best.are_at(path)) {
            return Ok(());
        }
        ensure!(
            epoch == last,
            "keep_best: {} does not hold the weights of epoch {epoch}, the best one so far, and \
             the checkpoint has those of epoch {last} only; remove the checkpoint to train anew, \
             or resume without keep_best",
            path.display()
        );
        *best = Some(BestWeights::of(self.vs, epoch)?);
        save_weights(self.vs, path)
    }

    /// Says where the run was asked to stop, and what it leaves.
    fn say_interrupted(&self, epoch: usize, error: &anyhow::Error, history: &History) {
        let place = error.downcast_ref().map_or("", Interrupted::at);
        // While validation and test are measured, the place is an image of theirs.
        let prefix =
            if place.starts_with("epoch") { String::new() } else { format!("epoch {epoch}, ") };
        let completed = history.epochs().len();
        println!(
            "Stopped at {prefix}{place}. Completed epochs: {completed}. The model keeps the weights \
             of its last step."
        );
    }

    /// Returns whether early stopping ends the run here.
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
            model: ModelDescription::of(self.model, self.vs),
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

    /// [`probe`](Fit::probe), or `None` if the model is random in evaluation mode, too.
    fn repeatable_probe(&self) -> Result<Option<Tensor>> {
        let (first, second) = (self.probe()?, self.probe()?);
        let difference = first.f_sub(&second)?.f_abs()?.f_max()?.f_double_value(&[])?;
        Ok((difference < 1e-4).then_some(first))
    }

    /// Trains one epoch, measures it and adds it to the history.
    fn train_epoch(
        &mut self,
        epoch: usize,
        optimizer: &mut Optimizer,
        lr: f64,
        history: &mut History,
        report: &mut dyn Report,
    ) -> Result<()> {
        let val_losses = val_losses(history, &self.schedule)?;
        // Dropout draws from libtorch's generator, whose state cannot be saved.
        tch::manual_seed(self.train.epoch_seed(epoch));
        let mut progress = Progress::new();
        let mut losses = Losses::default();
        let num_batches = self.train.len();
        for (index, batch) in self.train.epoch(epoch).enumerate() {
            stop::check(|| format!("epoch {epoch}, batch {index} of {num_batches}"))?;
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
            let loss = self.loss.compute(&logits.f_to_kind(Kind::Float)?, &labels)?;
            optimizer.zero_grad();
            loss.f_backward()?;
            optimizer.step()?;
            progress.batch(&loss, &logits, &labels)?;
            losses.push(&loss, optimizer.lr())?;
            if losses.unchecked.len() == CHECK_EVERY || index + 1 == num_batches {
                losses.check()?;
            }
            let record =
                BatchRecord { epoch, num_epochs: self.num_epochs, batch: index + 1, num_batches };
            let reported = self.bar.batch(&record, &progress);
            if let Err(error) = reported.and_then(|()| report.batch(&record, &progress)) {
                // A reporter that asks for the mean loss finds NaN as well, but not where it began.
                losses.check()?;
                return Err(error);
            }
        }
        optimizer.expect_finite(self.vs)?;
        let measure = |batches: Option<&Batches>| {
            let quietly =
                |batches: &Batches| predict_with(self.model, batches, ProgressBar::hidden());
            batches.map(quietly).transpose()
        };
        let (validated, tested) = (measure(self.validation)?, measure(self.test)?);
        let record = history
            .record_measured(&progress, validated.as_ref(), tested.as_ref())
            .with_context(|| format!("at learning rate {}", optimizer.lr()))?
            .clone();
        report.epoch(&record, self.num_epochs)
    }

    /// Refuses a model without an output for every label. A GPU would otherwise fail in a way that
    /// leaves the process unusable.
    fn expect_classes(&self, logits: &Tensor) -> Result<()> {
        let size = logits.size();
        ensure!(
            size.len() == 2,
            "the model gave logits of shape {size:?}, expected [N, classes]: one for each class"
        );
        for batches in [Some(self.train), self.validation, self.test].into_iter().flatten() {
            let split = batches.split();
            let highest = split.labels().f_max()?.f_int64_value(&[])?;
            ensure!(
                highest < size[1],
                "{}: label {highest} is not among the model's {} classes; build the model for {} \
                 classes, as many as the split has",
                split.name(),
                size[1],
                split.num_classes()
            );
        }
        Ok(())
    }
}

/// The losses of the last batches, which have not been checked yet.
#[derive(Default)]
struct Losses {
    unchecked: Vec<Tensor>,
    rates: Vec<f64>,
    checked: usize,
}

impl Losses {
    fn push(&mut self, loss: &Tensor, lr: f64) -> Result<()> {
        self.unchecked.push(loss.f_detach()?);
        self.rates.push(lr);
        Ok(())
    }

    /// Refuses losses that are not finite.
    fn check(&mut self) -> Result<()> {
        if self.unchecked.is_empty() {
            return Ok(());
        }
        let losses = Tensor::f_stack(&self.unchecked, 0)?.f_to_kind(Kind::Double)?;
        let losses = Vec::<f64>::try_from(losses)?;
        if let Some(index) = losses.iter().position(|loss| !loss.is_finite()) {
            bail!(
                "batch {}: the loss is {} at learning rate {}: training diverged; try a smaller \
                 learning rate, and look for NaN in the images if the first batch is like this",
                self.checked + index + 1,
                losses[index],
                self.rates[index]
            );
        }
        self.checked += losses.len();
        self.unchecked.clear();
        self.rates.clear();
        Ok(())
    }
}
