//! Classic 3×3 filters: blur and edge detection.
//!
//! All take float32 images `[N, C, H, W]` and return the same shape. Each channel is filtered on its
//! own, and the image is padded with 0.

use crate::Result;
use crate::check::{describe, plain};
use anyhow::ensure;
use tch::{Kind, Tensor};

/// A Gaussian on 3×3 pixels.
const GAUSSIAN: [f32; 9] =
    [1. / 16., 2. / 16., 1. / 16., 2. / 16., 4. / 16., 2. / 16., 1. / 16., 2. / 16., 1. / 16.];
/// The horizontal gradient.
const SOBEL_X: [f32; 9] = [-1., 0., 1., -2., 0., 2., -1., 0., 1.];
/// The vertical gradient.
const SOBEL_Y: [f32; 9] = [-1., -2., -1., 0., 0., 0., 1., 2., 1.];

/// Blurs with the Gaussian kernel 1/16 · [1 2 1; 2 4 2; 1 2 1].
///
/// # Errors
/// When `images` are not float32 `[N, C, H, W]`.
///
/// ```
/// use mnist_kit::transform::gaussian_blur;
/// use tch::{Device, Kind, Tensor};
///
/// let dot = Tensor::zeros([1, 1, 3, 3], (Kind::Float, Device::Cpu));
/// let _ = dot.narrow(2, 1, 1).narrow(3, 1, 1).fill_(16.0);
/// let blurred = Vec::<f32>::try_from(gaussian_blur(&dot)?.flatten(0, -1))?;
/// assert_eq!(blurred, [1., 2., 1., 2., 4., 2., 1., 2., 1.]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn gaussian_blur(images: &Tensor) -> Result<Tensor> {
    filter(images, &GAUSSIAN)
}

/// Computes the horizontal gradient with the Sobel kernel [−1 0 1; −2 0 2; −1 0 1].
///
/// The result is positive where the image gets brighter to the right.
///
/// # Errors
/// When `images` are not float32 `[N, C, H, W]`.
///
/// ```
/// use mnist_kit::transform::sobel_x;
/// use tch::{Device, Kind, Tensor};
///
/// // A ramp that gets brighter by 1 from column to column.
/// let ramp = Tensor::arange(5, (Kind::Float, Device::Cpu)).expand([1, 1, 4, 5], false);
/// assert_eq!(sobel_x(&ramp)?.double_value(&[0, 0, 1, 2]), 8.0);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn sobel_x(images: &Tensor) -> Result<Tensor> {
    filter(images, &SOBEL_X)
}

/// Computes the vertical gradient with the transposed kernel of [`sobel_x`].
///
/// # Errors
/// When `images` are not float32 `[N, C, H, W]`.
///
/// ```
/// use mnist_kit::transform::{sobel_x, sobel_y};
/// use tch::{Device, Kind, Tensor};
///
/// let images = Tensor::rand([2, 1, 6, 6], (Kind::Float, Device::Cpu));
/// let turned = sobel_x(&images.transpose(2, 3))?.transpose(2, 3);
/// assert!((sobel_y(&images)? - turned).abs().max().double_value(&[]) < 1e-5);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn sobel_y(images: &Tensor) -> Result<Tensor> {
    filter(images, &SOBEL_Y)
}

/// Computes the strength of edges in all directions: √(x² + y²) of [`sobel_x`] and [`sobel_y`].
///
/// # Errors
/// When `images` are not float32 `[N, C, H, W]`.
///
/// ```
/// use mnist_kit::transform::sobel_magnitude;
/// use tch::{Device, Kind, Tensor};
///
/// let flat = Tensor::ones([1, 1, 5, 5], (Kind::Float, Device::Cpu));
/// assert_eq!(sobel_magnitude(&flat)?.double_value(&[0, 0, 2, 2]), 0.0);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn sobel_magnitude(images: &Tensor) -> Result<Tensor> {
    let (x, y) = (sobel_x(images)?, sobel_y(images)?);
    let magnitude = || -> Result<Tensor> { Ok(x.f_square()?.f_add(&y.f_square()?)?.f_sqrt()?) };
    plain(magnitude())
}

fn filter(images: &Tensor, kernel: &[f32; 9]) -> Result<Tensor> {
    plain(filter_each(images, kernel))
}

/// Filters each channel on its own.
fn filter_each(images: &Tensor, kernel: &[f32; 9]) -> Result<Tensor> {
    let float = images.defined() && images.kind() == Kind::Float;
    ensure!(
        float && images.dim() == 4 && images.size()[1..].iter().all(|&size| size > 0),
        "images are {}, expected Float [N, C, H, W] with pixels; put to_tensor into the transform",
        describe(images)
    );
    let size = images.size();
    let kernel =
        Tensor::f_from_slice(kernel)?.f_to_device(images.device())?.f_view([1, 1, 3, 3])?;
    let kernels = kernel.f_expand([size[1], 1, 3, 3], false)?;
    Ok(images.f_conv2d(&kernels, None::<&Tensor>, [1, 1], [1, 1], [1, 1], size[1])?)
}
