//! Random movements, with torchvision's names, ranges and defaults.

use super::affine::{Affine, Interpolation, Source};
use crate::Result;
use anyhow::ensure;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Rotates each image by an angle drawn evenly from ±degrees, as
/// `torchvision.transforms.RandomRotation`: nearest pixel, corners filled with 0.
///
/// ```
/// use mnist_kit::transform::{Compose, RandomRotation};
///
/// let transform = Compose::new().then(RandomRotation::new(10.0)).to_tensor();
/// assert!(transform.is_random());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomRotation(RandomAffine);

impl RandomRotation {
    /// Angles within ±degrees.
    pub fn new(degrees: f64) -> RandomRotation {
        RandomRotation(RandomAffine::new(degrees))
    }

    /// How a pixel between pixels is read.
    pub fn interpolation(self, interpolation: Interpolation) -> RandomRotation {
        RandomRotation(self.0.interpolation(interpolation))
    }

    /// What is seen where the image ends, in the units of the pixels at this step.
    pub fn fill(self, fill: f64) -> RandomRotation {
        RandomRotation(self.0.fill(fill))
    }
}

impl From<RandomRotation> for RandomAffine {
    fn from(rotation: RandomRotation) -> RandomAffine {
        rotation.0
    }
}

/// Rotates, shifts, scales and shears each image by its own random amount, as
/// `torchvision.transforms.RandomAffine`: nearest pixel, outside filled with 0.
///
/// ```
/// use mnist_kit::transform::{Compose, RandomAffine};
///
/// let movement = RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2);
/// assert!(Compose::new().then(movement).is_random());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomAffine {
    degrees: f64,
    translate: (f64, f64),
    scale: (f64, f64),
    shear: f64,
    pub(super) interpolation: Interpolation,
    pub(super) fill: f64,
}

impl RandomAffine {
    /// Angles within ±degrees, nothing else.
    pub fn new(degrees: f64) -> RandomAffine {
        RandomAffine {
            degrees,
            translate: (0.0, 0.0),
            scale: (1.0, 1.0),
            shear: 0.0,
            interpolation: Interpolation::Nearest,
            fill: 0.0,
        }
    }

    /// Shifts within ±x of the width and ±y of the height (0–1), rounded to whole pixels.
    pub fn translate(mut self, x: f64, y: f64) -> RandomAffine {
        self.translate = (x, y);
        self
    }

    /// Factors between `smallest` and `largest`.
    pub fn scale(mut self, smallest: f64, largest: f64) -> RandomAffine {
        self.scale = (smallest, largest);
        self
    }

    /// Shear along x within ±degrees.
    pub fn shear(mut self, degrees: f64) -> RandomAffine {
        self.shear = degrees;
        self
    }

    /// How a pixel between pixels is read.
    pub fn interpolation(mut self, interpolation: Interpolation) -> RandomAffine {
        self.interpolation = interpolation;
        self
    }

    /// What is seen where the image ends, in the units of the pixels at this step.
    pub fn fill(mut self, fill: f64) -> RandomAffine {
        self.fill = fill;
        self
    }

    /// Whether both read pixels in the same way.
    pub(super) fn samples_as(&self, other: &RandomAffine) -> bool {
        (self.interpolation, self.fill) == (other.interpolation, other.fill)
    }

    /// Draws one image's movement; `width` and `height` in pixels.
    pub(super) fn draw(&self, rng: &mut impl Rng, width: i64, height: i64) -> Result<Source> {
        let RandomAffine { degrees, translate, scale, shear, .. } = *self;
        ensure!(
            (0.0..=360.0).contains(&degrees) && (0.0..90.0).contains(&shear),
            "{degrees}° of rotation, {shear}° of shear: expected 0 to 360, shear below 90"
        );
        ensure!(
            [translate.0, translate.1].iter().all(|share| (0.0..=1.0).contains(share)),
            "translation by {translate:?} of the image: expected shares of 0 to 1"
        );
        ensure!(
            0.0 < scale.0 && scale.0 <= scale.1 && scale.1.is_finite(),
            "scale from {} to {}: expected 0 < smallest ≤ largest",
            scale.0,
            scale.1
        );
        let mut within = |limit: f64| rng.random_range(-limit..=limit);
        let angle = within(degrees);
        let x = within(translate.0 * width as f64).round();
        let y = within(translate.1 * height as f64).round();
        let shear = within(shear);
        let scale = rng.random_range(scale.0..=scale.1);
        Ok(Affine { angle, translate: (x, y), scale, shear: (shear, 0.0) }.into())
    }
}
