//! Weights with a JSON file beside them that names their model and its input normalization.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use mnist_kit::model::{Cnn, DeepCnn, LeNet, Mlp, ResNet};
use mnist_kit::transform::Compose;
use mnist_kit::weights::{load_weights, save_weights};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::{Device, nn};

/// The most bytes of a description, which has about a hundred.
const LONGEST: usize = 4096;

/// A model of the lessons.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    Mlp,
    Lenet,
    Cnn,
    DeepCnn,
    Resnet,
}

/// The description of a saved model that its weights lack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub model: Architecture,
    /// Number of the perceptron's hidden neurons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<i64>,
    /// Number of channels of the residual network's first stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Mean that is subtracted from pixels in 0–1.
    pub mean: f64,
    /// Standard deviation that the difference is divided by.
    pub std: f64,
}

impl Recipe {
    /// The recipe of a lesson; the perceptron's normalizes with all of MNIST's training pixels.
    pub fn usual(model: Architecture) -> Recipe {
        let (mean, std) = match model {
            Architecture::Mlp => (0.1307, 0.3081),
            Architecture::Resnet => (0.5, 0.5),
            Architecture::Lenet | Architecture::Cnn | Architecture::DeepCnn => (0.0, 1.0),
        };
        Recipe { model, hidden: None, width: None, mean, std }
    }

    /// Appends the conversion and normalization that the model expects to a transform.
    pub fn after(&self, transform: Compose) -> Compose {
        let transform = transform.to_tensor();
        match (self.mean, self.std) {
            (0.0, 1.0) => transform,
            (mean, std) => transform.normalize(mean, std),
        }
    }

    pub fn build(&self, path: nn::Path) -> Result<Box<dyn nn::ModuleT>> {
        Ok(match self.model {
            Architecture::Mlp => Box::new(Mlp::new(path, self.hidden.unwrap_or(100))?),
            Architecture::Lenet => Box::new(LeNet::new(path)),
            Architecture::Cnn => Box::new(Cnn::new(path)),
            Architecture::DeepCnn => Box::new(DeepCnn::new(path)),
            Architecture::Resnet => Box::new(ResNet::with_width(path, self.width.unwrap_or(64))?),
        })
    }

    /// Saves the weights, and the recipe beside them.
    pub fn save(&self, vs: &nn::VarStore, weights: &Path) -> Result<()> {
        save_weights(vs, weights)?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        mnist_kit::write_whole(beside(weights), text.as_bytes())
    }

    /// Reads the recipe beside a file of weights.
    pub fn read(weights: &Path) -> Result<Recipe> {
        let path = beside(weights);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}, which names the model of {}; training writes both files, or name the model with --model",
                path.display(),
                weights.display()
            )
        })?;
        Recipe::parse(&text)
            .with_context(|| format!("{} does not describe a model", path.display()))
    }

    fn parse(text: &str) -> Result<Recipe> {
        // serde_json repeats in its message what it did not expect.
        ensure!(text.len() <= LONGEST, "it has {} bytes, expected at most {LONGEST}", text.len());
        serde_json::from_str::<Recipe>(text)?.checked()
    }

    /// The recipe, unless it makes no numbers of pixels. The sizes are checked by the model.
    fn checked(self) -> Result<Recipe> {
        let Recipe { mean, std, .. } = self;
        ensure!(mean.is_finite(), "the mean is {mean}, expected a finite number");
        ensure!(
            std.is_finite() && std > 0.0,
            "the standard deviation is {std}, expected a finite number above 0"
        );
        Ok(self)
    }

    /// Builds the model and loads its weights.
    pub fn load(&self, weights: &Path) -> Result<Box<dyn nn::ModuleT>> {
        let vs = nn::VarStore::new(Device::Cpu);
        let model = self.build(vs.root())?;
        load_weights(&vs, weights)?;
        Ok(model)
    }
}

/// The path of the description: `resnet.safetensors` → `resnet.json`.
fn beside(weights: &Path) -> PathBuf {
    weights.with_extension("json")
}
