//! A drawing as a list of marks, in pixels at 96 dots per inch, from the upper left corner.

use super::theme::{Color, MARKER_RADIUS, TextStyle};
use crate::Result;
use ab_glyph::{Font, FontRef};
use image::RgbImage;
use std::sync::Arc;

pub(super) type Point = (f64, f64);

/// A rectangle; its sides are never negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    pub fn new(x: f64, y: f64, width: f64, height: f64) -> Area {
        Area { x, y, width: width.max(0.0), height: height.max(0.0) }
    }

    pub fn right(&self) -> f64 {
        self.x + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.y + self.height
    }

    pub fn center(&self) -> Point {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// What is left after taking these lengths off each side.
    pub fn inset(&self, left: f64, top: f64, right: f64, bottom: f64) -> Area {
        let (width, height) = (self.width - left - right, self.height - top - bottom);
        Area::new(self.x + left, self.y + top, width, height)
    }

    /// The band of this height at the top, and the rest.
    pub fn cut_top(&self, height: f64) -> (Area, Area) {
        let height = height.min(self.height);
        (Area { height, ..*self }, self.inset(0.0, height, 0.0, 0.0))
    }

    /// The band of this height at the bottom, and the rest.
    pub fn cut_bottom(&self, height: f64) -> (Area, Area) {
        let (rest, band) = self.cut_top(self.height - height);
        (band, rest)
    }

    /// The part of this width at the left, and the rest behind a gap.
    pub fn cut_left(&self, width: f64, gap: f64) -> (Area, Area) {
        let width = width.min(self.width);
        (Area { width, ..*self }, self.inset(width + gap, 0.0, 0.0, 0.0))
    }
}

/// Which part of a text stands at its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

pub(super) struct Text {
    pub text: String,
    /// Where the anchor stands, on the baseline.
    pub at: Point,
    pub style: TextStyle,
    pub anchor: Anchor,
    pub width: f64,
    /// Reads from bottom to top.
    pub upward: bool,
}

pub(super) enum Mark {
    Rect { area: Area, fill: Color },
    Polygon { points: Vec<Point>, fill: Color },
    Circle { center: Point, radius: f64, fill: Color },
    Line { points: Vec<Point>, width: f64, color: Color },
    Text(Text),
    Image { area: Area, image: Arc<RgbImage> },
}

/// The shape that tells a series apart where colours cannot.
#[derive(Clone, Copy)]
pub(super) enum Marker {
    Circle,
    Triangle,
    Square,
    Diamond,
    TriangleDown,
}

impl Marker {
    pub const ALL: [Marker; 5] =
        [Marker::Circle, Marker::Triangle, Marker::Square, Marker::Diamond, Marker::TriangleDown];
}

/// The two weights of the font that figures are written in.
pub(super) struct Fonts {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Fonts {
    fn load() -> Result<Fonts> {
        Ok(Fonts {
            regular: FontRef::try_from_slice(dejavu::sans::regular())?,
            bold: FontRef::try_from_slice(dejavu::sans::bold())?,
        })
    }

    pub fn get(&self, bold: bool) -> &FontRef<'static> {
        if bold { &self.bold } else { &self.regular }
    }

    /// The glyphs of a text with the place of each along the baseline, and the width of all, in em.
    pub fn lay_out(&self, text: &str, bold: bool) -> (Vec<(ab_glyph::GlyphId, f64)>, f64) {
        let font = self.get(bold);
        let em = f64::from(font.units_per_em().unwrap_or(2048.0));
        let (mut glyphs, mut pen) = (Vec::new(), 0.0);
        let mut previous = None;
        for glyph in text.chars().map(|c| font.glyph_id(c)) {
            if let Some(previous) = previous {
                pen += f64::from(font.kern_unscaled(previous, glyph)) / em;
            }
            previous = Some(glyph);
            glyphs.push((glyph, pen));
            // A letter that the font lacks is taken to be as wide as high, as Hangul is.
            let lacking = glyph.0 == 0;
            pen += if lacking { 1.0 } else { f64::from(font.h_advance_unscaled(glyph)) / em };
        }
        (glyphs, pen)
    }
}

pub(super) struct Canvas {
    pub fonts: Fonts,
    pub marks: Vec<Mark>,
}

impl Canvas {
    pub fn new() -> Result<Canvas> {
        Ok(Canvas { fonts: Fonts::load()?, marks: Vec::new() })
    }

    pub fn rect(&mut self, area: Area, fill: Color) {
        self.marks.push(Mark::Rect { area, fill });
    }

    pub fn line(&mut self, points: Vec<Point>, width: f64, color: Color) {
        self.marks.push(Mark::Line { points, width, color });
    }

    pub fn image(&mut self, area: Area, image: &Arc<RgbImage>) {
        self.marks.push(Mark::Image { area, image: image.clone() });
    }

    pub fn marker(&mut self, marker: Marker, (x, y): Point, fill: Color) {
        let radius = MARKER_RADIUS;
        let polygon = |corners: &[Point]| {
            let points =
                corners.iter().map(|(dx, dy)| (x + radius * dx, y + radius * dy)).collect();
            Mark::Polygon { points, fill }
        };
        self.marks.push(match marker {
            Marker::Circle => Mark::Circle { center: (x, y), radius, fill },
            Marker::Triangle => polygon(&[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)]),
            Marker::TriangleDown => polygon(&[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)]),
            Marker::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Marker::Diamond => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        });
    }

    pub fn text_width(&self, text: &str, style: TextStyle) -> f64 {
        self.fonts.lay_out(text, style.bold).1 * style.size
    }

    /// Writes one line, its capitals vertically centred on `at`.
    ///
    /// Text wider than `room` is written smaller, and cut with an ellipsis where that is not enough.
    pub fn text(&mut self, text: &str, at: Point, style: TextStyle, anchor: Anchor, room: f64) {
        self.write(text, at, style, anchor, room, false);
    }

    /// Writes one line from bottom to top, centred on `at`.
    pub fn upward_text(&mut self, text: &str, at: Point, style: TextStyle, room: f64) {
        self.write(text, at, style, Anchor::Middle, room, true);
    }

    fn write(
        &mut self,
        text: &str,
        (x, y): Point,
        style: TextStyle,
        anchor: Anchor,
        room: f64,
        upward: bool,
    ) {
        const SMALLEST: f64 = 0.65;
        let unfit = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
        let mut text: String = text.chars().map(|c| if unfit(c) { ' ' } else { c }).collect();
        let wanted = self.text_width(&text, style);
        let style = style.size(style.size * (room / wanted).clamp(SMALLEST, 1.0));
        if self.text_width(&text, style) > room + 0.01 {
            while !text.is_empty() && self.text_width(&format!("{text}…"), style) > room {
                text.pop();
            }
            text.push('…');
        }
        if text.trim().is_empty() {
            return;
        }
        // Half the height of DejaVu's capitals.
        let drop = 0.365 * style.size;
        let at = if upward { (x + drop, y) } else { (x, y + drop) };
        let width = self.text_width(&text, style);
        self.marks.push(Mark::Text(Text { text, at, style, anchor, width, upward }));
    }
}
