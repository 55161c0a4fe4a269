//! Rotation, shift, scale and shear of a whole batch, each image by its own amount.

use crate::Result;
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How a pixel between pixels is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Interpolation {
    /// The nearest pixel: edges stay hard. torchvision's default.
    #[default]
    Nearest,
    /// The weighted mean of the four pixels around.
    Bilinear,
}

/// One image's movement about its centre, in the units of `torchvision.transforms.functional.affine`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Degrees, clockwise.
    pub angle: f64,
    /// Pixels to the right and down.
    pub translate: (f64, f64),
    /// Factor, above 0.
    pub scale: f64,
    /// Degrees along x and y.
    pub shear: (f64, f64),
}

impl Default for Affine {
    /// No movement.
    fn default() -> Affine {
        Affine { angle: 0.0, translate: (0.0, 0.0), scale: 1.0, shear: (0.0, 0.0) }
    }
}

/// Where a pixel of the result comes from: a 2×3 matrix on `(x, y, 1)`, measured from the centre.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Source([f64; 6]);

impl Source {
    /// Every pixel from its own place.
    pub const HERE: Source = Source([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// The source of what a second movement reads from the result of this one.
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
    /// The inverse of translation · rotation · shear y · shear x · scale, as torchvision composes them.
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

/// Moves each image of a batch by its own amount.
///
/// With [`Interpolation::Bilinear`], a pixel whose sources lie partly outside of the image is the
/// weighted mean of those inside and of `fill`. (torchvision with a fill value given weighs such a
/// pixel with `fill` once more, so its borders are a little closer to `fill`.)
///
/// # Shapes
/// `images` `[N, C, H, W]`, uint8 or float32; `movements` one for each image; the result has the
/// shape and dtype of `images`.
///
/// # Errors
/// When shape or dtype is another, the numbers of images and movements differ, or a scale is not
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
    movements: &[Affine],
    interpolation: Interpolation,
    fill: f64,
) -> Result<Tensor> {
    for movement in movements {
        let Affine { angle, translate: (x, y), scale, shear: (shear_x, shear_y) } = *movement;
        ensure!(
            scale > 0.0 && [angle, x, y, scale, shear_x, shear_y].iter().all(|v| v.is_finite()),
            "{movement:?}: expected finite numbers and a scale above 0"
        );
    }
    let sources: Vec<Source> = movements.iter().copied().map(Source::from).collect();
    sample(images, &sources, interpolation, fill)
}

/// Moves all images of a batch by the same number of pixels, `x` to the right and `y` down, to the
/// nearest whole pixel; what comes in from outside is black.
///
/// # Shapes
/// `images` `[N, C, H, W]`, uint8 or float32; the result has the same shape and dtype.
///
/// # Errors
/// When shape or dtype is another, or a shift is not a finite number.
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
    let movement = Affine { translate: (x, y), ..Affine::default() };
    let count = images.size().first().map_or(0, |&count| count as usize);
    affine(images, &vec![movement; count], Interpolation::Nearest, 0.0)
}

/// Reads every pixel of every image from its source.
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
        "{} images but {} movements, expected one for each image",
        size[0],
        sources.len()
    );
    if sources.is_empty() {
        return Ok(images.shallow_clone());
    }
    // libtorch counts a side as −1 to 1; the matrices count pixels.
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
