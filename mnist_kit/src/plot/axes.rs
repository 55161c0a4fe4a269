//! What plots with axes share: scales with round ticks, the frame, legends and panel titles.

use super::canvas::{Anchor, Area, Canvas, Marker};
use super::theme::{self, Color};
use crate::table::thousands;

/// A range of numbers with round ticks inside it.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
    step: f64,
}

impl Scale {
    /// Ticks at multiples of 1, 2 or 5 × a power of ten, about `ticks` of them, whole numbers only if `whole`.
    pub fn new(low: f64, high: f64, ticks: f64, whole: bool) -> Scale {
        // A range too narrow for floating point to tell its ends apart is widened.
        let size = low.abs().max(high.abs());
        let pad = match size {
            _ if high - low > (size * 1e-9).max(1e-90) => 0.0,
            ..1e-90 => 0.5,
            _ if whole => (size * 1e-6).max(0.5),
            _ => size * 0.1,
        };
        let (low, high) = (low - pad, high + pad);
        let raw = (high - low) / ticks;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|&step| step >= raw * 0.999)
            .unwrap_or(10.0 * power);
        Scale { low, high, step: if whole { step.max(1.0) } else { step } }
    }

    /// The same with both ends moved out to the next tick.
    pub fn to_ticks(&self) -> Scale {
        let low = (self.low / self.step + 1e-9).floor() * self.step;
        let high = (self.high / self.step - 1e-9).ceil() * self.step;
        Scale { low, high, ..*self }
    }

    /// The same, longer by this share of it at both ends.
    pub fn with_margin(&self, share: f64) -> Scale {
        let margin = share * (self.high - self.low);
        Scale { low: self.low - margin, high: self.high + margin, ..*self }
    }

    /// Where a value stands in the range: 0 at the low end, 1 at the high end.
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Each tick: where it stands (0–1) and how it is written.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let first = (self.low / self.step - 1e-6).ceil();
        let count = (self.high / self.step + 1e-6).floor() - first + 1.0;
        let tick = |i: usize| (first + i as f64) * self.step;
        (0..count as usize).map(|i| (self.place(tick(i)), self.write(tick(i)))).collect()
    }

    fn write(&self, value: f64) -> String {
        let value = if value.abs() < self.step / 2.0 { 0.0 } else { value };
        let decimals = -(self.step.log10() + 1e-9).floor();
        let text = if value == 0.0 && decimals > 5.0 {
            "0".to_string()
        } else if decimals > 5.0 || value.abs() >= 1e7 {
            let digits = (value.abs().log10().floor() + decimals).clamp(0.0, 15.0);
            format!("{value:.*e}", digits as usize)
        } else if decimals <= 0.0 && value.abs() >= 1e4 {
            thousands(value as i64)
        } else {
            format!("{value:.*}", decimals.max(0.0) as usize)
        };
        text.replace('-', "−")
    }
}

/// Draws grid lines, tick labels and axis labels; what is left for the data is returned.
///
/// Ticks are places from 0 (left, bottom) to 1 with their labels; x labels that would touch are left out evenly.
pub(super) fn frame(
    canvas: &mut Canvas,
    area: Area,
    (x_label, x_ticks): (&str, &[(f64, String)]),
    (y_label, y_ticks): (&str, &[(f64, String)]),
    x_grid: bool,
) -> Area {
    let style = theme::TICK;
    let widest = |canvas: &Canvas, ticks: &[(f64, String)]| {
        ticks.iter().map(|(_, label)| canvas.text_width(label, style)).fold(0.0, f64::max)
    };
    let (x_widest, y_widest) = (widest(canvas, x_ticks), widest(canvas, y_ticks));
    let plot = area.inset(
        theme::TEXT_BAND + y_widest + theme::GAP,
        style.size / 2.0,
        x_widest / 2.0,
        2.0 * theme::TEXT_BAND + theme::GAP,
    );
    // Lines one pixel wide are sharp on half pixels.
    let crisp = |at: f64| at.floor() + 0.5;
    let every = {
        let room = plot.width * x_ticks.windows(2).map(|w| w[1].0 - w[0].0).fold(1.0, f64::min);
        ((x_widest + theme::GAP) / room.max(1.0)).ceil().max(1.0) as usize
    };
    for (place, label) in y_ticks {
        let y = plot.bottom() - place * plot.height;
        canvas.line(vec![(plot.x, crisp(y)), (plot.right(), crisp(y))], 1.0, theme::GRID);
        canvas.text(label, (plot.x - theme::GAP, y), style, Anchor::End, y_widest);
    }
    for (place, label) in x_ticks.iter().step_by(every) {
        let x = plot.x + place * plot.width;
        if x_grid {
            canvas.line(vec![(crisp(x), plot.y), (crisp(x), plot.bottom())], 1.0, theme::GRID);
        }
        let y = plot.bottom() + theme::GAP + theme::TEXT_BAND / 2.0;
        canvas.text(label, (x, y), style, Anchor::Middle, x_widest);
    }
    let (left, bottom) = (crisp(plot.x), crisp(plot.bottom()));
    canvas.line(vec![(left, plot.y), (left, bottom), (plot.right(), bottom)], 1.0, theme::AXIS);
    axis_labels(canvas, area, plot, x_label, y_label);
    plot
}

/// Writes the axis labels along the lower and the left border of `area`, centred on `plot`.
pub(super) fn axis_labels(
    canvas: &mut Canvas,
    area: Area,
    plot: Area,
    x_label: &str,
    y_label: &str,
) {
    let (x, y) = plot.center();
    let below = area.bottom() - theme::TEXT_BAND / 2.0;
    canvas.text(x_label, (x, below), theme::LABEL, Anchor::Middle, plot.width);
    let beside = area.x + theme::TEXT_BAND / 2.0 - 3.0;
    canvas.upward_text(y_label, (beside, y), theme::LABEL, plot.height);
}

/// Writes a panel's title above it; the rest of the area is returned.
pub(super) fn panel_title(canvas: &mut Canvas, area: Area, title: &str, color: Color) -> Area {
    let (band, rest) = area.cut_top(theme::TEXT_BAND + theme::GAP);
    let at = (band.center().0, band.y + theme::TEXT_BAND / 2.0);
    canvas.text(title, at, theme::PANEL_TITLE.color(color), Anchor::Middle, band.width);
    rest
}

/// What stands before an entry of a legend.
pub(super) enum Key {
    Line(Color, Marker),
    /// A box with a letter in it.
    Box(Color, &'static str),
}

/// Draws a legend in rows above the data, so that it never covers any; the rest of the area is returned.
pub(super) fn legend(canvas: &mut Canvas, area: Area, entries: &[(Key, String)]) -> Area {
    const KEY: f64 = 26.0;
    const BETWEEN: f64 = 16.0;
    let width = |canvas: &Canvas, name: &str| {
        (KEY + theme::GAP + canvas.text_width(name, theme::TICK)).min(area.width)
    };
    let mut rows: Vec<(f64, Vec<&(Key, String)>)> = Vec::new();
    for entry in entries {
        let width = width(canvas, &entry.1);
        match rows.last_mut() {
            Some((used, row)) if *used + BETWEEN + width <= area.width => {
                *used += BETWEEN + width;
                row.push(entry);
            }
            _ => rows.push((width, vec![entry])),
        }
    }
    let height = rows.len() as f64 * theme::TEXT_BAND + theme::GAP;
    for (i, (used, row)) in rows.into_iter().enumerate() {
        let mut x = area.center().0 - used / 2.0;
        let y = area.y + (i as f64 + 0.5) * theme::TEXT_BAND;
        for (key, name) in row {
            let middle = x + KEY / 2.0;
            match *key {
                Key::Line(color, marker) => {
                    canvas.line(vec![(x, y), (x + KEY, y)], theme::LINE_WIDTH, color);
                    canvas.marker(marker, (middle, y), color);
                }
                Key::Box(color, letter) => {
                    canvas.rect(Area::new(middle - 9.0, y - 8.0, 18.0, 16.0), color);
                    let style = theme::MARK.color(theme::text_on(color));
                    canvas.text(letter, (middle, y), style, Anchor::Middle, KEY);
                }
            }
            let width = width(canvas, name);
            let room = width - KEY - theme::GAP;
            canvas.text(name, (x + KEY + theme::GAP, y), theme::TICK, Anchor::Start, room);
            x += width + BETWEEN;
        }
    }
    area.cut_top(height).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, whole: bool) -> Vec<String> {
        Scale::new(low, high, 6.0, whole)
            .to_ticks()
            .ticks()
            .into_iter()
            .map(|tick| tick.1)
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(80.0, 100.0, false), ["80", "85", "90", "95", "100"]);
        assert_eq!(
            labels(0.07, 0.34, false),
            ["0.05", "0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]
        );
        assert_eq!(labels(1.0, 3.0, true), ["1", "2", "3"]);
        assert_eq!(labels(-1.0, 1.0, false), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(
            labels(0.0, 60_000.0, true),
            ["0", "10,000", "20,000", "30,000", "40,000", "50,000", "60,000"]
        );
        assert_eq!(labels(0.0, 3e-7, false).last().unwrap(), "3.0e−7");
        assert_eq!(labels(2e-5, 2e-5, false), ["0.000018"]);
    }
}
