//! Lesson 6: 99 % in seconds. Nothing is drawn or saved that takes time.

use crate::options::{held_out, load_from, rate};
use crate::progress_bar::EpochBar;
use crate::record::Recorder;
use anyhow::Result;
use clap::Args;
use mnist_kit::data::Mnist;
use mnist_kit::model::FastCnn;
use mnist_kit::table::{percent, thousands};
use mnist_kit::train::{AdamW, Loss, Schedule, fit};
use mnist_kit::transform::Compose;
use serde_json::json;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, nn};

const TEST_BATCH_SIZE: usize = 1000;
/// Fraction of the epoch in which the learning rate rises.
const WARM_UP: f64 = 0.25;
/// A memory of 50 steps for the squared gradient: an epoch has only 469.
const BETAS: (f64, f64) = (0.9, 0.98);
const WEIGHT_DECAY: f64 = 0.02;
const LABEL_SMOOTHING: f64 = 0.05;

#[derive(Args)]
pub struct Fast {
    /// Random seed for the initial weights and the order of the images
    #[arg(long, default_value_t = 42)]
    seed: u32,
    /// Number of images in a training batch
    #[arg(long, default_value = "128")]
    batch_size: NonZero<usize>,
    /// Highest learning rate of the cycle, above 0
    #[arg(long, default_value = "1e-2", value_parser = rate, allow_negative_numbers = true)]
    lr: f64,
    /// Train on 49,990 of the training images and measure on 10,000 others, to choose settings
    /// without the test images
    #[arg(long, conflicts_with = "record")]
    validation: bool,
    /// File for the record of the run, named after model and seed, as in records/fast_42.json
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Folder with the four IDX files [default: $MNIST_KIT_DATA, then the cache, then a download]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

impl Fast {
    /// Trains one epoch and measures the accuracy. `started` is the start of the program, from
    /// which the seconds count.
    pub fn run(&self, started: Instant) -> Result<()> {
        let recorder = self.recorder()?;
        let Mnist { train, test, .. } = load_from(self.data.as_deref())?;
        let (train, measured) = if self.validation { held_out(&train)? } else { (train, test) };
        let loading = started.elapsed().as_secs_f64();

        let device = Device::cuda_if_available();
        let transform = Compose::new().center_crop(24).to_tensor();
        let train_batches = train.batches(self.batch_size.get())?.transform(&transform);
        let train_batches = train_batches.shuffle(self.seed.into()).device(device);
        let measured_batches = measured.batches(TEST_BATCH_SIZE)?.transform(&transform);
        let measured_batches = measured_batches.device(device);
        tch::manual_seed(self.seed.into());
        let vs = nn::VarStore::new(device);
        let model = FastCnn::new(vs.root());
        let run = fit(&model, &vs, &train_batches)
            .optimizer(AdamW::new(self.lr).betas(BETAS.0, BETAS.1).weight_decay(WEIGHT_DECAY))
            .schedule(Schedule::OneCycle { warm_up: WARM_UP })
            .loss(Loss::CrossEntropy { label_smoothing: LABEL_SMOOTHING })
            .report(EpochBar::new()?.record(recorder));
        let accuracy = match self.validation {
            true => run.validation(&measured_batches).run()?.val_accuracy()?,
            false => run.test(&measured_batches).run()?.test_accuracy()?,
        };
        println!(
            "{} of {} {} images after {:.2} s, of which loading took {loading:.2} s",
            percent(accuracy),
            thousands(measured.len() as i64),
            measured.name(),
            started.elapsed().as_secs_f64(),
        );
        Ok(())
    }

    /// Prepares the record that `--record` asks for.
    fn recorder(&self) -> Result<Option<Recorder>> {
        let settings = json!({
            "epochs": 1,
            "batch_size": self.batch_size,
            "test_batch_size": TEST_BATCH_SIZE,
            "lr": self.lr,
            "schedule": "one-cycle",
            "warm_up": WARM_UP,
            "betas": BETAS,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": LABEL_SMOOTHING,
        });
        let Some(path) = &self.record else { return Ok(None) };
        let settings = serde_json::from_value(settings)?;
        let device = Device::cuda_if_available();
        Recorder::new(path, "fast", self.seed.into(), settings, device).map(Some)
    }
}
