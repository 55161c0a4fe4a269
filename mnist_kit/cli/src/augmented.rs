//! The most accurate and the smallest model: `StagedCnn` on augmented images, with several seeds.

use crate::options::{held_out, load_from, rate};
use crate::progress_bar::EpochBar;
use crate::record::{Recorder, add_test};
use anyhow::{Context, Result};
use clap::Args;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::eval::{Evaluation, evaluate};
use mnist_kit::model::{Ensemble, StagedCnn, summary};
use mnist_kit::table::{Table, percent, thousands};
use mnist_kit::train::{AdamW, Loss, Schedule, fit};
use mnist_kit::transform::{Compose, Interpolation, RandomAffine};
use mnist_kit::weights::save_weights;
use serde_json::{Map, Value, json};
use std::num::NonZero;
use std::path::PathBuf;
use tch::{Device, nn};

const TEST_BATCH_SIZE: usize = 1000;
/// Fraction of the run in which the learning rate rises.
const WARM_UP: f64 = 0.25;
const WEIGHT_DECAY: f64 = 0.02;

/// Which network, with the settings that were chosen for it.
#[derive(Clone, Copy)]
pub enum Network {
    Best,
    Small,
}

#[derive(Args)]
pub struct Augmented {
    /// Number of networks, with the seeds that follow --seed
    #[arg(long, default_value = "3")]
    models: NonZero<u32>,
    /// Random seed of the first network
    #[arg(long, default_value_t = 42)]
    seed: u32,
    /// Number of epochs [default: the network's]
    #[arg(long)]
    epochs: Option<NonZero<usize>>,
    /// Number of images in a training batch
    #[arg(long, default_value = "128")]
    batch_size: NonZero<usize>,
    /// Highest learning rate of the cycle, above 0 [default: the network's]
    #[arg(long, value_parser = rate, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Channels of the convolutions, with `/` between stages, such as 32,32/64,64/128
    /// [default: the network's]
    #[arg(long)]
    channels: Option<String>,
    /// Fraction of the target that is spread over all classes [default: the network's]
    #[arg(long)]
    label_smoothing: Option<f64>,
    /// Strength of the augmentation: 1 rotates by up to 10 degrees, shifts by up to 2 pixels, scales
    /// by up to a tenth and shears by up to 5 degrees [default: the network's]
    #[arg(long)]
    augmentation: Option<f64>,
    /// Train on 49,990 of the training images and measure on 10,000 others, to choose settings
    /// without the test images
    #[arg(long, conflicts_with = "records")]
    validation: bool,
    /// Folder for the records of the runs, one for each seed, such as best_42.json
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    /// Folder with the four IDX files [default: $MNIST_KIT_DATA, then the cache, then a download]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Folder for checkpoints, which resume an interrupted run, and weights
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    out: PathBuf,
}

/// What was chosen for a network, or by the options.
struct Settings {
    channels: String,
    epochs: usize,
    lr: f64,
    label_smoothing: f64,
    augmentation: f64,
}

impl Network {
    /// The settings that were chosen on validation images.
    fn settings(self) -> Settings {
        match self {
            Network::Best => Settings {
                channels: "32,32/64,64/128".to_string(),
                epochs: 20,
                lr: 1e-2,
                label_smoothing: 0.05,
                augmentation: 1.0,
            },
            Network::Small => Settings {
                channels: "4,4/6,8/8".to_string(),
                epochs: 40,
                lr: 2e-2,
                label_smoothing: 0.0,
                augmentation: 0.5,
            },
        }
    }

    /// The name of the subcommand.
    fn name(self) -> &'static str {
        match self {
            Network::Best => "best",
            Network::Small => "small",
        }
    }
}

impl Augmented {
    /// Trains the networks one after another, and measures each and all of them together.
    pub fn run(&self, network: Network) -> Result<()> {
        let settings = self.settings(network);
        let Mnist { train, test, .. } = load_from(self.data.as_deref())?;
        let (train, measured) = if self.validation { held_out(&train)? } else { (train, test) };
        let strength = settings.augmentation;
        let augmentation = RandomAffine::new(10.0 * strength)
            .translate(2.0 * strength / 28.0, 2.0 * strength / 28.0)
            .scale(1.0 - 0.1 * strength, 1.0 + 0.1 * strength)
            .shear(5.0 * strength)
            .interpolation(Interpolation::Bilinear);
        let augmented = Compose::new().then(augmentation).to_tensor();
        let train_batches = train.batches(self.batch_size.get())?.transform(&augmented);
        let measured_batches = measured.batches(TEST_BATCH_SIZE)?;
        let measured_batches = measured_batches.transform(&Compose::new().to_tensor());

        let mut members = Vec::new();
        let mut table = Table::new(["model", "accuracy"]).title(format!(
            "{} {} images",
            thousands(measured.len() as i64),
            measured.name()
        ));
        for seed in (self.seed..=u32::MAX).take(self.models.get() as usize) {
            let (model, evaluation) =
                self.train(network, &settings, seed, &train_batches, &measured_batches)?;
            table = table.row([format!("seed {seed}"), percent(evaluation.accuracy())]);
            members.push(model);
        }
        let ensemble = evaluate(&Ensemble::new(members)?, &measured_batches)?;
        print!("\n{}", table.row(["together".to_string(), percent(ensemble.accuracy())]));
        Ok(())
    }

    /// The network's settings, where the options leave them open.
    fn settings(&self, network: Network) -> Settings {
        let usual = network.settings();
        Settings {
            channels: self.channels.clone().unwrap_or(usual.channels),
            epochs: self.epochs.map_or(usual.epochs, NonZero::get),
            lr: self.lr.unwrap_or(usual.lr),
            label_smoothing: self.label_smoothing.unwrap_or(usual.label_smoothing),
            augmentation: self.augmentation.unwrap_or(usual.augmentation),
        }
    }

    /// The settings for the record of a run.
    fn recorded(&self, settings: &Settings) -> Result<Map<String, Value>> {
        Ok(serde_json::from_value(json!({
            "channels": settings.channels,
            "epochs": settings.epochs,
            "batch_size": self.batch_size,
            "test_batch_size": TEST_BATCH_SIZE,
            "lr": settings.lr,
            "schedule": "one-cycle",
            "warm_up": WARM_UP,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": settings.label_smoothing,
            "augmentation": settings.augmentation,
        }))?)
    }

    /// Trains the network with one seed and measures it.
    fn train(
        &self,
        network: Network,
        settings: &Settings,
        seed: u32,
        train: &Batches,
        measured: &Batches,
    ) -> Result<(StagedCnn, Evaluation)> {
        let name = format!("{}_{seed}", network.name());
        let record = self.records.as_ref().map(|folder| folder.join(format!("{name}.json")));
        let device = Device::cuda_if_available();
        let recorder = record.as_ref().map(|path| {
            Recorder::new(path, network.name(), seed.into(), self.recorded(settings)?, device)
        });
        tch::manual_seed(seed.into());
        let vs = nn::VarStore::new(device);
        let model = StagedCnn::new(vs.root(), &parse_channels(&settings.channels)?)?;
        println!("\nSeed {seed}: {} parameters", thousands(summary(&vs).total()));
        let train = train.clone().shuffle(seed.into()).device(device);
        let measured = measured.clone().device(device);
        let run = fit(&model, &vs, &train)
            .optimizer(AdamW::new(settings.lr).weight_decay(WEIGHT_DECAY))
            .schedule(Schedule::OneCycle { warm_up: WARM_UP })
            .loss(Loss::CrossEntropy { label_smoothing: settings.label_smoothing })
            .epochs(settings.epochs)
            .checkpoint(self.out.join(format!("{name}.checkpoint")))
            .report(EpochBar::new()?.record(recorder.transpose()?));
        let run = if self.validation { run.validation(&measured) } else { run.test(&measured) };
        run.run()?;
        let evaluation = evaluate(&model, &measured)?;
        if let Some(path) = record {
            add_test(&path, &evaluation)?;
        }
        save_weights(&vs, self.out.join(format!("{name}.safetensors")))?;
        Ok((model, evaluation))
    }
}

/// Reads the channels of each stage from a text such as `32,32/64`.
fn parse_channels(text: &str) -> Result<Vec<Vec<i64>>> {
    let number = |text: &str| text.trim().parse::<i64>();
    let stage = |text: &str| text.split(',').map(number).collect::<Result<Vec<i64>, _>>();
    let stages: Result<Vec<Vec<i64>>, _> = text.split('/').map(stage).collect();
    stages.with_context(|| format!("--channels {text}: expected numbers such as 32,32/64,64/128"))
}
