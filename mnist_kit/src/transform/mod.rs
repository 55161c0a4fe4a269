//! Transforms and augmentation: batches of pixels in, batches for a model out.
//!
//! Names and ranges are torchvision's, but a transform here works on a whole batch at once.

mod affine;
mod filters;
mod random;

pub use affine::{Affine, Interpolation, affine, translate};
pub use filters::{gaussian_blur, sobel_magnitude, sobel_x, sobel_y};
pub use random::{RandomAffine, RandomRotation};

use crate::Result;
use affine::{Source, sample};
use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Mean and standard deviation of ImageNet's pixels in 0–1, for red, green and blue.
///
/// Source: `torchvision.transforms._presets.ImageClassification`.
///
/// ```
/// use mnist_kit::transform::{Compose, IMAGENET};
/// use tch::{Device, Kind, Tensor};
///
/// let transform = Compose::new().to_tensor().repeat_channels(3).normalize_channels(IMAGENET);
/// let black = transform.apply(&Tensor::zeros([1, 1, 2, 2], (Kind::Uint8, Device::Cpu)))?;
/// assert!((black.double_value(&[0, 2, 0, 0]) + 0.406 / 0.225).abs() < 1e-6);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// A sequence of transforms, as `torchvision.transforms.Compose`.
///
/// With serde it is a list of steps, each tagged with its name:
/// `[{"step":"to_tensor"},{"step":"normalize","mean":0.5,"std":0.5}]`.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Compose {
    steps: Vec<Step>,
}

/// One transform. The serialized names are part of stored checkpoints and must not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum Step {
    ToTensor,
    Normalize { mean: f64, std: f64 },
    NormalizeChannels { mean: [f64; 3], std: [f64; 3] },
    Flatten,
    Resize { height: i64, width: i64 },
    CenterCrop { size: i64 },
    RepeatChannels { channels: i64 },
    RandomAffine(RandomAffine),
}

impl Compose {
    /// Makes an empty sequence, which leaves a batch as it is.
    pub fn new() -> Compose {
        Compose::default()
    }

    /// Converts uint8 pixels in 0–255 to float32 in 0–1, as `torchvision.transforms.ToTensor`.
    pub fn to_tensor(self) -> Compose {
        self.step(Step::ToTensor)
    }

    /// Normalizes pixels to `(pixel − mean) / std`, every channel alike.
    pub fn normalize(self, mean: f64, std: f64) -> Compose {
        self.step(Step::Normalize { mean, std })
    }

    /// Normalizes each of three channels by its own mean and standard deviation, as
    /// `torchvision.transforms.Normalize`. Networks trained on ImageNet need [`IMAGENET`].
    pub fn normalize_channels(self, (mean, std): ([f64; 3], [f64; 3])) -> Compose {
        self.step(Step::NormalizeChannels { mean, std })
    }

    /// Flattens each image to a row: `[N, C, H, W]` → `[N, C·H·W]`.
    pub fn flatten(self) -> Compose {
        self.step(Step::Flatten)
    }

    /// Resizes to `height` × `width` pixels: bilinear, with antialiasing, as
    /// `torchvision.transforms.Resize` of a picture.
    pub fn resize(self, height: i64, width: i64) -> Compose {
        self.step(Step::Resize { height, width })
    }

    /// Cuts out the `size` × `size` pixels in the middle, as `torchvision.transforms.CenterCrop`, but
    /// refuses images that are smaller instead of padding them.
    ///
    /// ```
    /// use mnist_kit::transform::Compose;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let images = Tensor::arange(9, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
    /// let middle = Compose::new().center_crop(1).apply(&images)?;
    /// assert_eq!(middle.size(), [1, 1, 1, 1]);
    /// assert_eq!(middle.double_value(&[0, 0, 0, 0]), 4.0);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn center_crop(self, size: i64) -> Compose {
        self.step(Step::CenterCrop { size })
    }

    /// Repeats a gray image in `channels` channels, as `torchvision.transforms.Grayscale(3)`.
    pub fn repeat_channels(self, channels: i64) -> Compose {
        self.step(Step::RepeatChannels { channels })
    }

    /// Adds a [`RandomRotation`] or [`RandomAffine`].
    ///
    /// Neighbors with the same interpolation and fill are composed, so that each image is sampled
    /// and blurred only once.
    pub fn then(self, random: impl Into<RandomAffine>) -> Compose {
        self.step(Step::RandomAffine(random.into()))
    }

    fn step(mut self, step: Step) -> Compose {
        self.steps.push(step);
        self
    }

    /// Returns true if a step is random.
    pub fn is_random(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::RandomAffine(_)))
    }

    /// Transforms a batch.
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]`. The result has the same shape, except for the height and width of
    /// [`resize`](Compose::resize) and [`center_crop`](Compose::center_crop), the channels of
    /// [`repeat_channels`](Compose::repeat_channels), and the rows `[N, C·H·W]` of
    /// [`flatten`](Compose::flatten).
    ///
    /// # Errors
    /// When a step is random (see [`apply_seeded`](Compose::apply_seeded)), gets a dtype or shape
    /// that it cannot take, or has a parameter out of range.
    pub fn apply(&self, images: &Tensor) -> Result<Tensor> {
        ensure!(!self.is_random(), "this transform is random; call apply_seeded with a seed");
        self.apply_seeded(images, 0)
    }

    /// Transforms a batch, with random steps drawn from `seed`. The same seed and batch give the
    /// same result.
    ///
    /// ```
    /// use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let affine = RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2);
    /// let transform = Compose::new().then(RandomRotation::new(10.0)).then(affine).to_tensor();
    /// let images = Tensor::randint(256, [16, 1, 28, 28], (Kind::Uint8, Device::Cpu));
    /// let augmented = transform.apply_seeded(&images, 1)?;
    /// assert_eq!(augmented, transform.apply_seeded(&images, 1)?);
    /// assert_ne!(augmented, transform.apply_seeded(&images, 2)?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn apply_seeded(&self, images: &Tensor, seed: u64) -> Result<Tensor> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut batch = images.shallow_clone();
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            batch = match step {
                Step::RandomAffine(first) => {
                    let mut run = vec![*first];
                    let same =
                        |next: &&Step| matches!(next, Step::RandomAffine(next) if next.samples_as(first));
                    while let Some(Step::RandomAffine(next)) = steps.next_if(same) {
                        run.push(*next);
                    }
                    apply_random(&run, &batch, &mut rng)
                }
                step => step.apply(&batch),
            }
            .with_context(|| format!("transform step {step:?}"))?;
        }
        Ok(batch)
    }

    /// Undoes the normalization, for pictures: pixels in 0–1 again, clamped.
    ///
    /// # Errors
    /// When `batch` is not float32.
    pub fn denormalize(&self, batch: &Tensor) -> Result<Tensor> {
        expect_float(batch)?;
        let mut pixels = batch.shallow_clone();
        for step in self.steps.iter().rev() {
            match step {
                Step::Normalize { mean, std } => {
                    pixels = pixels.f_mul_scalar(*std)?.f_add_scalar(*mean)?;
                }
                Step::NormalizeChannels { mean, std } => {
                    expect_rgb(&pixels)?;
                    pixels = pixels.f_mul(&by_channel(std, &pixels)?)?;
                    pixels = pixels.f_add(&by_channel(mean, &pixels)?)?;
                }
                _ => {}
            }
        }
        Ok(pixels.f_clamp(0.0, 1.0)?)
    }
}

/// Applies all random transforms of `run` to each image in turn, sampling once.
fn apply_random(run: &[RandomAffine], batch: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let size = batch.size();
    ensure!(size.len() == 4, "images of shape {size:?}, expected [N, C, H, W]; put flatten last");
    let sources = (0..size[0])
        .map(|_| {
            run.iter().try_fold(Source::IDENTITY, |source, random| {
                Ok(source.then(random.draw(rng, size[3], size[2])?))
            })
        })
        .collect::<Result<Vec<Source>>>()?;
    sample(batch, &sources, run[0].interpolation, run[0].fill)
}

impl Step {
    fn apply(&self, batch: &Tensor) -> Result<Tensor> {
        match *self {
            Step::ToTensor => {
                ensure!(
                    batch.kind() == Kind::Uint8,
                    "images are {:?}, expected Uint8; call to_tensor once, before normalize",
                    batch.kind()
                );
                Ok(batch.f_to_kind(Kind::Float)?.f_div_scalar_(255.0)?)
            }
            Step::Normalize { mean, std } => {
                expect_float(batch)?;
                ensure!(
                    std > 0.0 && std.is_finite() && mean.is_finite(),
                    "mean {mean} and standard deviation {std}: expected finite numbers, \
                     deviation above 0"
                );
                Ok(batch.f_sub_scalar(mean)?.f_div_scalar_(std)?)
            }
            Step::NormalizeChannels { mean, std } => {
                expect_rgb(batch)?;
                ensure!(
                    std.iter().all(|std| *std > 0.0)
                        && mean.iter().chain(&std).all(|v| v.is_finite()),
                    "means {mean:?} and standard deviations {std:?}: expected finite numbers, \
                     deviations above 0"
                );
                let centered = batch.f_sub(&by_channel(&mean, batch)?)?;
                Ok(centered.f_div(&by_channel(&std, batch)?)?)
            }
            Step::Flatten => {
                let size = batch.size();
                ensure!(size.len() >= 2, "images of shape {size:?}, expected [N, …]");
                Ok(batch.f_flatten(1, -1)?)
            }
            Step::Resize { height, width } => {
                ensure!(
                    height > 0 && width > 0,
                    "{height} × {width} pixels: expected at least 1 × 1"
                );
                let (size, kind) = (batch.size(), batch.kind());
                ensure!(
                    size.len() == 4 && matches!(kind, Kind::Uint8 | Kind::Float),
                    "images are {kind:?} {size:?}, expected Uint8 or Float [N, C, H, W]"
                );
                let pixels = batch.f_to_kind(Kind::Float)?;
                let resized =
                    pixels.f_internal_upsample_bilinear2d_aa([height, width], false, None, None)?;
                Ok(if kind == Kind::Uint8 { resized.f_round()?.f_to_kind(kind)? } else { resized })
            }
            Step::CenterCrop { size } => {
                let found = batch.size();
                ensure!(
                    found.len() == 4 && (1..=found[2].min(found[3])).contains(&size),
                    "images of shape {found:?} cannot be cropped to {size} × {size} pixels: expected \
                     [N, C, H, W] and a size of 1 to the smaller of H and W"
                );
                // An odd margin is divided as torchvision does it: rounded to even.
                let start = |whole: i64| ((whole - size) as f64 / 2.0).round_ties_even() as i64;
                let rows = batch.f_narrow(2, start(found[2]), size)?;
                Ok(rows.f_narrow(3, start(found[3]), size)?)
            }
            Step::RepeatChannels { channels } => {
                let size = batch.size();
                ensure!(
                    size.len() == 4 && size[1] == 1 && channels > 0,
                    "images of shape {size:?} in {channels} channels: expected [N, 1, H, W] and \
                     1 or more"
                );
                Ok(batch.f_expand([size[0], channels, size[2], size[3]], false)?)
            }
            Step::RandomAffine(_) => unreachable!("apply_seeded handles random steps"),
        }
    }
}

/// Values as `[3, 1, 1]`, which broadcasts over the channels of `[N, 3, H, W]`.
fn by_channel(values: &[f64; 3], batch: &Tensor) -> Result<Tensor> {
    let values = Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?;
    Ok(values.f_view([3, 1, 1])?.f_to_device(batch.device())?)
}

fn expect_rgb(batch: &Tensor) -> Result<()> {
    expect_float(batch)?;
    let size = batch.size();
    ensure!(
        size.len() == 4 && size[1] == 3,
        "images of shape {size:?}, expected [N, 3, H, W]; repeat_channels(3) makes three of one"
    );
    Ok(())
}

fn expect_float(batch: &Tensor) -> Result<()> {
    ensure!(
        batch.kind() == Kind::Float,
        "pixels are {:?}, expected Float; call to_tensor before normalize",
        batch.kind()
    );
    Ok(())
}
