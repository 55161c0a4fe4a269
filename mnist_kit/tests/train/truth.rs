//! A run that is interrupted and resumed equals the uninterrupted run, bit for bit.

use crate::common::generator;
use anyhow::{Result, bail};
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::model::{
    Backbone, Cnn, DeepCnn, LeNet, MlpConfig, ResNet, extract_features, train_only,
};
use mnist_kit::train::{
    Adam, AdamW, BatchRecord, EpochRecord, OptimizerConfig, Progress, Report, Schedule, Sgd, fit,
};
use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use tch::nn::ModuleT;
use tch::{Device, Tensor, nn};

const EPOCHS: usize = 3;
const BATCHES: usize = 3;

/// Creates a lesson's model.
type Build = Box<dyn Fn(&nn::VarStore) -> Result<Box<dyn ModuleT>>>;

/// The losses and accuracies of the epochs, and the weights after them.
type Trained = (Vec<Numbers>, HashMap<String, Tensor>);

/// A lesson's training on a few generated digits.
struct Lesson {
    train: Batches,
    validation: Batches,
    build: Build,
    optimizer: OptimizerConfig,
    /// The part of the model with a learning rate of its own.
    part: Option<&'static str>,
    schedule: Schedule,
}

impl Lesson {
    /// Trains on digits that `augmentation` changes and `pixels` converts.
    fn new(
        augmentation: Compose,
        pixels: impl Fn(Compose) -> Compose,
        optimizer: impl Into<OptimizerConfig>,
        build: impl Fn(&nn::VarStore) -> Result<Box<dyn ModuleT>> + 'static,
    ) -> Result<Lesson> {
        let digits = Mnist::generated(3, 10 * BATCHES, 20)?;
        Ok(Lesson {
            train: digits.train.batches(10)?.transform(&pixels(augmentation)).shuffle(1),
            validation: digits.test.batches(20)?.transform(&pixels(Compose::new())),
            build: Box::new(build),
            optimizer: optimizer.into(),
            part: None,
            schedule: Schedule::Constant,
        })
    }

    /// Trains a model that starts with the weights of this seed; returns the curve and the weights.
    fn run(
        &self,
        seed: i64,
        epochs: usize,
        checkpoint: Option<&Path>,
        report: impl Report,
    ) -> Result<Trained> {
        tch::manual_seed(seed);
        let vs = nn::VarStore::new(Device::Cpu);
        let model = (self.build)(&vs)?;
        let mut run = fit(&*model, &vs, &self.train)
            .optimizer(self.optimizer.clone())
            .schedule(self.schedule)
            .validation(&self.validation)
            .epochs(epochs)
            .report(report);
        if let Some(part) = self.part {
            run = run.rate(part, 10.0);
        }
        if let Some(path) = checkpoint {
            run = run.checkpoint(path);
        }
        let history = run.run()?;
        let curve = history.epochs().iter().map(|epoch| {
            (epoch.train_loss, epoch.train_accuracy, epoch.val_loss, epoch.val_accuracy)
        });
        Ok((curve.collect(), vs.variables()))
    }

    /// [`run`](Lesson::run) with a checkpoint. A resumed run starts with other weights than the first
    /// one, so that it shows if a weight is not restored.
    fn go_on(&self, epochs: usize, path: &Path, stop: Stop) -> Result<Trained> {
        let seed = if path.exists() { 100 + epochs as i64 } else { FIRST_SEED };
        self.run(seed, epochs, Some(path), stop)
    }

    /// Interrupts the run in each epoch and after it, and compares.
    fn assert_resumed_equals_uninterrupted(&self) -> Result<()> {
        let (curve, weights) = self.run(FIRST_SEED, EPOCHS, None, Stop::Never)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.safetensors");
        for epoch in 1..=EPOCHS {
            let stop = Stop::At { epoch, batch: 1 + epoch % BATCHES };
            assert!(self.go_on(EPOCHS, &path, stop).is_err());
            let (resumed, resumed_weights) = self.go_on(epoch, &path, Stop::Never)?;
            assert_eq!(resumed, curve[..epoch]);
            if epoch == EPOCHS {
                assert_eq!(resumed_weights, weights);
            }
        }
        Ok(())
    }
}

/// Losses and accuracies of an epoch.
type Numbers = (f64, f64, Option<f64>, Option<f64>);

const FIRST_SEED: i64 = 9;

/// Ends a run after a batch, and says how.
#[derive(Clone, Copy)]
enum Stop {
    Never,
    /// With an error.
    At {
        epoch: usize,
        batch: usize,
    },
    /// With SIGKILL; batch 0 is the end of the epoch.
    Kill {
        epoch: usize,
        batch: usize,
    },
}

impl Stop {
    fn here(self, now: (usize, usize)) -> Result<()> {
        match self {
            Stop::At { epoch, batch } if (epoch, batch) == now => bail!("stopped"),
            Stop::Kill { epoch, batch } if (epoch, batch) == now => {
                // SAFETY: raise has no preconditions.
                unsafe { libc::raise(libc::SIGKILL) };
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Report for Stop {
    fn batch(&mut self, record: &BatchRecord, _progress: &Progress) -> Result<()> {
        self.here((record.epoch, record.batch))
    }

    fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        self.here((record.epoch, 0))
    }
}

fn floats(transform: Compose) -> Compose {
    transform.to_tensor().normalize(0.5, 0.5)
}

fn augmentation() -> Compose {
    let affine = RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2);
    Compose::new().then(RandomRotation::new(10.0)).then(affine)
}

/// Lesson 1's network, with or without dropout and augmentation.
fn mlp(dropout: f64, augmentation: Compose) -> Result<Lesson> {
    Lesson::new(augmentation, floats, Adam::new(1e-2), move |vs| {
        Ok(Box::new(MlpConfig::default().hidden([16]).dropout(dropout).build(vs.root())?))
    })
}

#[test]
fn lesson_1_the_perceptron() -> Result<()> {
    let _alone = generator();
    mlp(0.0, Compose::new())?.assert_resumed_equals_uninterrupted()?;
    mlp(0.0, augmentation())?.assert_resumed_equals_uninterrupted()?;
    mlp(0.5, Compose::new())?.assert_resumed_equals_uninterrupted()?;
    let halved = Schedule::Step { every: 1, gamma: 0.5 };
    Lesson { schedule: halved, ..mlp(0.5, augmentation())? }.assert_resumed_equals_uninterrupted()
}

#[test]
fn lesson_2_lenet_with_momentum() -> Result<()> {
    let _alone = generator();
    let sgd = Sgd::new(1e-2).momentum(0.9);
    for augmentation in [Compose::new(), augmentation()] {
        Lesson::new(augmentation, floats, sgd.clone(), |vs| Ok(Box::new(LeNet::new(vs.root()))))?
            .assert_resumed_equals_uninterrupted()?;
    }
    Ok(())
}

#[test]
fn lesson_3_both_networks() -> Result<()> {
    let _alone = generator();
    let adam = Adam::new(1e-3);
    Lesson::new(Compose::new(), floats, adam.clone(), |vs| Ok(Box::new(Cnn::new(vs.root()))))?
        .assert_resumed_equals_uninterrupted()?;
    for augmentation in [Compose::new(), augmentation()] {
        let adam = adam.clone();
        Lesson::new(augmentation, floats, adam, |vs| Ok(Box::new(DeepCnn::new(vs.root()))))?
            .assert_resumed_equals_uninterrupted()?;
    }
    Ok(())
}

#[test]
fn lesson_4_the_residual_network() -> Result<()> {
    let _alone = generator();
    for augmentation in [Compose::new(), augmentation()] {
        Lesson::new(augmentation, floats, Adam::new(1e-3), |vs| {
            Ok(Box::new(ResNet::with_width(vs.root(), 4)?))
        })?
        .assert_resumed_equals_uninterrupted()?;
    }
    Ok(())
}

/// The conversion of lesson 5, to fewer pixels than there.
fn color(transform: Compose) -> Compose {
    transform.resize(32, 32).to_tensor().repeat_channels(3)
}

#[test]
fn lesson_5_the_head_on_features() -> Result<()> {
    let _alone = generator();
    let digits = Mnist::generated(3, 10 * BATCHES, 20)?;
    tch::manual_seed(5);
    let vs = nn::VarStore::new(Device::Cpu);
    let body = Backbone::mobilenet_v2(vs.root(), 10)?.body();
    let features = |split: &mnist_kit::data::Split, views| {
        extract_features(&body, &split.batches(10)?.transform(&color(augmentation())), views)
    };
    let (train, validation) = (features(&digits.train, 1)?, features(&digits.test, 1)?);
    let lesson = Lesson {
        train: train.batches(10)?.shuffle(1),
        validation: validation.batches(20)?,
        build: Box::new(|vs| {
            let backbone = Backbone::mobilenet_v2(vs.root(), 10)?;
            train_only(vs, &[backbone.head_name()])?;
            Ok(Box::new(backbone.head()))
        }),
        optimizer: AdamW::new(1e-2).into(),
        part: None,
        schedule: Schedule::Constant,
    };
    lesson.assert_resumed_equals_uninterrupted()
}

#[test]
fn lesson_5_fine_tuning() -> Result<()> {
    let _alone = generator();
    type BuildBackbone = fn(&nn::VarStore) -> Result<Backbone>;
    let backbones: [BuildBackbone; 2] =
        [|vs| Backbone::mobilenet_v2(vs.root(), 10), |vs| Backbone::resnet18(vs.root(), 10)];
    for backbone in backbones {
        let vs = nn::VarStore::new(Device::Cpu);
        let head = backbone(&vs)?.head_name();
        let lesson = Lesson::new(augmentation(), color, AdamW::new(1e-4), move |vs| {
            let model = backbone(vs)?;
            let mut trainable = vec![head];
            trainable.extend(model.last_stage());
            train_only(vs, &trainable)?;
            Ok(Box::new(model))
        })?;
        Lesson { part: Some(head), ..lesson }.assert_resumed_equals_uninterrupted()?;
    }
    Ok(())
}

/// This test runs itself in other processes, with these variables.
const PLACE: &str = "MNIST_KIT_TEST_CHECKPOINT";
const KILL: &str = "MNIST_KIT_TEST_KILL";

#[test]
fn a_killed_run_goes_on() -> Result<()> {
    let _alone = generator();
    let lesson = mlp(0.5, augmentation())?;
    if let Some(path) = std::env::var_os(PLACE) {
        let kill = std::env::var(KILL)?;
        let stop = match kill.split_once(',') {
            Some((epoch, batch)) => Stop::Kill { epoch: epoch.parse()?, batch: batch.parse()? },
            None => Stop::Never,
        };
        lesson.go_on(EPOCHS, Path::new(&path), stop)?;
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    let child = |kill: &str| -> Result<std::process::Output> {
        let test = ["--exact", "truth::a_killed_run_goes_on", "--nocapture"];
        let mut command = Command::new(std::env::current_exe()?);
        Ok(command.args(test).env(PLACE, &path).env(KILL, kill).output()?)
    };
    for kill in ["1,2", "2,1", "2,0", "3,3", "3,0"] {
        let status = child(kill)?.status;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(libc::SIGKILL), "{kill}: {status}");
    }
    // The lock of a dead process keeps nobody away.
    let (curve, weights) = lesson.run(FIRST_SEED, EPOCHS, None, Stop::Never)?;
    assert_eq!(lesson.go_on(EPOCHS, &path, Stop::Never)?, (curve.clone(), weights));
    std::fs::write(&path, "damaged")?;
    let output = child("never")?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for part in ["run.safetensors is damaged", "resuming from", "run.safetensors.previous instead"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(lesson.go_on(EPOCHS, &path, Stop::Never)?.0, curve);
    Ok(())
}
