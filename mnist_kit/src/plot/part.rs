//! A part of a figure to draw on: plotters' drawing area, with lengths in pixels at 96 dots per inch.

use super::theme::{self, Color, TextStyle};
use crate::Result;
use ab_glyph::{Font, FontRef, ScaleFont};
use anyhow::{anyhow, ensure};
use image::RgbImage;
use image::imageops::{FilterType, resize};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, register_font};
use std::collections::HashMap;

/// What plotters draws on: a bitmap or an SVG document.
pub(super) trait Backend: DrawingBackend<ErrorType: 'static> {}
impl<DB: DrawingBackend<ErrorType: 'static>> Backend for DB {}

/// The name of the font, with what a viewer of the SVG form takes where DejaVu is not installed.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";

/// Makes the letters known to plotters. Needed in every drawing: each cell of a notebook has statics of its own.
pub(super) fn register_fonts() -> Result<()> {
    for (style, bytes) in
        [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())]
    {
        register_font(FONT, style, bytes).map_err(|_| anyhow!("the font cannot be read"))?;
    }
    Ok(())
}

/// How lengths become the whole numbers that plotters draws with.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// Units of the backend for a pixel.
    pub unit: f64,
    /// Units that an image's pixels keep to, so that they stay crisp.
    pub snap: f64,
    /// Whether the backend is a bitmap; it is an SVG document otherwise.
    pub bitmap: bool,
}

impl Scale {
    /// A length in the backend's units.
    pub fn units(&self, length: f64) -> i32 {
        (length * self.unit).round() as i32
    }

    /// The same for strokes, which are never nothing.
    pub fn stroke(&self, width: f64) -> u32 {
        self.units(width).max(1) as u32
    }

    /// Length of the ticks below an axis. Their labels stand at twice that, and in a bitmap higher by a part of their size.
    pub fn tick(&self) -> f64 {
        if self.bitmap { 5.0 } else { 4.0 }
    }

    /// How far left of its place plotters starts a digit, in em.
    pub fn bearing(&self) -> f64 {
        if self.bitmap { 0.08 } else { 0.0 }
    }

    /// How far below the place that plotters centres a text on its capitals are centred, in em.
    pub fn drop(&self) -> f64 {
        if self.bitmap { 0.252 } else { 0.092 }
    }
}

/// Height of a line of DejaVu Sans in em, from the top of its highest letters to the bottom of its lowest.
const DEJAVU_LINE: f64 = 2384.0 / 2048.0;

/// The width of a text in pixels.
pub(super) fn text_width(text: &str, style: TextStyle) -> Result<f64> {
    const EM: f64 = 1000.0;
    let (width, _) = font(style, EM * DEJAVU_LINE).box_size(text)?;
    Ok(f64::from(width) / EM * style.size)
}

fn font(style: TextStyle, size: f64) -> FontDesc<'static> {
    (FONT, size, if style.bold { FontStyle::Bold } else { FontStyle::Normal }).into_font()
}

pub(super) struct Part<DB: DrawingBackend> {
    pub area: DrawingArea<DB, Shift>,
    pub scale: Scale,
}

impl<DB: Backend> Part<DB> {
    fn with(&self, area: DrawingArea<DB, Shift>) -> Part<DB> {
        Part { area, scale: self.scale }
    }

    pub fn width(&self) -> f64 {
        f64::from(self.area.dim_in_pixel().0) / self.scale.unit
    }

    pub fn height(&self) -> f64 {
        f64::from(self.area.dim_in_pixel().1) / self.scale.unit
    }

    /// What is left after taking these lengths off each side.
    pub fn inset(&self, left: f64, top: f64, right: f64, bottom: f64) -> Part<DB> {
        let (_, rest) = self.cut_left(left);
        let (_, rest) = rest.cut_top(top);
        let (rest, _) = rest.cut_left(rest.width() - right);
        rest.cut_top(rest.height() - bottom).0
    }

    /// The band of this height at the top, and the rest.
    pub fn cut_top(&self, height: f64) -> (Part<DB>, Part<DB>) {
        let at = self.scale.units(height.clamp(0.0, self.height()));
        let (top, rest) = self.area.split_vertically(at);
        (self.with(top), self.with(rest))
    }

    /// The part of this width at the left, and the rest.
    pub fn cut_left(&self, width: f64) -> (Part<DB>, Part<DB>) {
        let at = self.scale.units(width.clamp(0.0, self.width()));
        let (left, rest) = self.area.split_horizontally(at);
        (self.with(left), self.with(rest))
    }

    /// Cells of equal size, row by row.
    pub fn cells(&self, rows: usize, cols: usize) -> Vec<Part<DB>> {
        self.area.split_evenly((rows, cols)).into_iter().map(|area| self.with(area)).collect()
    }

    /// plotters' style for a text.
    pub fn style(&self, style: TextStyle) -> plotters::style::TextStyle<'static> {
        // A bitmap takes the size as the height of a line, SVG as 1.24 em.
        let em = self.scale.unit * if self.scale.bitmap { DEJAVU_LINE } else { 1.24 };
        let turn = if style.upward { FontTransform::Rotate270 } else { FontTransform::None };
        font(style, style.size * em).transform(turn).color(&style.color.rgb())
    }

    /// Writes one line, its capitals centred on `at` across the line. What is wider than `room` is written smaller,
    /// and cut with an ellipsis where that is not enough.
    pub fn text(
        &self,
        text: &str,
        (x, y): (f64, f64),
        style: TextStyle,
        anchor: HPos,
        room: f64,
    ) -> Result<()> {
        const SMALLEST: f64 = 0.65;
        let unfit = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
        let mut text: String = text.chars().map(|c| if unfit(c) { ' ' } else { c }).collect();
        if self.scale.bitmap {
            ensure_letters(&text, style.bold)?;
        }
        let wanted = text_width(&text, style)?.max(1e-9);
        let style = style.size(style.size * (room / wanted).clamp(SMALLEST, 1.0));
        if text_width(&text, style)? > room + 0.1 {
            while text.pop().is_some() && text_width(&format!("{text}…"), style)? > room {}
            text.push_str(if text.is_empty() { "" } else { "…" });
        }

        let place = |along: f64| {
            let drop = self.scale.drop() * style.size;
            let (x, y) = if style.upward { (x + drop, y - along) } else { (x + along, y + drop) };
            (self.scale.units(x), self.scale.units(y))
        };
        let letters = self.style(style);
        if !self.scale.bitmap {
            let letters = letters.pos(Pos::new(anchor, VPos::Center));
            return Ok(self.area.draw_text(&text, &letters, place(0.0))?);
        }
        // In bitmaps, plotters sets the ink of each letter where its advance begins. Alone, each can start in its place.
        let letters = letters.pos(Pos::new(HPos::Left, VPos::Center));
        let face = face(style.bold)?;
        let face = face.as_scaled((style.size * DEJAVU_LINE) as f32);
        let mut pen = match anchor {
            HPos::Left => 0.0,
            HPos::Center => -text_width(&text, style)? / 2.0,
            HPos::Right => -text_width(&text, style)?,
        };
        let mut before = None;
        for letter in text.chars() {
            let glyph = face.glyph_id(letter);
            pen += before.map_or(0.0, |before| f64::from(face.kern(before, glyph)));
            let bearing = f64::from(face.h_side_bearing(glyph));
            self.area.draw_text(&letter.to_string(), &letters, place(pen + bearing))?;
            pen += f64::from(face.h_advance(glyph));
            before = Some(glyph);
        }
        Ok(())
    }

    /// Fills the rectangle between two corners given in units of the backend.
    fn fill(&self, (x0, y0): (i32, i32), (x1, y1): (i32, i32), color: Color) -> Result<()> {
        Ok(self.area.draw(&Rectangle::new([(x0, y0), (x1, y1)], color.rgb().filled()))?)
    }

    pub fn rect(&self, (x, y): (f64, f64), width: f64, height: f64, color: Color) -> Result<()> {
        let place = |x, y| (self.scale.units(x), self.scale.units(y));
        self.fill(place(x, y), place(x + width, y + height), color)
    }

    /// Draws an image as large as it fits: at the top, in the middle, its pixels sharp squares.
    pub fn image(&self, image: &RgbImage) -> Result<()> {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        let factor = (self.width() / width).min(self.height() / height);
        // A whole factor gives all pixels one size.
        let factor = if factor > 1.0 { factor.floor() } else { factor };
        // Of an image with more pixels than there is place for, only so many are drawn.
        let share = factor * self.scale.unit / self.scale.snap;
        let shrunk = |length: f64| (length * share).round().max(1.0) as u32;
        let smaller = (share < 1.0)
            .then(|| resize(image, shrunk(width), shrunk(height), FilterType::Triangle));
        let image_ = smaller.as_ref().unwrap_or(image);
        let (cols, rows) = image_.dimensions();
        let left = (self.width() - factor * width) / 2.0;
        let edge = |start: f64, length: f64, i: u32, count: u32, base: i32| {
            let at = (start + length * f64::from(i) / f64::from(count)) * self.scale.unit;
            let snap = self.scale.snap;
            (((at + f64::from(base)) / snap).round() * snap) as i32 - base
        };
        let (base_x, base_y) = self.area.get_base_pixel();
        let x = |col: u32| edge(left, factor * width, col, cols, base_x);
        let y = |row: u32| edge(0.0, factor * height, row, rows, base_y);

        // The commonest colour below all, then each run of another colour in a row.
        let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
        image_.pixels().for_each(|pixel| *counts.entry(pixel.0).or_default() += 1);
        let ground = counts.into_iter().max_by_key(|&(color, count)| (count, color));
        let ground = ground.map_or([255; 3], |(color, _)| color);
        let color = |[red, green, blue]: [u8; 3]| Color(red, green, blue);
        self.fill((x(0), y(0)), (x(cols), y(rows)), color(ground))?;
        for row in 0..rows {
            let mut start = 0;
            for col in 0..cols {
                let pixel = image_.get_pixel(col, row).0;
                if col + 1 < cols && image_.get_pixel(col + 1, row).0 == pixel {
                    continue;
                }
                if pixel != ground {
                    self.fill((x(start), y(row)), (x(col + 1), y(row + 1)), color(pixel))?;
                }
                start = col + 1;
            }
        }
        Ok(())
    }

    /// A line through points given in pixels of this part.
    pub fn line(&self, points: &[(f64, f64)], width: f64, color: Color) -> Result<()> {
        let points = points.iter().map(|&(x, y)| (self.scale.units(x), self.scale.units(y)));
        let style = color.rgb().stroke_width(self.scale.stroke(width));
        Ok(self.area.draw(&PathElement::new(points.collect::<Vec<_>>(), style))?)
    }

    /// The shape that tells series `index` apart where colours cannot, around a point in units of this part.
    pub fn marker(&self, index: usize, (x, y): (i32, i32)) -> Result<()> {
        let color = theme::series(index).rgb().filled();
        let radius = theme::MARKER_RADIUS;
        let corners: &[(f64, f64)] = match index % 5 {
            0 => {
                return Ok(self.area.draw(&Circle::new(
                    (x, y),
                    self.scale.units(radius),
                    color,
                ))?);
            }
            1 => &[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)],
            2 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            _ => &[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)],
        };
        let corner =
            |&(dx, dy)| (x + self.scale.units(radius * dx), y + self.scale.units(radius * dy));
        let corners: Vec<(i32, i32)> = corners.iter().map(corner).collect();
        Ok(self.area.draw(&Polygon::new(corners, color))?)
    }
}

fn face(bold: bool) -> Result<FontRef<'static>> {
    let font = if bold { dejavu::sans::bold() } else { dejavu::sans::regular() };
    Ok(FontRef::try_from_slice(font)?)
}

/// A bitmap cannot show letters that the font lacks.
fn ensure_letters(text: &str, bold: bool) -> Result<()> {
    let font = face(bold)?;
    let lacking: String = text.chars().filter(|&letter| font.glyph_id(letter).0 == 0).collect();
    ensure!(
        lacking.is_empty(),
        "the font of figures (DejaVu Sans) has no letters for {lacking:?} in {text:?}; \
         write it otherwise, or save as .svg, which is shown with the fonts of its viewer"
    );
    Ok(())
}
