//! Images from tensors.

use crate::Result;
use anyhow::{Context, ensure};
use image::RgbImage;
use tch::{Device, Kind, Tensor};

/// Reads an image tensor, uint8 `[1 or 3, H, W]`; a single channel becomes gray.
pub(crate) fn pixels(image: &Tensor) -> Result<RgbImage> {
    let size = image.size();
    ensure!(
        image.kind() == Kind::Uint8 && size.len() == 3 && matches!(size[0], 1 | 3),
        "the image is {:?} {size:?}, expected Uint8 [1, H, W] or [3, H, W]; \
         take it from a Split, before the transform",
        image.kind()
    );
    ensure!(size[1] > 0 && size[2] > 0, "the image is {size:?}: it has no pixels");
    let rgb = image.f_expand([3, size[1], size[2]], false)?.f_permute([1, 2, 0])?;
    let bytes = Vec::<u8>::try_from(rgb.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?)?;
    RgbImage::from_raw(u32::try_from(size[2])?, u32::try_from(size[1])?, bytes)
        .context("the image is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_colors() {
        let image = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6]).view([3, 1, 2]);
        assert_eq!(pixels(&image).unwrap().into_raw(), [1, 3, 5, 2, 4, 6]);
        let gray = Tensor::from_slice(&[7u8, 8]).view([1, 2, 1]);
        assert_eq!(pixels(&gray).unwrap().into_raw(), [7, 7, 7, 8, 8, 8]);
    }
}
