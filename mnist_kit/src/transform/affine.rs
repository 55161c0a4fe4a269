//! Rotation, translation, scale and shear of a whole batch, each image by its own amount.

use crate::Result;
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The interpolation between pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel, which keeps edges hard. torchvision's default.
    #[default]
    Nearest,
    /// The weighted mean of the four nearest pixels.
    Bilinear,
}

/// An affine transform about the center of an image, in the units of
/// `torchvision.transforms.functional.affine`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The rotation in degrees, clockwise.
    pub angle: f64,
    /// The translation in pixels, to the right and down.
    pub translate: (f64, f64),
    /// The scale factor, above 0.
    pub scale: f64,
    /// The shear in degrees, along x and y.
    pub shear: (f64, f64),
}

impl Default for Affine {
    /// The identity.
    fn default() -> Affine {
        Affine { angle: 0.0, translate: (0.0, 0.0), scale: 1.0, shear: (0.0, 0.0) }
    }
}

/// The inverse of an affine transform: maps a pixel of the result to its source by a 2×3 matrix on
/// `(x, y, 1)`, measured from the center.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Source([f64; 6]);

impl Source {
    /// Maps every pixel to itself.
    pub const IDENTITY: Source = Source([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// Composes two affine transforms: the result applies `self`, then `second`.
    pub fn then(self, second: Source) -> Source {
        let (Source([a, b, c, d, e, f]), Source([p, q, r, s, t, u])) = (self, second);
        Source([
            a * p + b * s,
            a * q + b * t,
            a * r + b * u + c,
            d * p + e * s,
            d * q + e * t,
            d * r + e * u + f,
        ])
    }
}

impl From<Affine> for Source {
    /// Inverts translation · rotation · shear y · shear x · scale, torchvision's order.
    fn from(affine: Affine) -> Source {
        let rotation = affine.angle.to_radians();
        let (shear_x, shear_y) = (affine.shear.0.to_radians(), affine.shear.1.to_radians());
        let (x, y) = affine.translate;
        let a = (rotation - shear_y).cos() / shear_y.cos();
        let b = -a * shear_x.tan() - rotation.sin();
        let c = (rotation - shear_y).sin() / shear_y.cos();
        let d = -c * shear_x.tan() + rotation.cos();
        let [a, b, c, d] = [a, b, c, d].map(|value| value / affine.scale);
        Source([d, -b, -d * x + b * y, -c, a, c * x - a * y])
    }
}

/// Applies an affine transform of its own to each image of a batch.
///
/// With [`Interpolation::Bilinear`], a pixel whose sources lie partly outside of the image is the
/// weighted mean of those inside and of `fill`. (If torchvision is given a fill value, it weights
/// such a pixel with `fill` once more, so that its borders are a little closer to `fill`.)
///
/// # Shapes
/// `images` `[N, C, H, W]`, uint8 or float32; one transform for each image. The result has the
/// shape and dtype of `images`.
///
/// # Errors
/// When shape or dtype is another, the numbers of images and transforms differ, or a scale is not
/// above 0.
///
/// ```
/// use mnist_kit::transform::{Affine, Interpolation, affine};
/// use tch::{Device, Kind, Tensor};
///
/// let image = Tensor::arange(9, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
/// let right = Affine { translate: (1.0, 0.0), ..Affine::default() };
/// let moved = affine(&image, &[right], Interpolation::Nearest, 0.0)?;
/// assert_eq!(Vec::<f32>::try_from(moved.flatten(0, -1))?, [0., 0., 1., 0., 3., 4., 0., 6., 7.]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn affine(
    images: &Tensor,
    transforms: &[Affine],
    interpolation: Interpolation,
    fill: f64,
) -> Result<Tensor> {
    for transform in transforms {
        let Affine { angle, translate: (x, y), scale, shear: (shear_x, shear_y) } = *transform;
        ensure!(
            scale > 0.0 && [angle, x, y, scale, shear_x, shear_y].iter().all(|v| v.is_finite()),
            "{transform:?}: expected finite numbers and a scale above 0"
        );
    }
    let sources: Vec<Source> = transforms.iter().copied().map(Source::from).collect();
    sample(images, &sources, interpolation, fill)
}

/// Translates all images of a batch by the same number of pixels, `x` to the right and `y` down.
///
/// Each pixel is read from the nearest one; pixels from outside of the image are black.
///
/// # Shapes
/// `images` `[N, C, H, W]`, uint8 or float32; the result has the same shape and dtype.
///
/// # Errors
/// When shape or dtype is another, or a number is not finite.
///
/// ```
/// use mnist_kit::transform::translate;
/// use tch::{Device, Kind, Tensor};
///
/// let image = Tensor::arange(9, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
/// let down = translate(&image, 0.0, 2.0)?;
/// assert_eq!(Vec::<f32>::try_from(down.flatten(0, -1))?, [0., 0., 0., 0., 0., 0., 0., 1., 2.]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn translate(images: &Tensor, x: f64, y: f64) -> Result<Tensor> {
    let shift = Affine { translate: (x, y), ..Affine::default() };
    let count = images.size().first().map_or(0, |&count| count as usize);
    affine(images, &vec![shift; count], Interpolation::Nearest, 0.0)
}

/// Samples every pixel of every image at its source.
pub(super) fn sample(
    images: &Tensor,
    sources: &[Source],
    interpolation: Interpolation,
    fill: f64,
) -> Result<Tensor> {
    let (size, kind) = (images.size(), images.kind());
    ensure!(
        size.len() == 4 && matches!(kind, Kind::Uint8 | Kind::Float),
        "images are {kind:?} {size:?}, expected Uint8 or Float [N, C, H, W]"
    );
    ensure!(
        size[0] == sources.len() as i64,
        "{} images but {} transforms, expected one for each image",
        size[0],
        sources.len()
    );
    if sources.is_empty() {
        return Ok(images.shallow_clone());
    }
    // libtorch's coordinates run from −1 to 1 over the image; the matrices count pixels.
    let (width, height) = (size[3] as f64, size[2] as f64);
    let matrices: Vec<f32> = sources
        .iter()
        .flat_map(|Source([a, b, c, d, e, f])| {
            let shift = (c * 2.0 / width, f * 2.0 / height);
            [*a, b * height / width, shift.0, d * width / height, *e, shift.1]
        })
        .map(|value| value as f32)
        .collect();
    let matrices = Tensor::f_from_slice(&matrices)?.f_view([size[0], 2, 3])?;
    let grid =
        Tensor::f_affine_grid_generator(&matrices.f_to_device(images.device())?, &size[..], false)?;
    let (mode, outside_is_zero) = (i64::from(interpolation == Interpolation::Nearest), 0);
    let pixels = images.f_to_kind(Kind::Float)?.f_sub_scalar(fill)?;
    let moved = pixels.f_grid_sampler(&grid, mode, outside_is_zero, false)?.f_add_scalar_(fill)?;
    Ok(if kind == Kind::Uint8 {
        moved.f_round()?.f_clamp_(0.0, 255.0)?.f_to_kind(kind)?
    } else {
        moved
    })
}
