//! Shapes as a PDF document of one page.
//!
//! Letters are drawn as their outlines, so that the document needs no font.

use super::shape::{MOST_RECTANGLES, Paint, Point, Shape, Text, rectangles};
use super::text::{ensure_letters, layout, units_per_em};
use super::theme::Color;
use crate::Result;
use ab_glyph::{Font, OutlineCurve};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::RgbImage;
use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, TextStr};
use plotters::style::text_anchor::HPos;
use std::collections::BTreeMap;
use std::io::Write;

/// Points per pixel: 72 to 96 dots per inch.
const POINTS: f32 = 0.75;

/// Units of an em in the outlines of letters.
const EM: f64 = 1000.0;

/// Distance of a Bézier curve's control points for a quarter of a circle with radius 1.
const CIRCLE: f32 = 0.552_284_8;

/// Writes a document with a page of `width` × `height` pixels.
///
/// # Errors
/// A text with letters that no font has.
pub(super) fn file(
    shapes: &[Shape],
    (width, height): Point,
    title: Option<&str>,
) -> Result<Vec<u8>> {
    let mut page = Page::new(height as f32);
    page.rectangle([(0.0, 0.0), (width, height)], super::theme::WHITE.into());
    for shape in shapes {
        page.draw(shape)?;
    }
    page.finish((width as f32 * POINTS, height as f32 * POINTS), title)
}

/// The content of the page. Its unit is a pixel, and y points down.
struct Page {
    content: Content,
    /// Opacities in thousandths, with the numbers of their settings.
    opacities: BTreeMap<u16, usize>,
    images: Vec<RgbImage>,
}

impl Page {
    fn new(height: f32) -> Page {
        let mut content = Content::new();
        content.transform([POINTS, 0.0, 0.0, -POINTS, 0.0, height * POINTS]);
        content.set_line_cap(LineCapStyle::RoundCap).set_line_join(LineJoinStyle::RoundJoin);
        Page { content, opacities: BTreeMap::from([(1000, 0)]), images: Vec::new() }
    }

    fn draw(&mut self, shape: &Shape) -> Result<()> {
        match shape {
            Shape::Rectangle { corners, paint } => self.rectangle(*corners, *paint),
            Shape::Path { points, width, paint } => {
                self.stroke_with(*paint, *width);
                self.outline(points);
                self.content.stroke();
            }
            Shape::Polygon { points, paint } => {
                self.fill_with(*paint);
                self.outline(points);
                self.content.close_path().fill_nonzero();
            }
            Shape::Circle { center, radius, stroke, paint } => {
                match stroke {
                    Some(width) => self.stroke_with(*paint, *width),
                    None => self.fill_with(*paint),
                }
                self.circle(*center, *radius as f32);
                match stroke {
                    Some(_) => self.content.stroke(),
                    None => self.content.fill_nonzero(),
                };
            }
            Shape::Text(text) => {
                ensure_letters(&text.text, text.bold)?;
                self.text(text);
            }
            Shape::Image { image, corners } => self.image(image, *corners),
        }
        Ok(())
    }

    fn fill_with(&mut self, paint: Paint) {
        let [red, green, blue] = rgb(paint.color);
        self.content.set_fill_rgb(red, green, blue);
        self.opacity(paint.opacity);
    }

    fn stroke_with(&mut self, paint: Paint, width: f64) {
        let [red, green, blue] = rgb(paint.color);
        self.content.set_stroke_rgb(red, green, blue).set_line_width(width as f32);
        self.opacity(paint.opacity);
    }

    fn opacity(&mut self, opacity: f64) {
        let next = self.opacities.len();
        let number = *self.opacities.entry((1000.0 * opacity).round() as u16).or_insert(next);
        self.content.set_parameters(Name(opacity_name(number).as_bytes()));
    }

    fn rectangle(&mut self, [(left, top), (right, bottom)]: [Point; 2], paint: Paint) {
        self.fill_with(paint);
        let (width, height) = ((right - left) as f32, (bottom - top) as f32);
        self.content.rect(left as f32, top as f32, width, height).fill_nonzero();
    }

    /// Goes along points; a single one becomes a dot.
    fn outline(&mut self, points: &[Point]) {
        for (i, &(x, y)) in points.iter().enumerate() {
            let (x, y) = (x as f32, y as f32);
            if i == 0 {
                self.content.move_to(x, y);
            }
            if i > 0 || points.len() == 1 {
                self.content.line_to(x, y);
            }
        }
    }

    fn circle(&mut self, (x, y): Point, radius: f32) {
        let (x, y, pull) = (x as f32, y as f32, radius * CIRCLE);
        self.content
            .move_to(x + radius, y)
            .cubic_to(x + radius, y + pull, x + pull, y + radius, x, y + radius)
            .cubic_to(x - pull, y + radius, x - radius, y + pull, x - radius, y)
            .cubic_to(x - radius, y - pull, x - pull, y - radius, x, y - radius)
            .cubic_to(x + pull, y - radius, x + radius, y - pull, x + radius, y)
            .close_path();
    }

    fn text(&mut self, text: &Text) {
        if text.text.trim().is_empty() {
            return;
        }
        let (letters, width) = layout(&text.text, text.bold);
        let start = match text.anchor {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        self.fill_with(text.paint);
        // From thousandths of an em, where y points up, to pixels.
        let (a, b) = text.turn.apply((text.size / EM, 0.0));
        let (c, d) = text.turn.apply((0.0, -text.size / EM));
        let matrix = [a, b, c, d, text.at.0, text.at.1].map(|value| value as f32);
        self.content.save_state().transform(matrix);
        // All letters are one path: viewers move single rectangles, such as an l, to whole pixels.
        for letter in letters {
            let Some(outline) = letter.font.outline(letter.glyph) else { continue };
            let (left, scale) = (EM * (start + letter.offset), EM / units_per_em(letter.font));
            let place = |at: ab_glyph::Point| {
                let tenth = |value: f64| ((10.0 * value).round() / 10.0) as f32;
                (tenth(left + scale * f64::from(at.x)), tenth(scale * f64::from(at.y)))
            };
            self.glyph(&outline.curves, place);
        }
        self.content.fill_nonzero().restore_state();
    }

    /// Goes along the contours of a letter, which follow one another without a mark between them.
    fn glyph(&mut self, curves: &[OutlineCurve], place: impl Fn(ab_glyph::Point) -> (f32, f32)) {
        let mut pen = None;
        for curve in curves {
            let (from, to) = match *curve {
                OutlineCurve::Line(from, to) => (from, to),
                OutlineCurve::Quad(from, _, to) => (from, to),
                OutlineCurve::Cubic(from, _, _, to) => (from, to),
            };
            let ((x, y), (x3, y3)) = (place(from), place(to));
            if pen != Some(from) {
                self.content.move_to(x, y);
            }
            match *curve {
                OutlineCurve::Line(..) => self.content.line_to(x3, y3),
                OutlineCurve::Quad(_, pull, _) => {
                    // The same curve with two control points.
                    let toward = |end: f32, pull: f32| end + (pull - end) * 2.0 / 3.0;
                    let control = |end: ab_glyph::Point| {
                        place(ab_glyph::point(toward(end.x, pull.x), toward(end.y, pull.y)))
                    };
                    let ((x1, y1), (x2, y2)) = (control(from), control(to));
                    self.content.cubic_to(x1, y1, x2, y2, x3, y3)
                }
                OutlineCurve::Cubic(_, one, two, _) => {
                    let ((x1, y1), (x2, y2)) = (place(one), place(two));
                    self.content.cubic_to(x1, y1, x2, y2, x3, y3)
                }
            };
            pen = Some(to);
        }
    }

    fn image(&mut self, image: &RgbImage, corners: [Point; 2]) {
        let filled = rectangles(image, corners, 1.0);
        if filled.len() <= MOST_RECTANGLES {
            for (corners, color) in filled {
                self.rectangle(corners, color.into());
            }
            return;
        }
        let [(left, top), (right, bottom)] = corners;
        let (width, height) = ((right - left) as f32, (bottom - top) as f32);
        self.opacity(1.0);
        // An image fills the square from (0, 0) to (1, 1), and stands on its lower edge.
        let matrix = [width, 0.0, 0.0, -height, left as f32, bottom as f32];
        let name = image_name(self.images.len());
        self.content.save_state().transform(matrix);
        self.content.x_object(Name(name.as_bytes())).restore_state();
        self.images.push(image.clone());
    }

    fn finish(self, (width, height): (f32, f32), title: Option<&str>) -> Result<Vec<u8>> {
        let [catalog, pages, page, content, info] = [1, 2, 3, 4, 5].map(Ref::new);
        let image_ref = |number: usize| Ref::new(6 + number as i32);
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(pages);
        pdf.pages(pages).kids([page]).count(1);
        let mut about = pdf.page(page);
        about.parent(pages).media_box(Rect::new(0.0, 0.0, width, height)).contents(content);
        let mut resources = about.resources();
        let mut settings = resources.ext_g_states();
        for (&thousandths, &number) in &self.opacities {
            let opacity = f32::from(thousandths) / 1000.0;
            let name = opacity_name(number);
            let mut setting = settings
                .insert(Name(name.as_bytes()))
                .start::<pdf_writer::writers::ExtGraphicsState>();
            setting.non_stroking_alpha(opacity).stroking_alpha(opacity);
        }
        settings.finish();
        let mut objects = resources.x_objects();
        for number in 0..self.images.len() {
            objects.pair(Name(image_name(number).as_bytes()), image_ref(number));
        }
        objects.finish();
        resources.finish();
        about.finish();
        pdf.stream(content, &packed(&self.content.finish())?).filter(Filter::FlateDecode);
        for (number, image) in self.images.iter().enumerate() {
            let bytes = packed(image.as_raw())?;
            let mut object = pdf.image_xobject(image_ref(number), &bytes);
            object.filter(Filter::FlateDecode);
            object.width(image.width() as i32).height(image.height() as i32);
            object.color_space().device_rgb();
            object.bits_per_component(8);
        }
        let mut document = pdf.document_info(info);
        document.producer(TextStr("mnist_kit"));
        if let Some(title) = title {
            document.title(TextStr(title));
        }
        document.finish();
        Ok(pdf.finish())
    }
}

fn opacity_name(number: usize) -> String {
    format!("O{number}")
}

fn image_name(number: usize) -> String {
    format!("I{number}")
}

fn rgb(Color(red, green, blue): Color) -> [f32; 3] {
    [red, green, blue].map(|channel| f32::from(channel) / 255.0)
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
