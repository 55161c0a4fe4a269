//! A picture of a digit from anywhere, brought to the form of MNIST's.

use crate::Result;
use anyhow::{Context, ensure};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageReader, Luma, Rgb, Rgba};
use std::path::Path;
use tch::Tensor;

/// Height and width of MNIST's images.
const SIDE: u32 = 28;
/// MNIST's digits were scaled to fit into this square, then centred by their mass.
const DIGIT_SIDE: u32 = 20;
/// A picture whose brightest and darkest pixels differ by less shows no digit.
const MIN_CONTRAST: u8 = 32;

/// A picture in the form of MNIST's images. Made by [`read_picture`].
#[derive(Debug)]
pub struct Picture {
    /// `[1, 28, 28]` uint8, light digit on black.
    pub image: Tensor,
    /// What was found and what was done about it, in words.
    pub steps: Vec<String>,
}

/// Reads a picture of one digit: PNG, JPEG, GIF, BMP or WebP, of any size, grey or in colour, light
/// on dark or dark on light.
///
/// A picture of 28×28 keeps its geometry. In any other, the digit is found by its contrast to the
/// border, scaled to 20 pixels on its longer side and centred by its mass, as MNIST's digits were.
///
/// # Errors
/// When the file is no picture in one of these formats, or no digit stands out from the border.
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
    let picture = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .with_context(|| format!("cannot open the picture {}", path.display()))?
        .decode()
        .with_context(|| {
            format!("{} is no picture in PNG, JPEG, GIF, BMP or WebP", path.display())
        })?;
    normalized(&picture).with_context(|| path.display().to_string())
}

fn normalized(picture: &DynamicImage) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let color = if has_color(picture) { "in colour" } else { "grey" };
    let mut steps = vec![format!("{width}×{height} pixels, {color}")];
    let mut grey = if picture.color().has_alpha() {
        let (opaque, ground) = without_alpha(picture);
        steps.push(format!("transparent: put on {ground}"));
        opaque
    } else {
        picture.to_luma8()
    };
    let mut ground = border_level(&grey);
    if ground > 127 {
        imageops::invert(&mut grey);
        ground = 255 - ground;
        steps.push("dark on light: inverted".to_string());
    } else {
        steps.push("light on dark: as in MNIST".to_string());
    }
    if (width, height) != (SIDE, SIDE) {
        grey = centred(&grey, ground, &mut steps)?;
    } else {
        steps.push("size of MNIST: place and size of the digit kept".to_string());
    }
    let image = Tensor::f_from_slice(grey.as_raw())?.f_view([1, SIDE.into(), SIDE.into()])?;
    Ok(Picture { image, steps })
}

/// Whether a pixel is far from grey; formats with palettes and JPEG hold grey as colours.
fn has_color(picture: &DynamicImage) -> bool {
    let differ = |&Rgb([red, green, blue]): &Rgb<u8>| {
        red.max(green).max(blue) - red.min(green).min(blue) > 16
    };
    picture.color().has_color() && picture.to_rgb8().pixels().any(differ)
}

/// Puts a transparent picture on the ground that its ink stands out from.
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

/// The median of the outermost pixels.
fn border_level(grey: &GrayImage) -> u8 {
    let (width, height) = grey.dimensions();
    let on_border = |x, y| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    let mut border: Vec<u8> = grey
        .enumerate_pixels()
        .filter(|(x, y, _)| on_border(*x, *y))
        .map(|(_, _, Luma([level]))| *level)
        .collect();
    border.sort_unstable();
    border.get(border.len() / 2).copied().unwrap_or(0)
}

/// Cuts the digit out, scales it and puts its centre of mass into the middle of 28×28.
fn centred(grey: &GrayImage, ground: u8, steps: &mut Vec<String>) -> Result<GrayImage> {
    let contrast = contrast(grey, ground);
    ensure!(
        contrast >= MIN_CONTRAST,
        "no digit stands out: the brightest pixel is {contrast} of 255 levels above the border, expected {MIN_CONTRAST} or more"
    );
    let ink = stretched(grey, ground);
    let strong = |pixel: &Luma<u8>| pixel.0[0] > 63;
    let places = || ink.enumerate_pixels().filter(|(_, _, pixel)| strong(pixel));
    let (left, right) = ends(places().map(|(x, _, _)| x)).context("no digit was found")?;
    let (top, bottom) = ends(places().map(|(_, y, _)| y)).context("no digit was found")?;
    let (width, height) = (right - left + 1, bottom - top + 1);
    let scaled = |side: u32| {
        (f64::from(side * DIGIT_SIDE) / f64::from(width.max(height))).round().max(1.0) as u32
    };
    let digit = imageops::crop_imm(&ink, left, top, width, height).to_image();
    let digit = imageops::resize(&digit, scaled(width), scaled(height), FilterType::Triangle);
    // Thin lines have become faint on the way.
    let digit = stretched(&digit, 0);
    steps.push(format!(
        "digit of {width}×{height} pixels found, scaled to {}×{}, centred by its mass",
        digit.width(),
        digit.height()
    ));
    let (x, y) = centre_of_mass(&digit);
    let middle = f64::from(SIDE) / 2.0;
    let mut image = GrayImage::new(SIDE, SIDE);
    imageops::replace(&mut image, &digit, (middle - x).round() as i64, (middle - y).round() as i64);
    Ok(image)
}

/// Levels above the ground, stretched to 0–255.
fn stretched(grey: &GrayImage, ground: u8) -> GrayImage {
    let contrast = u32::from(contrast(grey, ground).max(1));
    let mut image = grey.clone();
    for Luma([level]) in image.pixels_mut() {
        let above = u32::from(level.saturating_sub(ground));
        *level = (above * 255 / contrast) as u8;
    }
    image
}

/// How far the brightest pixel is above the ground.
fn contrast(grey: &GrayImage, ground: u8) -> u8 {
    grey.as_raw().iter().copied().max().unwrap_or(0).saturating_sub(ground)
}

fn ends(values: impl Iterator<Item = u32>) -> Option<(u32, u32)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// Pixels from the upper left corner, where a pixel's own middle is at one half.
fn centre_of_mass(image: &GrayImage) -> (f64, f64) {
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
    use image::{RgbImage, RgbaImage};
    use tch::Kind;

    fn digits() -> Tensor {
        Mnist::generated(3, 1, 20).unwrap().test.images().shallow_clone()
    }

    fn grey(image: &Tensor) -> GrayImage {
        let pixels = Vec::<u8>::try_from(image.flatten(0, -1)).unwrap();
        GrayImage::from_raw(SIDE, SIDE, pixels).unwrap()
    }

    /// Mean difference of two images, 0–255.
    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).abs().mean(Kind::Float).double_value(&[])
    }

    #[test]
    fn an_image_of_mnist_stays_as_it_is() {
        let digit = digits().get(0);
        let picture = normalized(&DynamicImage::from(grey(&digit))).unwrap();
        assert_eq!(picture.image, digit);
        let mut dark_on_light = grey(&digit);
        imageops::invert(&mut dark_on_light);
        assert_eq!(normalized(&DynamicImage::from(dark_on_light)).unwrap().image, digit);
    }

    #[test]
    fn colour_place_and_ground_do_not_matter() {
        for index in 0..20 {
            let digit = grey(&digits().get(index));
            let large = imageops::resize(&digit, 280, 280, FilterType::Triangle);
            let reference = normalized(&DynamicImage::from(large.clone())).unwrap().image;
            // Blue ink on yellowish paper, and ink on nothing, away from the middle.
            let mut paper = RgbImage::from_pixel(500, 400, Rgb([250, 245, 220]));
            let mut nothing = RgbaImage::new(500, 400);
            for (x, y, Luma([level])) in large.enumerate_pixels() {
                let share = f32::from(*level) / 255.0;
                let mix = |paper: f32, ink: f32| (paper + share * (ink - paper)).round() as u8;
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
    fn a_digit_of_any_size_fills_its_square_and_is_centred() {
        for side in [20, 57, 112, 640] {
            for index in 0..20 {
                let digit = grey(&digits().get(index));
                let scaled = imageops::resize(&digit, side, side, FilterType::Triangle);
                let picture = normalized(&DynamicImage::from(scaled)).unwrap();
                let image = grey(&picture.image);
                let (x, y) = centre_of_mass(&image);
                let middle = f64::from(SIDE) / 2.0;
                assert!((x - middle).abs() <= 0.5 && (y - middle).abs() <= 0.5, "{x}, {y}");
                let rows = image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0);
                let (top, bottom) = ends(rows.map(|(_, y, _)| y)).unwrap();
                let columns = image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0);
                let (left, right) = ends(columns.map(|(x, _, _)| x)).unwrap();
                let longer = (bottom - top).max(right - left) + 1;
                assert!((DIGIT_SIDE - 2..=DIGIT_SIDE).contains(&longer), "{longer}");
            }
        }
    }

    #[test]
    fn a_thin_pen_is_read() {
        // A seven of lines one pixel wide, 300×400 pixels large.
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
            assert!(message.contains("seven.png is no picture"), "{message}");
        }
        let message = format!("{:#}", read_picture(folder.path().join("none.png")).unwrap_err());
        assert!(message.contains("cannot open the picture"), "{message}");
    }
}
