//! The shapes that a drawing leaves behind. Lengths are pixels at 96 dots per inch.

use super::theme::Color;
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) type Point = (f64, f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Paint {
    pub color: Color,
    /// 0 (invisible) to 1.
    pub opacity: f64,
}

impl From<Color> for Paint {
    fn from(color: Color) -> Paint {
        Paint { color, opacity: 1.0 }
    }
}

#[derive(Clone)]
pub(super) enum Shape {
    /// A filled rectangle between its upper left and lower right corner.
    Rectangle { corners: [Point; 2], paint: Paint },
    /// A line through points, with round joints.
    Path { points: Vec<Point>, width: f64, paint: Paint },
    /// A filled polygon.
    Polygon { points: Vec<Point>, paint: Paint },
    /// A circle, filled unless it has a stroke width.
    Circle { center: Point, radius: f64, stroke: Option<f64>, paint: Paint },
    /// One line of text.
    Text(Text),
    /// An image between two corners, its pixels as sharp rectangles.
    Image { image: Arc<RgbImage>, corners: [Point; 2] },
}

#[derive(Clone)]
pub(super) struct Text {
    pub text: String,
    /// The anchor, on the baseline.
    pub at: Point,
    pub anchor: HPos,
    /// Height of an em.
    pub size: f64,
    pub bold: bool,
    pub turn: Turn,
    pub paint: Paint,
}

/// The clockwise rotation of a text around its anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turn {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Turn {
    pub fn degrees(self) -> u32 {
        match self {
            Turn::None => 0,
            Turn::Quarter => 90,
            Turn::Half => 180,
            Turn::ThreeQuarters => 270,
        }
    }

    /// Turns a vector.
    pub fn apply(self, (x, y): Point) -> Point {
        match self {
            Turn::None => (x, y),
            Turn::Quarter => (-y, x),
            Turn::Half => (-x, -y),
            Turn::ThreeQuarters => (y, -x),
        }
    }
}

impl Shape {
    /// Returns the shape scaled around the origin, then moved by `offset`.
    pub fn placed(&self, scale: f64, offset: Point) -> Shape {
        let place = |(x, y): Point| (offset.0 + scale * x, offset.1 + scale * y);
        let all = |points: &[Point]| points.iter().copied().map(place).collect();
        match self.clone() {
            Shape::Rectangle { corners, paint } => {
                Shape::Rectangle { corners: corners.map(place), paint }
            }
            Shape::Path { points, width, paint } => {
                Shape::Path { points: all(&points), width: scale * width, paint }
            }
            Shape::Polygon { points, paint } => Shape::Polygon { points: all(&points), paint },
            Shape::Circle { center, radius, stroke, paint } => Shape::Circle {
                center: place(center),
                radius: scale * radius,
                stroke: stroke.map(|width| scale * width),
                paint,
            },
            Shape::Text(text) => {
                Shape::Text(Text { at: place(text.at), size: scale * text.size, ..text })
            }
            Shape::Image { image, corners } => Shape::Image { image, corners: corners.map(place) },
        }
    }
}

/// An image of more rectangles than this, such as a heat map, is smaller as a bitmap.
pub(super) const MOST_RECTANGLES: usize = 1_000;

/// Splits an image between two corners into filled rectangles whose edges lie on device pixels, so
/// that the image stays sharp. `density` is the number of device pixels per pixel.
pub(super) fn rectangles(
    image: &RgbImage,
    [(left, top), (right, bottom)]: [Point; 2],
    density: f64,
) -> Vec<([Point; 2], Color)> {
    use image::imageops::{FilterType, resize};
    // An image with more pixels than the device has there is reduced to what the device shows.
    let fitting = |count: u32, length: f64| {
        (f64::from(count)).min((length * density).round().max(1.0)) as u32
    };
    let size = (fitting(image.width(), right - left), fitting(image.height(), bottom - top));
    let smaller =
        (size != image.dimensions()).then(|| resize(image, size.0, size.1, FilterType::Triangle));
    let image = smaller.as_ref().unwrap_or(image);
    let (cols, rows) = image.dimensions();
    let edge = |start: f64, length: f64, i: u32, count: u32| {
        ((start + length * f64::from(i) / f64::from(count)) * density).round() / density
    };
    let x = |col: u32| edge(left, right - left, col, cols);
    let y = |row: u32| edge(top, bottom - top, row, rows);
    let color = |[red, green, blue]: [u8; 3]| Color(red, green, blue);

    // The commonest color goes below everything, then each run of another color in a row. This
    // makes an SVG of digits several times smaller than one rectangle for each pixel.
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    image.pixels().for_each(|pixel| *counts.entry(pixel.0).or_default() += 1);
    let ground = counts.into_iter().max_by_key(|&(color, count)| (count, color));
    let ground = ground.map_or([255; 3], |(color, _)| color);
    let mut filled = vec![([(x(0), y(0)), (x(cols), y(rows))], color(ground))];
    for row in 0..rows {
        let mut start = 0;
        for col in 0..cols {
            let pixel = image.get_pixel(col, row).0;
            if col + 1 < cols && image.get_pixel(col + 1, row).0 == pixel {
                continue;
            }
            if pixel != ground {
                filled.push(([(x(start), y(row)), (x(col + 1), y(row + 1))], color(pixel)));
            }
            start = col + 1;
        }
    }
    filled
}
