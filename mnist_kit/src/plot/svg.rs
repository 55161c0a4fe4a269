//! Writes a drawing as SVG.

use super::canvas::{Anchor, Area, Canvas, Mark, Point, Text};
use super::pixels::{base64, encode_png};
use super::theme::Color;
use crate::Result;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use std::fmt::Write;

pub(super) fn svg(canvas: &Canvas, width: f64, height: f64) -> Result<String> {
    let (w, h) = (number(width), number(height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for mark in &canvas.marks {
        match mark {
            Mark::Rect { area, fill } => {
                writeln!(out, "<rect {} fill=\"{}\"/>", place(area), hex(*fill))?
            }
            Mark::Polygon { points, fill } => {
                writeln!(out, "<polygon points=\"{}\" fill=\"{}\"/>", list(points), hex(*fill))?
            }
            Mark::Circle { center: (x, y), radius, fill } => writeln!(
                out,
                "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>",
                number(*x),
                number(*y),
                number(*radius),
                hex(*fill)
            )?,
            Mark::Line { points, width, color } => writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
                 stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
                list(points),
                hex(*color),
                number(*width)
            )?,
            Mark::Text(text) => write_text(&mut out, text)?,
            Mark::Image { area, image } => writeln!(
                out,
                "<image {} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
                 href=\"data:image/png;base64,{}\"/>",
                place(area),
                base64(&encode_png(&enlarged(image))?)
            )?,
        }
    }
    out.push_str("</svg>\n");
    Ok(out)
}

/// The width is written down too, so that another font of the viewer's still fits its place.
fn write_text(out: &mut String, text: &Text) -> std::fmt::Result {
    let (x, y) = (number(text.at.0), number(text.at.1));
    let anchor = match text.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let weight = if text.style.bold { " font-weight=\"bold\"" } else { "" };
    let turn =
        if text.upward { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
    let escaped = text.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-size=\"{}\"{weight} fill=\"{}\" \
         textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"{turn}>{escaped}</text>",
        number(text.style.size),
        hex(text.style.color),
        number(text.width)
    )
}

/// Small images are enlarged by a whole factor, for viewers that smooth what they scale.
fn enlarged(image: &RgbImage) -> RgbImage {
    let factor = (112 / image.width().max(image.height())).max(1);
    resize(image, image.width() * factor, image.height() * factor, FilterType::Nearest)
}

fn place(area: &Area) -> String {
    format!(
        "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
        number(area.x),
        number(area.y),
        number(area.width),
        number(area.height)
    )
}

fn list(points: &[Point]) -> String {
    let pairs: Vec<String> =
        points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
    pairs.join(" ")
}

/// Hundredths of a pixel are enough.
fn number(value: f64) -> String {
    ((value * 100.0).round() / 100.0).to_string()
}

fn hex(Color(red, green, blue): Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
