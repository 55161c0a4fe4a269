//! The bar beside the data that explains its colors.

use super::part::Part;
use super::text::text_width;
use super::theme::{self, Color};
use super::{Axis, Ends};
use plotters::style::text_anchor::HPos;

/// A bar of colors with its ticks.
#[derive(Clone, Debug)]
pub(crate) struct ColorBar {
    /// Written beside the ticks, from bottom to top.
    pub label: String,
    /// The color at a place from 0 (bottom) to 1 (top).
    pub color: fn(f64) -> Color,
    /// Places from 0 to 1 with their labels.
    pub ticks: Vec<(f64, String)>,
}

/// Distance from the data, and width of the colors.
const BEFORE: f64 = 12.0;
const COLORS: f64 = 14.0;
/// Length of a tick, and its distance from its label.
const TICK: f64 = 3.0;
const STYLE: theme::TextStyle = theme::TICK;

impl ColorBar {
    /// Creates a bar for values from `low` to `high`, with ticks at round numbers; at whole numbers
    /// only if `whole`.
    pub fn linear(
        label: &str,
        color: fn(f64) -> Color,
        (low, high): (f64, f64),
        whole: bool,
    ) -> ColorBar {
        let axis = Axis::numbers(label, (low, high), 5.0, whole, Ends::Margin);
        let place = |value: f64| (value - low) / (high - low);
        let ticks = axis.ticks.into_iter().map(|(value, text)| (place(value), text));
        let inside = |(place, _): &(f64, String)| (-1e-6..=1.0 + 1e-6).contains(place);
        ColorBar { label: label.to_string(), color, ticks: ticks.filter(inside).collect() }
    }

    /// Returns the width of the bar with its labels and its distance from the data.
    pub fn width(&self) -> f64 {
        let widest = self.ticks.iter().map(|(_, text)| text_width(text, STYLE)).fold(0.0, f64::max);
        BEFORE + COLORS + 2.0 * TICK + widest + theme::GAP + theme::TEXT_BAND
    }

    /// Draws the bar as high as the part, at its left.
    pub fn draw(&self, part: &Part) {
        const STEPS: usize = 96;
        let height = part.height();
        for i in 0..STEPS {
            // Each piece reaches down to the bottom, below the next one, so that there are no seams.
            let top = i as f64 / STEPS as f64 * height;
            let place = 1.0 - (i as f64 + 0.5) / STEPS as f64;
            part.rect((BEFORE, top), COLORS, height - top, (self.color)(place));
        }
        let right = BEFORE + COLORS;
        let corners =
            [(BEFORE, 0.0), (right, 0.0), (right, height), (BEFORE, height), (BEFORE, 0.0)];
        part.line(&corners, 0.5, theme::FAINT);
        for (place, text) in &self.ticks {
            let y = (1.0 - place) * height;
            part.line(&[(right, y), (right + TICK, y)], 1.0, theme::AXIS);
            let half = STYLE.size / 2.0;
            let at = (
                right + 2.0 * TICK,
                y.clamp(half.min(height / 2.0), (height - half).max(height / 2.0)),
            );
            part.text(text, at, STYLE, HPos::Left, part.width() - right);
        }
        let at = (self.width() - theme::TEXT_BAND / 2.0, height / 2.0);
        part.text(&self.label, at, theme::LABEL.upward(), HPos::Center, height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_at_their_values() {
        let bar = ColorBar::linear("", |_| theme::WHITE, (-0.5, 0.5), false);
        let middle = bar.ticks.iter().find(|tick| tick.1 == "0.0").expect("a tick at 0");
        assert!((middle.0 - 0.5).abs() < 1e-9);
        assert!(bar.ticks.iter().all(|tick| (-1e-6..=1.0 + 1e-6).contains(&tick.0)));
    }
}
