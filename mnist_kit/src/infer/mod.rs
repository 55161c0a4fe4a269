//! Any picture of a digit, converted to the form of MNIST's images.

use crate::Result;
use crate::runtime::panic::caught;
use anyhow::{Context, bail, ensure};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, Luma, Rgb, Rgba};
use std::io::{BufRead, Seek};
use std::path::Path;
use tch::Tensor;

/// Height and width of MNIST's images.
pub(crate) const SIZE: u32 = 28;
/// MNIST's digits were scaled to fit into a square of this size, then centered by their mass.
pub(crate) const DIGIT_SIZE: u32 = 20;
/// A picture whose brightest pixel is less than this above its border shows no digit.
pub(crate) const MIN_CONTRAST: u8 = 32;
/// A pixel above this level belongs to the digit, after the levels were stretched to 0–255.
pub(crate) const GROUND: u8 = 63;

/// The most pixels of a picture, which bounds the memory for it: half a gigabyte while it is decoded.
const MAX_PIXELS: u64 = 50_000_000;

/// A picture in the form of MNIST's images. Made by [`read_picture`].
#[derive(Debug)]
pub struct Picture {
    /// `[1, 28, 28]`, uint8, a light digit on black.
    pub image: Tensor,
    /// Descriptions of what was found and how it was converted.
    pub steps: Vec<String>,
}

/// Reads a picture of one digit and converts it to the form of MNIST's images.
///
/// The file may be PNG, JPEG, GIF, BMP or WebP, of any size, gray or in color, light on dark or dark
/// on light. A picture of 28×28 pixels keeps its geometry. In any other, the digit is found by its
/// contrast to the border, scaled to 20 pixels in its larger dimension and centered by its mass, as
/// MNIST's digits were.
///
/// # Errors
/// If the file is not a picture in one of these formats, it has more than 50 million pixels, or no
/// digit stands out from the border.
///
/// ```
/// use mnist_kit::infer::read_picture;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("seven.png");
/// let mut paper = image::RgbImage::from_pixel(300, 400, image::Rgb([250, 240, 230]));
/// for y in 100..300 {
///     for x in 140..160 {
///         paper.put_pixel(x, y, image::Rgb([20, 30, 120]));
///     }
/// }
/// paper.save(&path)?;
/// let picture = read_picture(&path)?;
/// assert_eq!(picture.image.size(), [1, 28, 28]);
/// assert_eq!(picture.steps[1], "dark on light: inverted");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn read_picture(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    let reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .with_context(|| format!("cannot open the picture {}", path.display()))?;
    // The decoders are made for any bytes, and still panic at some, such as a palette of 26 bytes.
    let picture = caught(|| decoded(reader, path))
        .unwrap_or_else(|_| bail!("{}: the picture is damaged", path.display()))?;
    normalized(&picture).with_context(|| path.display().to_string())
}

/// Decodes a picture of a size that memory allows.
fn decoded(reader: ImageReader<impl BufRead + Seek>, path: &Path) -> Result<DynamicImage> {
    let unreadable =
        || format!("{} is not a picture in PNG, JPEG, GIF, BMP or WebP", path.display());
    let decoder = reader.into_decoder().with_context(unreadable)?;
    let (width, height) = decoder.dimensions();
    ensure!(
        u64::from(width) * u64::from(height) <= MAX_PIXELS,
        "{}: {width}×{height} pixels, expected at most {} million; scale the picture down",
        path.display(),
        MAX_PIXELS / 1_000_000
    );
    DynamicImage::from_decoder(decoder).with_context(unreadable)
}

/// Converts a picture as [`read_picture`] does.
pub(crate) fn normalized(picture: &DynamicImage) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let color = if has_color(picture) { "in color" } else { "gray" };
    let mut steps = vec![format!("{width}×{height} pixels, {color}")];
    let mut gray = if picture.color().has_alpha() {
        let (opaque, ground) = without_alpha(picture);
        steps.push(format!("transparent: put on {ground}"));
        opaque
    } else {
        picture.to_luma8()
    };
    let mut ground = border_level(&gray);
    if ground > 127 {
        imageops::invert(&mut gray);
        ground = 255 - ground;
        steps.push("dark on light: inverted".to_string());
    } else {
        steps.push("light on dark: as in MNIST".to_string());
    }
    if (width, height) != (SIZE, SIZE) {
        gray = centered(&gray, ground, &mut steps)?;
    } else {
        steps.push("size of MNIST: position and size of the digit kept".to_string());
    }
    let image = Tensor::f_from_slice(gray.as_raw())?.f_view([1, SIZE.into(), SIZE.into()])?;
    Ok(Picture { image, steps })
}

/// Returns whether a pixel is far from gray. Formats with palettes, and JPEG, store gray as colors.
fn has_color(picture: &DynamicImage) -> bool {
    let differ = |&Rgb([red, green, blue]): &Rgb<u8>| {
        red.max(green).max(blue) - red.min(green).min(blue) > 16
    };
    picture.color().has_color() && picture.to_rgb8().pixels().any(differ)
}

/// Puts a transparent picture on black or white, whichever its ink stands out from.
fn without_alpha(picture: &DynamicImage) -> (GrayImage, &'static str) {
    let pixels = picture.to_rgba8();
    let (mut ink, mut weight) = (0.0, 0.0);
    for Rgba([red, green, blue, alpha]) in pixels.pixels() {
        let light = (f64::from(*red) + f64::from(*green) + f64::from(*blue)) / 3.0;
        ink += light * f64::from(*alpha);
        weight += f64::from(*alpha);
    }
    let (ground, name) = if ink > 127.0 * weight { (0, "black") } else { (255, "white") };
    let mut opaque = image::RgbaImage::from_pixel(
        picture.width(),
        picture.height(),
        Rgba([ground, ground, ground, 255]),
    );
    imageops::overlay(&mut opaque, &pixels, 0, 0);
    (DynamicImage::from(opaque).to_luma8(), name)
}

/// Returns the median of the outermost pixels.
fn border_level(gray: &GrayImage) -> u8 {
    let (width, height) = gray.dimensions();
    let on_border = |x, y| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    let mut border: Vec<u8> = gray
        .enumerate_pixels()
        .filter(|(x, y, _)| on_border(*x, *y))
        .map(|(_, _, Luma([level]))| *level)
        .collect();
    border.sort_unstable();
    border.get(border.len() / 2).copied().unwrap_or(0)
}

/// Cuts the digit out, scales it and puts its center of mass in the middle of 28×28.
fn centered(gray: &GrayImage, ground: u8, steps: &mut Vec<String>) -> Result<GrayImage> {
    let contrast = contrast(gray, ground);
    ensure!(
        contrast >= MIN_CONTRAST,
        "no digit stands out: the brightest pixel is {contrast} of 255 levels above the border, \
         expected {MIN_CONTRAST} or more"
    );
    let ink = stretched(gray, ground);
    let strong = |pixel: &Luma<u8>| pixel.0[0] > GROUND;
    let places = || ink.enumerate_pixels().filter(|(_, _, pixel)| strong(pixel));
    let (left, right) = ends(places().map(|(x, _, _)| x)).context("no digit was found")?;
    let (top, bottom) = ends(places().map(|(_, y, _)| y)).context("no digit was found")?;
    let (width, height) = (right - left + 1, bottom - top + 1);
    let factor = f64::from(DIGIT_SIZE) / f64::from(width.max(height));
    let scaled = |length: u32| (f64::from(length) * factor).round().max(1.0) as u32;
    let digit = imageops::crop_imm(&ink, left, top, width, height).to_image();
    let digit = imageops::resize(&digit, scaled(width), scaled(height), FilterType::Triangle);
    // Scaling down makes thin lines faint.
    let digit = stretched(&digit, 0);
    steps.push(format!(
        "digit of {width}×{height} pixels found, scaled to {}×{}, centered by its mass",
        digit.width(),
        digit.height()
    ));
    let (x, y) = center_of_mass(&digit);
    let middle = f64::from(SIZE) / 2.0;
    let mut image = GrayImage::new(SIZE, SIZE);
    imageops::replace(&mut image, &digit, (middle - x).round() as i64, (middle - y).round() as i64);
    Ok(image)
}

/// Stretches the levels above the ground to 0–255.
fn stretched(gray: &GrayImage, ground: u8) -> GrayImage {
    let contrast = u32::from(contrast(gray, ground).max(1));
    let mut image = gray.clone();
    for Luma([level]) in image.pixels_mut() {
        let above = u32::from(level.saturating_sub(ground));
        *level = (above * 255 / contrast) as u8;
    }
    image
}

/// Returns how many levels the brightest pixel is above the ground.
fn contrast(gray: &GrayImage, ground: u8) -> u8 {
    gray.as_raw().iter().copied().max().unwrap_or(0).saturating_sub(ground)
}

fn ends(values: impl Iterator<Item = u32>) -> Option<(u32, u32)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// Returns the center of mass in pixels from the upper left corner; a pixel's center is at 0.5.
fn center_of_mass(image: &GrayImage) -> (f64, f64) {
    let (mut sum_x, mut sum_y, mut mass) = (0.0, 0.0, 0.0);
    for (x, y, Luma([level])) in image.enumerate_pixels() {
        let level = f64::from(*level);
        sum_x += level * (f64::from(x) + 0.5);
        sum_y += level * (f64::from(y) + 0.5);
        mass += level;
    }
    (sum_x / mass, sum_y / mass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Mnist;
    use flate2::write::ZlibEncoder;
    use flate2::{Compression, Crc};
    use image::{RgbImage, RgbaImage};
    use std::io::Write;
    use tch::Kind;

    fn digits() -> Tensor {
        Mnist::generated(3, 1, 20).unwrap().test.images().shallow_clone()
    }

    fn gray(image: &Tensor) -> GrayImage {
        let pixels = Vec::<u8>::try_from(image.flatten(0, -1)).unwrap();
        GrayImage::from_raw(SIZE, SIZE, pixels).unwrap()
    }

    /// Returns the mean difference of two images, 0–255.
    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).abs().mean(Kind::Float).double_value(&[])
    }

    #[test]
    fn an_image_of_mnist_stays_as_it_is() {
        let digit = digits().get(0);
        let picture = normalized(&DynamicImage::from(gray(&digit))).unwrap();
        assert_eq!(picture.image, digit);
        let mut dark_on_light = gray(&digit);
        imageops::invert(&mut dark_on_light);
        assert_eq!(normalized(&DynamicImage::from(dark_on_light)).unwrap().image, digit);
    }

    #[test]
    fn color_position_and_ground_do_not_matter() {
        for index in 0..20 {
            let digit = gray(&digits().get(index));
            let large = imageops::resize(&digit, 280, 280, FilterType::Triangle);
            let reference = normalized(&DynamicImage::from(large.clone())).unwrap().image;
            // Blue ink on yellowish paper, and ink on a transparent ground, off center.
            let mut paper = RgbImage::from_pixel(500, 400, Rgb([250, 245, 220]));
            let mut nothing = RgbaImage::new(500, 400);
            for (x, y, Luma([level])) in large.enumerate_pixels() {
                let opacity = f32::from(*level) / 255.0;
                let mix = |paper: f32, ink: f32| (paper + opacity * (ink - paper)).round() as u8;
                let color = Rgb([mix(250., 20.), mix(245., 30.), mix(220., 120.)]);
                paper.put_pixel(x + 200, y + 20, color);
                nothing.put_pixel(x + 10, y + 100, Rgba([10, 10, 10, *level]));
            }
            for picture in [DynamicImage::from(paper), DynamicImage::from(nothing)] {
                let picture = normalized(&picture).unwrap();
                let far = difference(&picture.image, &reference);
                assert!(far < 2.0, "digit {index}: {far}, {:?}", picture.steps);
            }
        }
    }

    #[test]
    fn a_digit_of_any_size_fills_its_square_and_is_centered() {
        for size in [20, 57, 112, 640] {
            for index in 0..20 {
                let digit = gray(&digits().get(index));
                let scaled = imageops::resize(&digit, size, size, FilterType::Triangle);
                let picture = normalized(&DynamicImage::from(scaled)).unwrap();
                let image = gray(&picture.image);
                let (x, y) = center_of_mass(&image);
                let middle = f64::from(SIZE) / 2.0;
                assert!((x - middle).abs() <= 0.5 && (y - middle).abs() <= 0.5, "{x}, {y}");
                let rows = image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0);
                let (top, bottom) = ends(rows.map(|(_, y, _)| y)).unwrap();
                let columns = image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0);
                let (left, right) = ends(columns.map(|(x, _, _)| x)).unwrap();
                let longer = (bottom - top).max(right - left) + 1;
                assert!((DIGIT_SIZE - 2..=DIGIT_SIZE).contains(&longer), "{longer}");
            }
        }
    }

    #[test]
    fn a_thin_pen_is_read() {
        // A seven of 300×400 pixels, drawn with lines one pixel wide.
        let mut paper = GrayImage::from_pixel(500, 500, Luma([255]));
        for x in 100..400 {
            paper.put_pixel(x, 50, Luma([0]));
        }
        for y in 50..450 {
            paper.put_pixel(400 - (y - 50) / 2, y, Luma([0]));
        }
        let picture = normalized(&DynamicImage::from(paper)).unwrap();
        assert_eq!(picture.image.max().int64_value(&[]), 255);
    }

    #[test]
    fn an_even_picture_shows_no_digit() {
        let even = DynamicImage::from(GrayImage::from_pixel(50, 60, Luma([200])));
        let message = format!("{:#}", normalized(&even).unwrap_err());
        assert!(message.contains("no digit stands out"), "{message}");
        let faint = DynamicImage::from(RgbaImage::new(50, 60));
        assert!(normalized(&faint).is_err());
    }

    #[test]
    fn a_file_that_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seven.png");
        for bytes in [&b"not a picture"[..], b"\x89PNG\r\n\x1a\n broken"] {
            std::fs::write(&path, bytes).unwrap();
            let message = format!("{:#}", read_picture(&path).unwrap_err());
            assert!(message.contains("seven.png is not a picture"), "{message}");
        }
        let message = format!("{:#}", read_picture(folder.path().join("none.png")).unwrap_err());
        assert!(message.contains("cannot open the picture"), "{message}");
    }

    #[test]
    fn a_picture_at_which_its_decoder_panics_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("palette.png");
        let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
        pixels.write_all(&[0; 5]).unwrap();
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        // A picture of 4×1 pixels, which are numbers of colors; three bytes make a color.
        let header = [0, 0, 0, 4, 0, 0, 0, 1, 8, 3, 0, 0, 0];
        let parts: [(&[u8], &[u8]); 4] = [
            (b"IHDR", &header),
            (b"PLTE", &[9; 26]),
            (b"IDAT", &pixels.finish().unwrap()),
            (b"IEND", b""),
        ];
        for (name, content) in parts {
            let mut crc = Crc::new();
            crc.update(&[name, content].concat());
            file.extend((content.len() as u32).to_be_bytes());
            file.extend([name, content, &crc.sum().to_be_bytes()].concat());
        }
        std::fs::write(&path, &file).unwrap();
        let message = format!("{:#}", read_picture(&path).unwrap_err());
        assert!(message.ends_with("palette.png: the picture is damaged"), "{message}");
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        let mut file = std::io::Cursor::new(Vec::new());
        GrayImage::new(28, 28).write_to(&mut file, image::ImageFormat::Png).unwrap();
        let small = file.into_inner();
        for (width, height) in [(240_000_000u32, 1u32), (1, 240_000_000), (60_000, 1_000)] {
            let mut large = small.clone();
            // Width and height lie behind the signature and the name of the first chunk.
            large[16..20].copy_from_slice(&width.to_be_bytes());
            large[20..24].copy_from_slice(&height.to_be_bytes());
            let mut crc = flate2::Crc::new();
            crc.update(&large[12..29]);
            large[29..33].copy_from_slice(&crc.sum().to_be_bytes());
            std::fs::write(&path, large).unwrap();
            let message = format!("{:#}", read_picture(&path).unwrap_err());
            let expected =
                format!("wide.png: {width}×{height} pixels, expected at most 50 million");
            assert!(message.contains(&expected), "{message}");
        }
    }
}
