//! One image of a grid, with its title.

use crate::Result;
use crate::eval::Prediction;
use crate::figure::theme::{self, Color};
use crate::figure::{ColorBar, pixels};
use crate::table::percent;
use anyhow::{Context, ensure};
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// An image with its title, for [`item_grid`](super::item_grid).
#[derive(Clone, Debug)]
pub struct GridItem {
    content: Content,
    pub(super) title: String,
    pub(super) color: Color,
    /// Written below the image.
    pub(super) caption: String,
    pub(super) framed: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Picture(Arc<RgbImage>),
    /// A picture with an amount for each of its pixels.
    Heat(Arc<RgbImage>, Arc<[f32]>),
    /// Values around 0, row by row, with width and height.
    Signed(Arc<[f32]>, (u32, u32)),
}

/// Heat maps are shown at this resolution at least, which is what ImageNet's networks read.
const HEAT_SIZE: u32 = 224;

/// The fraction by which the white of a picture lightens the color of a heat map.
const LIGHTEN: f64 = 0.6;

impl GridItem {
    fn with(content: Content, title: impl Into<String>) -> GridItem {
        let (color, caption) = (theme::INK, String::new());
        GridItem { content, title: title.into(), color, caption, framed: false }
    }

    /// Creates an item from an image, uint8 `[1 or 3, H, W]` (gray or red, green, blue).
    ///
    /// A title may have several lines, separated by `\n`.
    ///
    /// # Errors
    /// Another shape or dtype.
    pub fn new(image: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        Ok(GridItem::with(Content::Picture(Arc::new(pixels(image)?)), title))
    }

    /// A cell without a picture.
    pub(super) fn empty() -> GridItem {
        let white = RgbImage::from_pixel(1, 1, Rgb([255; 3]));
        GridItem::with(Content::Picture(Arc::new(white)), "")
    }

    /// Creates an item from a prediction, below its true and predicted class: bluish green with ✓ if
    /// correct, vermillion with ✗ if wrong.
    ///
    /// # Errors
    /// An image that [`new`](GridItem::new) refuses.
    pub fn prediction(prediction: &Prediction) -> Result<GridItem> {
        let (title, color) = verdict(prediction);
        let item = GridItem::new(&prediction.image, title);
        Ok(item.with_context(|| format!("prediction for image {}", prediction.index))?.color(color))
    }

    /// Creates a gray image from any matrix, float `[H, W]` or with leading dimensions of 1, such as
    /// a filtered image or a feature map.
    ///
    /// The smallest value is black and the largest white; equal values are all gray. For values on
    /// both sides of 0, such as kernels, take [`signed`](GridItem::signed).
    ///
    /// # Errors
    /// Another shape or dtype, or a value that is not finite.
    ///
    /// ```
    /// use mnist_kit::plot::{GridItem, item_grid};
    /// use tch::Tensor;
    ///
    /// let filtered = Tensor::from_slice2(&[[0.0f32, 0.5, 1.0], [0.0, 0.25, 0.5]]);
    /// item_grid(&[GridItem::values(&filtered, "blurred")?], 1, 1)?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn values(values: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        let (values, [low, high]) = matrix(values)?;
        let levels = if high > low {
            values.f_sub_scalar(low)?.f_mul_scalar(255.0 / (high - low))?
        } else {
            values.f_full_like(127.5)?
        };
        GridItem::new(&levels.f_round()?.f_to_kind(Kind::Uint8)?.f_unsqueeze(0)?, title)
    }

    /// Creates an item from values on both sides of 0, float `[H, W]` or with leading dimensions of
    /// 1, such as a kernel or its response: negative values are blue, 0 is white and positive values
    /// are orange.
    ///
    /// All such items of a grid have one scale, which a color bar shows.
    ///
    /// # Errors
    /// Another shape or dtype, or a value that is not finite.
    ///
    /// ```
    /// use mnist_kit::plot::{GridItem, item_grid};
    /// use tch::Tensor;
    ///
    /// let kernel = Tensor::from_slice2(&[[-1.0f32, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]);
    /// let figure = item_grid(&[GridItem::signed(&kernel, "Sobel")?], 1, 1)?;
    /// assert!(figure.to_svg()?.contains("−2"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn signed(values: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        let (values, _) = matrix(values)?;
        let size = (u32::try_from(values.size()[1])?, u32::try_from(values.size()[0])?);
        Ok(GridItem::with(Content::Signed(floats(&values)?.into(), size), title))
    }

    /// Creates an item from an image, uint8 `[1 or 3, H, W]`, overlaid with a heat map of any
    /// resolution, float `[h, w]`, such as one of [`grad_cam`](crate::eval::grad_cam).
    ///
    /// The map is interpolated (bilinear) to 224 pixels or more and drawn in the colors of viridis,
    /// which the bright parts of the image lighten. All maps of a grid have one scale, from 0 to the
    /// largest value of any of them, which a color bar shows.
    ///
    /// # Errors
    /// Another shape or dtype, or a value of the map that is negative or not finite.
    ///
    /// ```
    /// use mnist_kit::plot::GridItem;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
    /// let map = Tensor::rand([7, 7], (Kind::Float, Device::Cpu));
    /// GridItem::overlay(&image, &map, "Grad-CAM")?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn overlay(image: &Tensor, map: &Tensor, title: impl Into<String>) -> Result<GridItem> {
        GridItem::new(image, title)?.heat(map)
    }

    /// Overlays the item's image with a heat map, see [`overlay`](GridItem::overlay).
    pub(super) fn heat(mut self, map: &Tensor) -> Result<GridItem> {
        ensure!(
            map.dim() == 2 && map.numel() > 0 && matches!(map.kind(), Kind::Float | Kind::Double),
            "the map is {:?} {:?}, expected Float [h, w]",
            map.kind(),
            map.size()
        );
        let (map, [low, high]) = matrix(map)?;
        ensure!(
            low >= 0.0,
            "the map runs from {low} to {high}, expected finite numbers of 0 or more"
        );
        if let Content::Picture(image) = &self.content {
            let (width, height) = image.dimensions();
            // A whole factor keeps the image's pixels equally large.
            let factor = HEAT_SIZE.div_ceil(width.max(height));
            let (width, height) = (width * factor, height * factor);
            let image = resize(&**image, width, height, FilterType::Nearest);
            let size = [map.size()[0], map.size()[1]];
            let map = map.f_view([1, 1, size[0], size[1]])?.f_upsample_bilinear2d(
                [i64::from(height), i64::from(width)],
                false,
                None,
                None,
            )?;
            self.content = Content::Heat(Arc::new(image), floats(&map)?.into());
        }
        Ok(self)
    }

    /// Writes the title in this color.
    pub fn color(mut self, color: Color) -> GridItem {
        self.color = color;
        self
    }

    /// Writes a line below the image.
    pub fn caption(mut self, caption: impl Into<String>) -> GridItem {
        self.caption = caption.into();
        self
    }

    /// Draws a frame around the image, in orange, to tell it from the others of a grid.
    pub fn framed(mut self) -> GridItem {
        self.framed = true;
        self
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        match &self.content {
            Content::Picture(image) | Content::Heat(image, _) => image.dimensions(),
            Content::Signed(_, size) => *size,
        }
    }
}

/// Returns true and predicted class in words, with the color of correct or wrong. Names too long
/// for one line take two.
pub(super) fn verdict(prediction: &Prediction) -> (String, Color) {
    let (mark, color) = if prediction.is_correct() {
        ('✓', theme::BLUISH_GREEN)
    } else {
        ('✗', theme::VERMILLION)
    };
    let truth = prediction.class_name(prediction.truth);
    let predicted = prediction.class_name(prediction.predicted);
    let short = |name: &str| name.chars().count() <= 2;
    let between = if short(&truth) && short(&predicted) { ", " } else { "\n" };
    (format!("True: {truth}{between}Pred: {predicted} {mark}"), color)
}

/// Writes a confidence. It never says 100 %, which a softmax does not reach.
pub(super) fn confidence(prediction: &Prediction) -> String {
    let confidence = f64::from(prediction.confidence());
    let text = if confidence >= 0.99995 { "> 99.99 %".to_string() } else { percent(confidence) };
    format!("Confidence: {text}")
}

/// The values that the darkest and lightest colors of a grid stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    /// The largest value of the heat maps.
    heat: Option<f64>,
    /// The largest absolute value around 0.
    signed: Option<f64>,
}

impl Scales {
    pub fn of(items: &[GridItem]) -> Scales {
        let mut scales = Scales { heat: None, signed: None };
        for item in items {
            let (scale, values) = match &item.content {
                Content::Picture(_) => continue,
                Content::Heat(_, map) => (&mut scales.heat, map),
                Content::Signed(values, _) => (&mut scales.signed, values),
            };
            let highest = values.iter().fold(0.0, |most: f64, &v| most.max(f64::from(v).abs()));
            *scale = Some(scale.map_or(highest, |most| most.max(highest)));
        }
        scales
    }

    /// The bars that explain the colors.
    pub fn bars(&self) -> Vec<ColorBar> {
        // A scale of zeros only is drawn as one up to 1.
        let limit = |most: f64| if most > 0.0 { most } else { 1.0 };
        let heat = self
            .heat
            .map(|most| ColorBar::linear("Value of the map", viridis, (0.0, limit(most)), false));
        let signed = self
            .signed
            .map(|most| ColorBar::linear("Value", diverging, (-limit(most), limit(most)), false));
        heat.into_iter().chain(signed).collect()
    }

    /// The picture of an item in the colors of these scales.
    pub fn picture(&self, item: &GridItem) -> Arc<RgbImage> {
        let fraction = |value: f32, most: Option<f64>| {
            f64::from(value) / most.filter(|&most| most > 0.0).unwrap_or(1.0)
        };
        match &item.content {
            Content::Picture(image) => image.clone(),
            Content::Heat(image, map) => {
                let mut blended = (**image).clone();
                for (pixel, &value) in blended.pixels_mut().zip(map.iter()) {
                    let Color(red, green, blue) = viridis(fraction(value, self.heat));
                    for (level, color) in pixel.0.iter_mut().zip([red, green, blue]) {
                        let light = LIGHTEN * f64::from(*level) / 255.0;
                        let color = f64::from(color);
                        *level = (color + light * (255.0 - color)).round() as u8;
                    }
                }
                Arc::new(blended)
            }
            &Content::Signed(ref values, (width, height)) => {
                let image = RgbImage::from_fn(width, height, |x, y| {
                    let value = values[(y * width + x) as usize];
                    let place = (1.0 + fraction(value, self.signed)) / 2.0;
                    let Color(red, green, blue) = diverging(place);
                    Rgb([red, green, blue])
                });
                Arc::new(image)
            }
        }
    }
}

fn viridis(place: f64) -> Color {
    theme::shade(&theme::VIRIDIS, place)
}

fn diverging(place: f64) -> Color {
    theme::shade(&theme::DIVERGING, place)
}

/// Checks a matrix, float `[H, W]` or with leading dimensions of 1. Returns it as `[H, W]`, with its
/// lowest and highest value.
fn matrix(values: &Tensor) -> Result<(Tensor, [f64; 2])> {
    let (size, kind) = (values.size(), values.kind());
    let leading = size.len().saturating_sub(2);
    ensure!(
        size.len() >= 2
            && size[..leading].iter().all(|&length| length == 1)
            && values.numel() > 0
            && matches!(kind, Kind::Float | Kind::Double),
        "the values are {kind:?} {size:?}, expected Float [H, W]"
    );
    let values = values.f_detach()?.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?;
    let values = values.f_reshape([size[leading], size[leading + 1]])?;
    let (low, high) = (values.f_min()?.f_double_value(&[])?, values.f_max()?.f_double_value(&[])?);
    ensure!(
        low.is_finite() && high.is_finite(),
        "the values run from {low} to {high}, expected finite numbers"
    );
    Ok((values, [low, high]))
}

fn floats(values: &Tensor) -> Result<Vec<f32>> {
    Ok(Vec::try_from(values.f_contiguous()?.f_view([-1])?)?)
}
