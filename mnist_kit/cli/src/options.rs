//! Options that every lesson takes.

use crate::record::{Recorder, add_test};
use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use mnist_kit::data::{Mnist, Settings, Split};
use mnist_kit::eval::Evaluation;
use mnist_kit::figure::Figure;
use mnist_kit::train::{RunRecord, Schedule};
use serde_json::{Map, Value, json};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use tch::Device;

#[derive(Args)]
pub struct Common {
    /// Number of epochs, 1 or more; the last one given counts [default: the lesson's]
    #[arg(long, overrides_with = "epochs")]
    epochs: Option<NonZero<usize>>,
    /// Number of images in a training batch [default: the lesson's]
    #[arg(long)]
    batch_size: Option<NonZero<usize>>,
    /// Number of images in a test batch
    #[arg(long, default_value = "1000")]
    test_batch_size: NonZero<usize>,
    /// Learning rate, above 0
    #[arg(long, default_value = "1e-3", value_parser = rate, allow_negative_numbers = true)]
    pub lr: f64,
    /// Learning-rate schedule
    #[arg(long, value_enum, default_value_t = ScheduleChoice::Constant)]
    schedule: ScheduleChoice,
    /// Random seed for the initial weights and the order of the images [default: the lesson's]
    #[arg(long)]
    pub seed: Option<u32>,
    /// File for the state of the run, written after each epoch; an existing file resumes its run
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// File for the record of the run, written after each epoch: its numbers, log, settings, seed,
    /// commit, device and date. Named after model and seed, as in records/cnn_777.json
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// Folder with the four IDX files [default: $MNIST_KIT_DATA, then the cache, then a download]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Folder for figures, weights and history
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    pub out: PathBuf,
    /// File format of the figures
    #[arg(long, value_enum, default_value_t = Format::Png)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceChoice {
    /// The first GPU, or else the CPU
    Auto,
    Cpu,
    Cuda,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScheduleChoice {
    /// The same learning rate throughout
    Constant,
    /// From --lr to 0 along half a cosine
    Cosine,
    /// Up to --lr in the first three tenths of the run, then down to almost 0
    OneCycle,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Png,
    Svg,
}

/// Parses a learning rate.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number such as 1e-3".to_string())?;
    if rate > 0.0 && rate.is_finite() {
        Ok(rate)
    } else {
        Err("expected a finite number above 0, such as 1e-3".to_string())
    }
}

/// Loads MNIST, from `folder` where it is given.
pub fn load_from(folder: Option<&Path>) -> Result<Mnist> {
    let mut settings = Settings::from_env()?;
    if let Some(folder) = folder {
        settings.mnist.folder = Some(folder.to_path_buf());
    }
    Mnist::load_with(&settings)
}

/// Cuts a sixth off the training images: 10,000 of MNIST's 60,000, each digit in its proportion.
///
/// Ten images stay out of both parts: the validation accuracies in docs/BENCHMARKS.md were measured
/// on these parts.
pub fn held_out(train: &Split) -> Result<(Split, Split)> {
    let sixth = train.len() / 6;
    let rest = train.len().saturating_sub(sixth + 10);
    let parts = [("train", rest), ("validation", sixth)];
    let [train, validation] = <[Split; 2]>::try_from(train.stratified(&parts, 1)?)
        .map_err(|parts| anyhow!("{} parts, expected 2", parts.len()))?;
    Ok((train, validation))
}

impl Common {
    /// The number of epochs, or `default` where the option is not given.
    pub fn epochs(&self, default: usize) -> usize {
        self.epochs.map_or(default, NonZero::get)
    }

    /// The training batch size, or `default` where the option is not given.
    pub fn batch_size(&self, default: usize) -> usize {
        self.batch_size.map_or(default, NonZero::get)
    }

    /// The test batch size.
    pub fn test_batch_size(&self) -> usize {
        self.test_batch_size.get()
    }

    /// The device that the options choose.
    pub fn device(&self) -> Result<Device> {
        Ok(match self.device {
            DeviceChoice::Auto => Device::cuda_if_available(),
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Cuda => {
                ensure!(
                    tch::Cuda::is_available(),
                    "no CUDA device found; train with `--device cpu` instead"
                );
                Device::Cuda(0)
            }
        })
    }

    /// The schedule that the options choose.
    pub fn schedule(&self) -> Schedule {
        match self.schedule {
            ScheduleChoice::Constant => Schedule::Constant,
            ScheduleChoice::Cosine => Schedule::cosine(),
            ScheduleChoice::OneCycle => Schedule::one_cycle(),
        }
    }

    /// The options that decide the course of a run, for its record. `epochs` and `batch_size` are the
    /// lesson's.
    pub fn settings(&self, epochs: usize, batch_size: usize) -> Result<Map<String, Value>> {
        let schedule = self.schedule.to_possible_value().context("the schedule has a name")?;
        let settings = json!({
            "epochs": self.epochs(epochs),
            "batch_size": self.batch_size(batch_size),
            "test_batch_size": self.test_batch_size(),
            "lr": self.lr,
            "schedule": schedule.get_name(),
        });
        Ok(serde_json::from_value(settings)?)
    }

    /// Prepares the record that `--record` asks for.
    pub fn recorder(
        &self,
        model: &str,
        seed: u64,
        settings: Map<String, Value>,
    ) -> Result<Option<Recorder>> {
        let new = |path: &PathBuf| Recorder::new(path, model, seed, settings, self.device()?);
        self.record.as_ref().map(new).transpose()
    }

    /// Adds the results of a run to the log of its record, where one is kept.
    pub fn add_to_record(&self, results: &str) -> Result<()> {
        let Some(path) = &self.record else { return Ok(()) };
        let mut record = RunRecord::load(path)?;
        // A run that is resumed after its end has them already.
        if !record.log.ends_with(results) {
            record.log += results;
            record.save(path)?;
        }
        Ok(())
    }

    /// Adds the results on the test images to the record of a run, where one is kept.
    pub fn add_test_to_record(&self, evaluation: &Evaluation) -> Result<()> {
        self.record.as_ref().map_or(Ok(()), |path| add_test(path, evaluation))
    }

    /// Loads MNIST, from `--data` where it is given.
    pub fn load(&self) -> Result<Mnist> {
        load_from(self.data.as_deref())
    }

    /// Saves a figure under `--out` in the chosen format and prints its path.
    pub fn save(&self, figure: &Figure, name: &str) -> Result<()> {
        let extension = match self.format {
            Format::Png => "png",
            Format::Svg => "svg",
        };
        let path = self.out.join(format!("{name}.{extension}"));
        figure.save(&path)?;
        println!("  {}", path.display());
        Ok(())
    }
}
