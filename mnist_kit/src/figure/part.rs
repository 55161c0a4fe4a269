//! A rectangular part of a figure to draw on. Lengths are pixels at 96 dots per inch.

use super::shape::{Point, Shape, Text, Turn};
use super::text::{CAPITALS_MIDDLE, fit};
use super::theme::{self, Color, TextStyle};
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::cell::RefCell;
use std::sync::Arc;

/// A part of a figure. Coordinates count from its upper left corner.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    shapes: &'a RefCell<Vec<Shape>>,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl<'a> Part<'a> {
    pub(super) fn whole(shapes: &'a RefCell<Vec<Shape>>, width: f64, height: f64) -> Part<'a> {
        Part { shapes, left: 0.0, top: 0.0, width, height }
    }

    pub fn width(&self) -> f64 {
        self.width
    }

    pub fn height(&self) -> f64 {
        self.height
    }

    /// Returns the rest after taking these lengths off each side.
    pub fn inset(&self, left: f64, top: f64, right: f64, bottom: f64) -> Part<'a> {
        let (_, rest) = self.cut_left(left);
        let (_, rest) = rest.cut_top(top);
        let (rest, _) = rest.cut_left(rest.width - right);
        rest.cut_top(rest.height - bottom).0
    }

    /// Splits off a band of this height at the top; returns it and the rest.
    pub fn cut_top(&self, height: f64) -> (Part<'a>, Part<'a>) {
        let at = height.clamp(0.0, self.height);
        let rest = Part { top: self.top + at, height: self.height - at, ..*self };
        (Part { height: at, ..*self }, rest)
    }

    /// Splits off a part of this width at the left; returns it and the rest.
    pub fn cut_left(&self, width: f64) -> (Part<'a>, Part<'a>) {
        let at = width.clamp(0.0, self.width);
        let rest = Part { left: self.left + at, width: self.width - at, ..*self };
        (Part { width: at, ..*self }, rest)
    }

    /// Splits into cells of equal size, row by row.
    pub fn cells(&self, rows: usize, cols: usize) -> Vec<Part<'a>> {
        let (width, height) = (self.width / cols as f64, self.height / rows as f64);
        let cell = |i: usize| Part {
            left: self.left + (i % cols) as f64 * width,
            top: self.top + (i / cols) as f64 * height,
            width,
            height,
            ..*self
        };
        (0..rows * cols).map(cell).collect()
    }

    /// This part's columns in the rows of another part.
    pub fn level_with(&self, other: &Part) -> Part<'a> {
        Part { top: other.top, height: other.height, ..*self }
    }

    fn place(&self, (x, y): Point) -> Point {
        (self.left + x, self.top + y)
    }

    fn push(&self, shape: Shape) {
        self.shapes.borrow_mut().push(shape);
    }

    /// Writes one line whose capitals are centered vertically on `at`.
    ///
    /// A line wider than `room` is written smaller, and cut with an ellipsis where that is not
    /// enough.
    pub fn text(&self, text: &str, at: Point, style: TextStyle, anchor: HPos, room: f64) {
        let (text, style) = fit(text, style, room);
        let turn = if style.upward { Turn::ThreeQuarters } else { Turn::None };
        let (dx, dy) = turn.apply((0.0, CAPITALS_MIDDLE * style.size));
        let (x, y) = self.place(at);
        self.push(Shape::Text(Text {
            text,
            at: (x + dx, y + dy),
            anchor,
            size: style.size,
            bold: style.bold,
            turn,
            paint: style.color.into(),
        }));
    }

    pub fn rect(&self, (x, y): Point, width: f64, height: f64, color: Color) {
        let corners = [self.place((x, y)), self.place((x + width, y + height))];
        self.push(Shape::Rectangle { corners, paint: color.into() });
    }

    /// Draws an image as large as it fits, centered at the top, its pixels as sharp squares. Returns
    /// the part that it covers.
    pub fn image(&self, image: &Arc<RgbImage>) -> Part<'a> {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        let factor = (self.width / width).min(self.height / height);
        // A whole factor gives all pixels the same size. Sums of lengths may miss it by a rounding.
        let factor = if factor >= 1.0 { (factor + 1e-6).floor() } else { factor };
        let left = (self.width - factor * width) / 2.0;
        let covered = self.cut_top(factor * height).0.inset(left, 0.0, left, 0.0);
        let corners = [covered.place((0.0, 0.0)), covered.place((covered.width, covered.height))];
        self.push(Shape::Image { image: image.clone(), corners });
        covered
    }

    pub fn line(&self, points: &[Point], width: f64, color: Color) {
        let points = points.iter().map(|&at| self.place(at)).collect();
        self.push(Shape::Path { points, width, paint: color.into() });
    }

    pub fn polygon(&self, corners: &[Point], color: Color) {
        let points = corners.iter().map(|&at| self.place(at)).collect();
        self.push(Shape::Polygon { points, paint: color.into() });
    }

    /// Draws a line with gaps: strokes of `on` pixels, each `period` after the start of the one
    /// before.
    pub fn dashes(&self, points: &[Point], (on, period): Point, width: f64, color: Color) {
        let mut stroke: Vec<Point> = points.first().copied().into_iter().collect();
        // The place in the period; strokes come first.
        let mut place = 0.0;
        for pair in points.windows(2) {
            let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
            let length = (to_x - x).hypot(to_y - y);
            let mut walked = 0.0;
            while walked < length {
                let end: f64 = if place < on { on } else { period };
                let step = (end - place).min(length - walked);
                walked += step;
                place += step;
                let fraction = (walked / length).min(1.0);
                let at = (x + fraction * (to_x - x), y + fraction * (to_y - y));
                if end == on {
                    stroke.push(at);
                }
                if place >= end - 1e-9 {
                    place = if end == on { on } else { 0.0 };
                    if stroke.len() > 1 {
                        self.line(&stroke, width, color);
                    }
                    stroke = vec![at];
                }
            }
        }
        if stroke.len() > 1 {
            self.line(&stroke, width, color);
        }
    }

    /// Draws the marker of a series, whose shape distinguishes the series where colors cannot, at
    /// this fraction of its usual size.
    pub fn marker(&self, series: usize, at: Point, scale: f64) {
        let paint = theme::series(series).into();
        let radius = scale * theme::MARKER_RADIUS;
        let (x, y) = self.place(at);
        let corners: &[Point] = match series % 5 {
            0 => {
                return self.push(Shape::Circle { center: (x, y), radius, stroke: None, paint });
            }
            1 => &[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)],
            2 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            _ => &[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)],
        };
        let points = corners.iter().map(|(dx, dy)| (x + radius * dx, y + radius * dy)).collect();
        self.push(Shape::Polygon { points, paint });
    }

    /// Draws a small arrow that points down to `at`, for a point that lies below.
    pub fn arrow_down(&self, at: Point, color: Color) {
        let (x, y) = self.place(at);
        let points = vec![(x - 4.0, y - 4.0), (x + 4.0, y - 4.0), (x, y + 3.0)];
        self.push(Shape::Polygon { points, paint: color.into() });
    }

    /// Draws shapes recorded on a canvas of `size` as large as they fit, in the middle.
    pub(super) fn picture(&self, shapes: &[Shape], (width, height): Point) {
        let scale = (self.width / width).min(self.height / height);
        let offset =
            self.place(((self.width - scale * width) / 2.0, (self.height - scale * height) / 2.0));
        for shape in shapes {
            self.push(shape.placed(scale, offset));
        }
    }
}
