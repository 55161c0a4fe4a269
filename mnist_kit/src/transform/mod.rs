//! From the bytes of a batch of images to what a model reads.
//!
//! Names and ranges are torchvision's, but a transform here works on a whole batch at once.

use crate::Result;
use anyhow::{Context, ensure};
use tch::{Kind, Tensor};

/// Transforms applied one after the other, as `torchvision.transforms.Compose`.
///
/// ```
/// use mnist_kit::transform::Compose;
/// use tch::{Device, Kind, Tensor};
///
/// let transform = Compose::new().to_tensor().normalize(0.5, 0.5).flatten();
/// let black = Tensor::zeros([2, 1, 28, 28], (Kind::Uint8, Device::Cpu));
/// let batch = transform.apply(&black)?;
/// assert_eq!(batch.size(), [2, 784]);
/// assert_eq!(batch.double_value(&[0, 0]), -1.0);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compose {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    ToTensor,
    Normalize { mean: f64, std: f64 },
    Flatten,
}

impl Compose {
    /// No transform yet: a batch stays as it is.
    pub fn new() -> Compose {
        Compose::default()
    }

    /// uint8 0–255 → float32 0–1, as `torchvision.transforms.ToTensor`.
    pub fn to_tensor(self) -> Compose {
        self.then(Step::ToTensor)
    }

    /// `(pixel − mean) / std`, the same for every channel.
    pub fn normalize(self, mean: f64, std: f64) -> Compose {
        self.then(Step::Normalize { mean, std })
    }

    /// `[N, C, H, W]` → `[N, C·H·W]`: each image becomes one row.
    pub fn flatten(self) -> Compose {
        self.then(Step::Flatten)
    }

    fn then(mut self, step: Step) -> Compose {
        self.steps.push(step);
        self
    }

    /// Transforms a batch.
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]`; the result has the same shape, or `[N, C·H·W]` after
    /// [`flatten`](Compose::flatten).
    ///
    /// # Errors
    /// When a step meets a dtype or shape that it cannot take, or a deviation that is not positive.
    pub fn apply(&self, images: &Tensor) -> Result<Tensor> {
        let mut batch = images.shallow_clone();
        for step in &self.steps {
            batch = step.apply(&batch).with_context(|| format!("transform step {step:?}"))?;
        }
        Ok(batch)
    }

    /// Undoes the normalisation: pixels in 0–1 again, clamped, for pictures.
    ///
    /// # Errors
    /// When `batch` is not float32.
    pub fn denormalize(&self, batch: &Tensor) -> Result<Tensor> {
        let mut pixels = batch.shallow_clone();
        for step in self.steps.iter().rev() {
            if let Step::Normalize { mean, std } = step {
                expect_float(&pixels)?;
                pixels = pixels.f_mul_scalar(*std)?.f_add_scalar(*mean)?;
            }
        }
        Ok(pixels.f_clamp(0.0, 1.0)?)
    }
}

impl Step {
    fn apply(&self, batch: &Tensor) -> Result<Tensor> {
        match *self {
            Step::ToTensor => {
                ensure!(
                    batch.kind() == Kind::Uint8,
                    "images are {:?}, expected Uint8; to_tensor comes first and once",
                    batch.kind()
                );
                Ok(batch.f_to_kind(Kind::Float)?.f_div_scalar_(255.0)?)
            }
            Step::Normalize { mean, std } => {
                expect_float(batch)?;
                ensure!(
                    std > 0.0 && std.is_finite() && mean.is_finite(),
                    "mean {mean} and standard deviation {std}: expected finite numbers, deviation above 0"
                );
                Ok(batch.f_sub_scalar(mean)?.f_div_scalar_(std)?)
            }
            Step::Flatten => {
                let size = batch.size();
                ensure!(
                    size.len() >= 2,
                    "a batch of shape {size:?} cannot be flattened, expected [N, …]"
                );
                Ok(batch.f_flatten(1, -1)?)
            }
        }
    }
}

fn expect_float(batch: &Tensor) -> Result<()> {
    ensure!(
        batch.kind() == Kind::Float,
        "pixels are {:?}, expected Float; call to_tensor before normalize",
        batch.kind()
    );
    Ok(())
}
