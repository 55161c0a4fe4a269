//! Shapes as an SVG document.

use super::shape::{MOST_RECTANGLES, Paint, Point, Shape, Text, Turn, rectangles};
use super::theme::Color;
use super::{png, text};
use base64::prelude::{BASE64_STANDARD, Engine};
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::fmt::Write;

/// Units of the document per pixel: whole numbers of eighths are shorter than decimals.
const UNIT: f64 = 8.0;

/// Writes a document of `width` × `height` pixels that is displayed `shown` times that size.
pub(super) fn document(shapes: &[Shape], (width, height): Point, shown: f64) -> String {
    let texts = shapes.iter().filter_map(|shape| match shape {
        Shape::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" \
         stroke-linejoin=\"round\" stroke-linecap=\"round\" font-family=\"{}\">\n",
        (width * shown).round(),
        (height * shown).round(),
        units(width),
        units(height),
        text::family(texts)
    );
    let white = Paint::from(super::theme::WHITE);
    rectangle(&mut svg, [(0.0, 0.0), (width, height)], white);
    for shape in shapes {
        write_shape(&mut svg, shape);
    }
    svg.push_str("</svg>\n");
    svg
}

fn write_shape(svg: &mut String, shape: &Shape) {
    match shape {
        Shape::Rectangle { corners, paint } => rectangle(svg, *corners, *paint),
        Shape::Path { points, width, paint } => element(
            svg,
            format_args!(
                "polyline fill=\"none\" stroke-width=\"{}\" points=\"{}\"{}",
                stroke(*width),
                list(points),
                color("stroke", *paint)
            ),
        ),
        Shape::Polygon { points, paint } => element(
            svg,
            format_args!("polygon points=\"{}\"{}", list(points), color("fill", *paint)),
        ),
        Shape::Circle { center, radius, stroke: outline, paint } => {
            let paint = match outline {
                Some(width) => format!(
                    " fill=\"none\" stroke-width=\"{}\"{}",
                    stroke(*width),
                    color("stroke", *paint)
                ),
                None => color("fill", *paint),
            };
            let (x, y) = (units(center.0), units(center.1));
            element(
                svg,
                format_args!("circle cx=\"{x}\" cy=\"{y}\" r=\"{}\"{paint}", units(*radius)),
            );
        }
        Shape::Text(text) => write_text(svg, text),
        Shape::Image { image, corners } => write_image(svg, image, *corners),
    }
}

/// Writes an image as rectangles, which stay sharp at any size and are small for digits. An image of
/// many colors, such as a heat map, would need thousands and is embedded as a bitmap instead.
fn write_image(svg: &mut String, image: &RgbImage, corners: [Point; 2]) {
    let filled = rectangles(image, corners, 1.0);
    if filled.len() > MOST_RECTANGLES
        && let Ok(bitmap) = png::encode(image)
    {
        let [(left, top), (right, bottom)] = corners;
        let (x, y) = (units(left), units(top));
        return element(
            svg,
            format_args!(
                "image x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" \
                 preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"",
                units(right) - x,
                units(bottom) - y,
                BASE64_STANDARD.encode(bitmap)
            ),
        );
    }
    for (corners, color) in filled {
        rectangle(svg, corners, color.into());
    }
}

/// Writes one empty element on a line of its own.
fn element(svg: &mut String, content: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<{content}/>");
}

fn rectangle(svg: &mut String, [(left, top), (right, bottom)]: [Point; 2], paint: Paint) {
    let (x, y) = (units(left), units(top));
    element(
        svg,
        format_args!(
            "rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"{}",
            units(right) - x,
            units(bottom) - y,
            color("fill", paint)
        ),
    );
}

fn write_text(svg: &mut String, text: &Text) {
    let (x, y) = (units(text.at.0), units(text.at.1));
    let anchor = match text.anchor {
        HPos::Left => "",
        HPos::Center => " text-anchor=\"middle\"",
        HPos::Right => " text-anchor=\"end\"",
    };
    let weight = if text.bold { " font-weight=\"bold\"" } else { "" };
    let turn = match text.turn {
        Turn::None => String::new(),
        turn => format!(" transform=\"rotate({}, {x}, {y})\"", turn.degrees()),
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{anchor}{weight}{turn}{}>{}</text>",
        (text.size * UNIT * 100.0).round() / 100.0,
        color("fill", text.paint),
        escape(&text.text)
    );
}

fn units(length: f64) -> i64 {
    (length * UNIT).round() as i64
}

/// A stroke width, which is never 0.
fn stroke(width: f64) -> i64 {
    units(width).max(1)
}

fn list(points: &[Point]) -> String {
    let point = |&(x, y): &Point| format!("{},{}", units(x), units(y));
    points.iter().map(point).collect::<Vec<_>>().join(" ")
}

/// The attribute that fills or strokes with a color.
fn color(attribute: &str, paint: Paint) -> String {
    let Color(red, green, blue) = paint.color;
    let opacity = match paint.opacity {
        1.0.. => String::new(),
        opacity => format!(" {attribute}-opacity=\"{opacity}\""),
    };
    format!(" {attribute}=\"#{red:02X}{green:02X}{blue:02X}\"{opacity}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
