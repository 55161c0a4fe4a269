//! Shapes as a bitmap in the PNG format.

use super::shape::{Paint, Point, Shape, Text, rectangles};
use super::text::{ensure_letters, layout, units_per_em};
use super::theme::Color;
use crate::Result;
use ab_glyph::{Font, PxScale, point};
use anyhow::{Context, ensure};
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::thumbnail;
use plotters::style::text_anchor::HPos;
use plotters::style::{RGBAColor, ShapeStyle};
use plotters_backend::{BackendColor, BackendCoord, DrawingBackend, DrawingErrorKind};
use plotters_bitmap::BitMapBackend;
use plotters_bitmap::BitMapBackendError as Error;

/// Pixels per inch of all lengths, as in CSS.
const BASE_DPI: f64 = 96.0;

/// Most pixels of a bitmap: 300 MB.
const LARGEST: f64 = 1e8;

/// Draws shapes of `width` × `height` pixels at this many dots per inch.
pub(super) fn file(shapes: &[Shape], (width, height): Point, dpi: u32) -> Result<Vec<u8>> {
    ensure!(
        (24..=1200).contains(&dpi),
        "{dpi} dots per inch, expected 24 to 1200; 300 is good for print"
    );
    let scale = f64::from(dpi) / BASE_DPI;
    let (width, height) = ((width * scale).round(), (height * scale).round());
    let pixels = width * height;
    ensure!(
        pixels <= LARGEST,
        "the picture would have {width} × {height} pixels; choose a smaller size or fewer dots per inch"
    );
    // The lines of plotters' bitmaps are jagged, so they are drawn larger and scaled down, as far as
    // memory allows.
    let finer = [4u32, 3, 2].into_iter().find(|&by| pixels * f64::from(by * by) <= LARGEST);
    let finer = finer.unwrap_or(1);
    let (width, height) = (width as u32, height as u32);
    let size = (width * finer, height * finer);
    let mut buffer = vec![255; 3 * size.0 as usize * size.1 as usize];
    let mut bitmap = Bitmap {
        backend: BitMapBackend::with_buffer(&mut buffer, size),
        unit: scale * f64::from(finer),
    };
    for shape in shapes {
        bitmap.draw(shape, scale)?;
    }
    drop(bitmap);
    let image = RgbImage::from_raw(size.0, size.1, buffer).context("the buffer is too small")?;
    let image = if finer == 1 { image } else { thumbnail(&image, width, height) };
    Ok(with_density(encode(&image)?, dpi))
}

struct Bitmap<'a> {
    backend: BitMapBackend<'a>,
    /// Dots of the bitmap per pixel.
    unit: f64,
}

impl Bitmap<'_> {
    fn draw(&mut self, shape: &Shape, density: f64) -> Result<()> {
        match shape {
            Shape::Rectangle { corners, paint } => self.rectangle(*corners, *paint)?,
            Shape::Path { points, width, paint } => self.path(points, *width, *paint)?,
            Shape::Polygon { points, paint } => {
                let points: Vec<BackendCoord> = points.iter().map(|&at| self.dot(at)).collect();
                self.backend.fill_polygon(points, &color(*paint))?;
            }
            Shape::Circle { center, radius, stroke, paint } => {
                let width = stroke.map_or(1, |width| self.stroke(width));
                let radius = self.dots(*radius).max(0) as u32;
                let (center, style) = (self.dot(*center), style(*paint, width));
                self.backend.draw_circle(center, radius, &style, stroke.is_none())?;
            }
            Shape::Text(text) => {
                ensure_letters(&text.text, text.bold)?;
                self.text(text)?;
            }
            Shape::Image { image, corners } => {
                for (corners, color) in rectangles(image, *corners, density) {
                    self.rectangle(corners, color.into())?;
                }
            }
        }
        Ok(())
    }

    fn dots(&self, length: f64) -> i32 {
        (length * self.unit).round() as i32
    }

    fn dot(&self, (x, y): Point) -> BackendCoord {
        (self.dots(x), self.dots(y))
    }

    /// A stroke width, which is never 0.
    fn stroke(&self, width: f64) -> u32 {
        self.dots(width).max(1) as u32
    }

    fn rectangle(
        &mut self,
        [from, to]: [Point; 2],
        paint: Paint,
    ) -> Result<(), DrawingErrorKind<Error>> {
        let (from, to) = (self.dot(from), self.dot(to));
        self.backend.draw_rect(from, to, &color(paint), true)
    }

    fn path(
        &mut self,
        points: &[Point],
        width: f64,
        paint: Paint,
    ) -> Result<(), DrawingErrorKind<Error>> {
        let points: Vec<BackendCoord> = points.iter().map(|&at| self.dot(at)).collect();
        let width = self.stroke(width);
        let style = style(paint, width);
        if paint.opacity < 1.0 || width == 1 {
            return self.backend.draw_path(points, &style);
        }
        // Thick paths of plotters have spikes at sharp corners, so each piece is drawn alone, and
        // circles join them. Where the pieces are transparent, the overlap would show.
        for pair in points.windows(2).filter(|pair| pair[0] != pair[1]) {
            self.backend.draw_path(pair.iter().copied(), &style)?;
        }
        for &at in &points {
            self.backend.draw_circle(at, width / 2, &color(paint), true)?;
        }
        Ok(())
    }

    fn text(&mut self, text: &Text) -> Result<(), DrawingErrorKind<Error>> {
        let em = text.size * self.unit;
        let (letters, width) = layout(&text.text, text.bold);
        let start = match text.anchor {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        let at = (text.at.0 * self.unit, text.at.1 * self.unit);
        for letter in letters {
            // ab_glyph takes the height of a line as a font's size.
            let line = f64::from(letter.font.height_unscaled()) / units_per_em(letter.font);
            let size = PxScale::from((em * line) as f32);
            let pen = point(((start + letter.offset) * em) as f32, 0.0);
            let glyph = letter.glyph.with_scale_and_position(size, pen);
            let Some(outline) = letter.font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let mut dots = Vec::new();
            outline.draw(|x, y, coverage| dots.push((x, y, coverage)));
            for (x, y, coverage) in dots {
                // Turns the middle of the dot, so that every dot meets one of the bitmap.
                let middle = (
                    f64::from(corner.x) + f64::from(x) + 0.5,
                    f64::from(corner.y) + f64::from(y) + 0.5,
                );
                let (x, y) = text.turn.apply(middle);
                let dot = ((at.0 + x).floor() as i32, (at.1 + y).floor() as i32);
                let shade = color(text.paint).mix(f64::from(coverage));
                self.backend.draw_pixel(dot, shade)?;
            }
        }
        Ok(())
    }
}

fn color(Paint { color: Color(red, green, blue), opacity }: Paint) -> BackendColor {
    BackendColor { alpha: opacity, rgb: (red, green, blue) }
}

fn style(Paint { color: Color(red, green, blue), opacity }: Paint, width: u32) -> ShapeStyle {
    ShapeStyle { color: RGBAColor(red, green, blue, opacity), filled: false, stroke_width: width }
}

/// Encodes an image as the bytes of a PNG file.
pub(super) fn encode(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    image.write_with_encoder(encoder)?;
    Ok(bytes)
}

/// Adds the chunk `pHYs` with the dots per meter, which the encoder cannot write.
fn with_density(mut png: Vec<u8>, dpi: u32) -> Vec<u8> {
    // 8 bytes of signature and 25 of the header chunk come first.
    const AFTER_HEADER: usize = 33;
    let per_meter = (f64::from(dpi) / 0.0254).round() as u32;
    let mut body = b"pHYs".to_vec();
    body.extend(per_meter.to_be_bytes());
    body.extend(per_meter.to_be_bytes());
    body.push(1);
    let mut sum = flate2::Crc::new();
    sum.update(&body);
    let mut chunk = (body.len() as u32 - 4).to_be_bytes().to_vec();
    chunk.extend(&body);
    chunk.extend(sum.sum().to_be_bytes());
    png.splice(AFTER_HEADER..AFTER_HEADER, chunk);
    png
}
