//! Draws a drawing into pixels, each edge smoothed by the exact share of the pixel that it covers.

use super::canvas::{Anchor, Area, Canvas, Fonts, Mark, Point, Text};
use super::theme::{Color, WHITE};
use crate::Result;
use ab_glyph::{Font, Glyph, GlyphId, Outline, OutlineCurve, OutlinedGlyph, PxScaleFactor, Rect};
use anyhow::{Context, ensure};
use image::{Rgb, RgbImage};
use std::f64::consts::TAU;

/// Draws at `scale` device pixels for each pixel of the canvas.
///
/// # Errors
/// When a text has a letter that the font lacks.
pub(super) fn raster(canvas: &Canvas, width: u32, height: u32, scale: f64) -> Result<RgbImage> {
    let mut raster = Raster { scale, image: RgbImage::from_pixel(width, height, rgb(WHITE)) };
    for mark in &canvas.marks {
        match mark {
            Mark::Rect { area, fill } => {
                let (left, top, right, bottom) = (area.x, area.y, area.right(), area.bottom());
                let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
                raster.fill(polygon(&corners), *fill);
            }
            Mark::Polygon { points, fill } => raster.fill(polygon(points), *fill),
            Mark::Circle { center, radius, fill } => raster.fill(disc(*center, *radius), *fill),
            Mark::Line { points, width, color } => raster.fill(stroke(points, *width), *color),
            Mark::Text(text) => raster.fill(letters(&canvas.fonts, text)?, text.style.color),
            Mark::Image { area, image } => raster.paste(area, image),
        }
    }
    Ok(raster.image)
}

struct Raster {
    scale: f64,
    image: RgbImage,
}

impl Raster {
    fn fill(&mut self, curves: Vec<OutlineCurve>, color: Color) {
        let Some(bounds) = bounds(&curves) else { return };
        let scale = self.scale as f32;
        // Outlines count y upwards, figures downwards.
        let factor = PxScaleFactor { horizontal: scale, vertical: -scale };
        let glyph: Glyph = GlyphId(0).with_scale(1.0);
        let shape = OutlinedGlyph::new(glyph, Outline { bounds, curves }, factor);
        let corner = shape.px_bounds().min;
        let (width, height) = (i64::from(self.image.width()), i64::from(self.image.height()));
        shape.draw(|x, y, cover| {
            let (x, y) = (i64::from(x) + corner.x as i64, i64::from(y) + corner.y as i64);
            if (0..width).contains(&x) && (0..height).contains(&y) {
                let cover = cover.clamp(0.0, 1.0);
                let Rgb(pixel) = self.image.get_pixel_mut(x as u32, y as u32);
                for (channel, target) in pixel.iter_mut().zip(rgb(color).0) {
                    let mixed = f32::from(*channel) * (1.0 - cover) + f32::from(target) * cover;
                    *channel = mixed.round() as u8;
                }
            }
        });
    }

    /// Each device pixel takes the image's pixel below it, so that small images stay crisp.
    fn paste(&mut self, area: &Area, image: &RgbImage) {
        let limit =
            |value: f64, most: u32| (value * self.scale).round().clamp(0.0, f64::from(most)) as u32;
        let (left, right) =
            (limit(area.x, self.image.width()), limit(area.right(), self.image.width()));
        let (top, bottom) =
            (limit(area.y, self.image.height()), limit(area.bottom(), self.image.height()));
        let nearest = |at: u32, from: u32, to: u32, count: u32| {
            ((f64::from(at - from) + 0.5) / f64::from(to - from) * f64::from(count)) as u32
        };
        for y in top..bottom {
            for x in left..right {
                let source_x = nearest(x, left, right, image.width()).min(image.width() - 1);
                let source_y = nearest(y, top, bottom, image.height()).min(image.height() - 1);
                self.image.put_pixel(x, y, *image.get_pixel(source_x, source_y));
            }
        }
    }
}

fn rgb(Color(red, green, blue): Color) -> Rgb<u8> {
    Rgb([red, green, blue])
}

fn point((x, y): Point) -> ab_glyph::Point {
    ab_glyph::point(x as f32, y as f32)
}

fn polygon(points: &[Point]) -> Vec<OutlineCurve> {
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(&a, &b)| OutlineCurve::Line(point(a), point(b))).collect()
}

fn disc((x, y): Point, radius: f64) -> Vec<OutlineCurve> {
    const CORNERS: usize = 40;
    let corner = |i: usize| {
        let (sin, cos) = (TAU * i as f64 / CORNERS as f64).sin_cos();
        (x + radius * cos, y + radius * sin)
    };
    polygon(&(0..CORNERS).map(corner).collect::<Vec<_>>())
}

/// A box along each piece and a disc on each point, all turning the same way: together they cover the line once.
fn stroke(points: &[Point], width: f64) -> Vec<OutlineCurve> {
    let half = width / 2.0;
    let mut curves: Vec<OutlineCurve> = points.iter().flat_map(|&at| disc(at, half)).collect();
    for pair in points.windows(2) {
        let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
        let length = (bx - ax).hypot(by - ay);
        if length > 0.0 {
            let (nx, ny) = ((ay - by) / length * half, (bx - ax) / length * half);
            let corners =
                [(ax - nx, ay - ny), (bx - nx, by - ny), (bx + nx, by + ny), (ax + nx, ay + ny)];
            curves.extend(polygon(&corners));
        }
    }
    curves
}

fn letters(fonts: &Fonts, text: &Text) -> Result<Vec<OutlineCurve>> {
    let font = fonts.get(text.style.bold);
    let lacking: String = text.text.chars().filter(|&c| font.glyph_id(c).0 == 0).collect();
    ensure!(
        lacking.is_empty(),
        "the font of the figures (DejaVu Sans) has no letter for {lacking:?} in {:?}; \
         save the figure as .svg, which the viewer's fonts draw, or use other letters",
        text.text
    );
    let (glyphs, _) = fonts.lay_out(&text.text, text.style.bold);
    let unit = text.style.size / f64::from(font.units_per_em().context("a font without a size")?);
    let start = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -text.width / 2.0,
        Anchor::End => -text.width,
    };
    let (x, y) = text.at;
    let mut curves = Vec::new();
    for (glyph, pen) in glyphs {
        let pen = start + pen * text.style.size;
        let place = |p: ab_glyph::Point| {
            let (along, down) = (pen + f64::from(p.x) * unit, -f64::from(p.y) * unit);
            point(if text.upward { (x + down, y - along) } else { (x + along, y + down) })
        };
        for curve in font.outline(glyph).map(|outline| outline.curves).unwrap_or_default() {
            curves.push(match curve {
                OutlineCurve::Line(a, b) => OutlineCurve::Line(place(a), place(b)),
                OutlineCurve::Quad(a, b, c) => OutlineCurve::Quad(place(a), place(b), place(c)),
                OutlineCurve::Cubic(a, b, c, d) => {
                    OutlineCurve::Cubic(place(a), place(b), place(c), place(d))
                }
            });
        }
    }
    Ok(curves)
}

/// The box around all points of the curves; a curve never leaves the box of its points.
fn bounds(curves: &[OutlineCurve]) -> Option<Rect> {
    let points = curves.iter().flat_map(|curve| match *curve {
        OutlineCurve::Line(a, b) => vec![a, b],
        OutlineCurve::Quad(a, b, c) => vec![a, b, c],
        OutlineCurve::Cubic(a, b, c, d) => vec![a, b, c, d],
    });
    points.fold(None, |bounds: Option<Rect>, p| {
        let Rect { min, max } = bounds.unwrap_or(Rect { min: p, max: p });
        Some(Rect {
            min: ab_glyph::point(min.x.min(p.x), min.y.min(p.y)),
            max: ab_glyph::point(max.x.max(p.x), max.y.max(p.y)),
        })
    })
}
