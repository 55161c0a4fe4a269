//! Options that every lesson takes.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use mnist_kit::data::{Mnist, Settings};
use mnist_kit::figure::Figure;
use mnist_kit::train::Schedule;
use std::path::PathBuf;
use tch::Device;

#[derive(Args)]
pub struct Common {
    /// Times that the model sees every training image [default: the lesson's]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images in a training batch [default: the lesson's]
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Images in a test batch
    #[arg(long, default_value_t = 1000)]
    pub test_batch_size: usize,
    /// Learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
    /// How the learning rate changes in the course of the run
    #[arg(long, value_enum, default_value_t = ScheduleChoice::Constant)]
    schedule: ScheduleChoice,
    /// Seed of the weights and of the order of the images [default: the lesson's]
    #[arg(long)]
    pub seed: Option<u32>,
    /// File that keeps the state of the run after each epoch; where it exists, the run goes on from it
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// Folder with the four IDX files, gzipped or not [default: $MNIST_KIT_DATA, then the cache, then a download]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Folder for figures and weights
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    pub out: PathBuf,
    /// File format of the figures
    #[arg(long, value_enum, default_value_t = Format::Png)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceChoice {
    Auto,
    Cpu,
    Cuda,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScheduleChoice {
    /// As it is
    Constant,
    /// Falling to 0 along half a cosine
    Cosine,
    /// Rising to --lr in the first third, then falling to 0
    OneCycle,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Png,
    Svg,
}

impl Common {
    pub fn device(&self) -> Result<Device> {
        Ok(match self.device {
            DeviceChoice::Auto => Device::cuda_if_available(),
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Cuda => {
                ensure!(
                    tch::Cuda::is_available(),
                    "no CUDA device found; `--device cpu` computes without one"
                );
                Device::Cuda(0)
            }
        })
    }

    pub fn schedule(&self) -> Schedule {
        match self.schedule {
            ScheduleChoice::Constant => Schedule::Constant,
            ScheduleChoice::Cosine => Schedule::cosine(),
            ScheduleChoice::OneCycle => Schedule::one_cycle(),
        }
    }

    pub fn load(&self) -> Result<Mnist> {
        let mut settings = Settings::from_env()?;
        if let Some(folder) = &self.data {
            settings.mnist.folder = Some(folder.clone());
        }
        Mnist::load_with(&settings)
    }

    /// Saves a figure under `--out` in the chosen format and says where.
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
