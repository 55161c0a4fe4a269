//! The picture of the pad where scripts may not run.

use super::network::Network;
use super::{PAD_SIZE, PEN};
use crate::Result;
use crate::data::example_digit;
use crate::figure::theme::{self, Color};
use crate::figure::{Figure, Part, panel_title, pixels};
use crate::infer;
use crate::table::percent;
use anyhow::Context;
use image::{DynamicImage, GrayImage, RgbImage};
use plotters::style::text_anchor::HPos;
use std::sync::Arc;
use tch::Kind;

/// Width of the picture in pixels.
pub(super) const WIDTH: f64 = 720.0;
/// The digit of the example.
const EXAMPLE: usize = 3;
const BLACK: Color = Color(0, 0, 0);

/// An example on the pad and what the model makes of it.
#[derive(Debug)]
pub(super) struct Still {
    /// Lines through points in a square of 1×1.
    strokes: Vec<Vec<[f32; 2]>>,
    seen: Arc<RgbImage>,
    probabilities: Vec<f64>,
}

impl Still {
    pub fn new(network: &Network) -> Result<Still> {
        let (strokes, levels) = example_digit(EXAMPLE, PAD_SIZE as usize, PEN as f32 / 2.0);
        let drawing = GrayImage::from_raw(PAD_SIZE, PAD_SIZE, levels)
            .context("the example has another size than the pad")?;
        let picture = infer::normalized(&DynamicImage::from(drawing))?;
        let logits = network.logits(&picture.image.f_unsqueeze(0)?)?;
        let probabilities = Vec::try_from(logits.f_softmax(-1, Kind::Double)?.f_get(0)?)?;
        Ok(Still { strokes, seen: Arc::new(pixels(&picture.image)?), probabilities })
    }

    pub fn figure(&self, class_names: &[String]) -> Figure {
        let (strokes, seen) = (self.strokes.clone(), self.seen.clone());
        let rows: Vec<(String, f64)> =
            class_names.iter().cloned().zip(self.probabilities.iter().copied()).collect();
        let height = (rows.len() as f64 * ROW).max(212.0) + 50.0;
        let figure = Figure::new(WIDTH, height.min(4000.0), move |part| {
            let (pad, rest) = part.cut_left(212.0);
            let (middle, rest) = rest.inset(theme::PANEL_GAP, 0.0, 0.0, 0.0).cut_left(160.0);
            draw_strokes(&panel_title(&pad, "Draw a digit", theme::INK), &strokes);
            panel_title(&middle, "What the model sees", theme::INK).image(&seen);
            let bars = rest.inset(theme::PANEL_GAP, 0.0, 0.0, 0.0);
            draw_bars(&panel_title(&bars, "Probability of each class", theme::INK), &rows);
            Ok(())
        });
        figure.note(Some("a still picture; the pad needs a trusted notebook"))
    }
}

/// Height of a bar with the room around it.
const ROW: f64 = 21.0;

fn draw_strokes(part: &Part, strokes: &[Vec<[f32; 2]>]) {
    let size = part.width().min(part.height());
    part.rect((0.0, 0.0), size, size, BLACK);
    let pen = size * f64::from(PEN) / f64::from(PAD_SIZE);
    for stroke in strokes {
        let points: Vec<(f64, f64)> =
            stroke.iter().map(|&[x, y]| (f64::from(x) * size, f64::from(y) * size)).collect();
        part.line(&points, pen, theme::WHITE);
    }
}

fn draw_bars(part: &Part, rows: &[(String, f64)]) {
    const PERCENT: f64 = 58.0;
    let names = 0.3 * part.width();
    let widest = rows.iter().map(|(name, _)| crate::figure::text_width(name, theme::TICK));
    let names = widest.fold(12.0, f64::max).min(names) + theme::GAP;
    let room = part.width() - names - PERCENT;
    for (index, (name, probability)) in rows.iter().enumerate() {
        let middle = (index as f64 + 0.5) * ROW;
        let right = names - theme::GAP;
        part.text(name, (right, middle), theme::TICK, HPos::Right, right);
        part.rect((names, middle - 7.0), room, 14.0, theme::PALE_GRAY);
        part.rect((names, middle - 7.0), room * probability.clamp(0.0, 1.0), 14.0, theme::BLUE);
        let at = (part.width(), middle);
        part.text(&percent(*probability), at, theme::TICK, HPos::Right, PERCENT);
    }
}
