//! Axes: round ticks, labels and grid lines.

use super::part::Part;
use super::shape::Point;
use super::text::{CAPITALS_MIDDLE, text_width};
use super::theme::{self, Color};
use crate::Result;
use crate::table::thousands;
use anyhow::ensure;
use plotters::style::text_anchor::HPos;
use std::ops::Range;

/// One axis: its label, range and ticks.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub label: String,
    pub range: Range<f64>,
    /// Positions with their labels.
    pub ticks: Vec<(f64, String)>,
    /// True if grid lines start at the ticks.
    pub grid: bool,
    /// True if labels that are too long to stand side by side are turned; otherwise they are thinned
    /// out.
    pub turns: bool,
    /// True if the axis is logarithmic: equal distances are equal factors.
    pub logarithmic: bool,
}

/// The ends of an axis.
pub(crate) enum Ends {
    /// At the next tick beyond the data.
    Tick,
    /// A little beyond the data, so that the first and last points stand free.
    Margin,
}

impl Axis {
    /// Creates an axis with about `count` ticks at multiples of 1, 2 or 5 × a power of ten; at whole
    /// numbers only if `whole`.
    pub fn numbers(
        label: &str,
        (low, high): (f64, f64),
        count: f64,
        whole: bool,
        ends: Ends,
    ) -> Axis {
        // Widen a range whose ends floating point can hardly tell apart.
        let size = low.abs().max(high.abs());
        let pad = match size {
            _ if high - low > (size * 1e-9).max(1e-90) => 0.0,
            ..1e-90 => 0.5,
            _ if whole => (size * 1e-6).max(0.5),
            _ => size * 0.1,
        };
        let (low, high) = (low - pad, high + pad);
        let raw = (high - low) / count;
        let power = 10f64.powf(raw.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().find(|&step| step >= raw * 0.999).unwrap_or(steps[3]);
        let step = if whole { step.max(1.0) } else { step };
        let range = match ends {
            Ends::Tick => (low / step + 1e-9).floor() * step..(high / step - 1e-9).ceil() * step,
            Ends::Margin => low - 0.04 * (high - low)..high + 0.04 * (high - low),
        };
        let first = (range.start / step - 1e-6).ceil();
        let ticks = (range.end / step + 1e-6).floor() - first + 1.0;
        let tick = |i: usize| (first + i as f64) * step;
        let ticks = (0..ticks as usize).map(|i| (tick(i), write(tick(i), step))).collect();
        Axis {
            label: label.to_string(),
            range,
            ticks,
            grid: true,
            turns: false,
            logarithmic: false,
        }
    }

    /// Creates a logarithmic axis from `low`, above 0, to the power of ten at or above `high`, with
    /// ticks at powers of ten.
    pub fn powers(label: &str, (low, high): (f64, f64)) -> Axis {
        let first = (low.log10() - 1e-9).ceil() as i32;
        let last = ((high.log10() - 1e-9).ceil() as i32).max(first);
        // Powers beyond the numbers' own range, as of the smallest f64, would be 0.
        let power = |exponent: i32| 10f64.powi(exponent).max(f64::MIN_POSITIVE);
        let ticks = (first..=last)
            .map(|exponent| (power(exponent), write(power(exponent), power(exponent))));
        Axis {
            label: label.to_string(),
            range: low..power(last).max(2.0 * low),
            ticks: ticks.collect(),
            grid: true,
            turns: false,
            logarithmic: true,
        }
    }

    /// Creates an axis of categories, each 1 wide with its name in the middle.
    pub fn named(label: &str, names: &[String]) -> Axis {
        let tick = |(place, name): (usize, &String)| (place as f64 + 0.5, name.clone());
        let ticks = names.iter().enumerate().map(tick).collect();
        // A row of numbers can be read with gaps, a row of names cannot.
        let turns = names.iter().any(|name| name.parse::<f64>().is_err());
        Axis {
            label: label.to_string(),
            range: 0.0..names.len() as f64,
            ticks,
            grid: false,
            turns,
            logarithmic: false,
        }
    }

    /// Returns the width that a vertical axis with its labels takes beside the data.
    pub fn beside(&self) -> f64 {
        LEFT + self.widest()
    }

    /// Returns the height that a horizontal axis with its labels takes below data of this width.
    pub fn below(&self, width: f64) -> f64 {
        self.below_with(self.turned(width), self.widest())
    }

    /// Returns the width that a horizontal axis takes at the right of data of this width, for half
    /// of the last label.
    pub fn right(&self, width: f64) -> f64 {
        self.right_with(self.turned(width))
    }

    fn right_with(&self, turned: bool) -> f64 {
        if turned { theme::GAP } else { self.widest() / 2.0 }
    }

    fn below_with(&self, turned: bool, room: f64) -> f64 {
        if turned { 2.0 * X_TICK + room + theme::GAP + theme::TEXT_BAND } else { BELOW }
    }

    /// Returns whether the labels are turned on an axis of this length.
    fn turned(&self, length: f64) -> bool {
        self.turns && self.widest() + theme::GAP > self.distance(length)
    }

    /// Distance between two ticks.
    fn distance(&self, length: f64) -> f64 {
        let apart = match &*self.ticks {
            [first, second, ..] => self.fraction(second.0) - self.fraction(first.0),
            _ => 1.0,
        };
        (apart.abs() * length).max(1.0)
    }

    fn widest(&self) -> f64 {
        self.ticks.iter().map(|(_, text)| text_width(text, theme::TICK)).fold(0.0, f64::max)
    }

    /// Returns the ticks with as many left out evenly as labels `size` long on `length` need.
    fn thinned(&self, size: f64, length: f64) -> Vec<&(f64, String)> {
        let every = (size / self.distance(length)).ceil().max(1.0);
        self.ticks.iter().step_by(every as usize).collect()
    }

    /// Returns the place of a value between the ends of the axis: 0 at its start, 1 at its end.
    fn fraction(&self, value: f64) -> f64 {
        let place = |value: f64| if self.logarithmic { value.log10() } else { value };
        let (start, end) = (place(self.range.start), place(self.range.end));
        (place(value) - start) / (end - start)
    }
}

/// Writes a tick's number with the decimals that its step needs.
fn write(value: f64, step: f64) -> String {
    let value = if value.abs() < step / 2.0 { 0.0 } else { value };
    let decimals = -(step.log10() + 1e-9).floor();
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

/// Height that axes take above the data, for half a label or marker.
pub(crate) const ABOVE: f64 = 0.6 * theme::TICK.size;
/// Height that a horizontal axis takes below the data if its labels are not turned.
const BELOW: f64 = 2.0 * theme::TEXT_BAND + theme::GAP;
/// Width that a vertical axis takes beside the data and its longest label.
const LEFT: f64 = theme::TEXT_BAND + 10.0;
/// Length of the ticks of the vertical and the horizontal axis. Labels are twice as far away.
const Y_TICK: f64 = 3.0;
const X_TICK: f64 = 4.0;

/// The area between axes.
pub(crate) struct Plot<'a> {
    pub part: Part<'a>,
    x: Axis,
    y: Axis,
}

impl Plot<'_> {
    /// Returns the place of a data point on the part.
    pub fn at(&self, (x, y): Point) -> Point {
        let (width, height) = (self.part.width(), self.part.height());
        (self.x.fraction(x) * width, (1.0 - self.y.fraction(y)) * height)
    }

    /// Returns the lowest y value.
    pub fn bottom(&self) -> f64 {
        self.y.range.start
    }

    /// Fills the rectangle between two x and two y values.
    pub fn bar(&self, x: (f64, f64), y: (f64, f64), color: Color) {
        let ((left, bottom), (right, top)) = (self.at((x.0, y.0)), self.at((x.1, y.1)));
        self.part.rect((left, top), right - left, bottom - top, color);
    }
}

/// Draws axes with their labels and light grid lines; returns the area for the data.
pub(crate) fn axes<'a>(part: &Part<'a>, x: Axis, y: Axis) -> Result<Plot<'a>> {
    // Long names take up to this fraction of the part and are written smaller beyond it.
    const LONGEST: f64 = 0.35;
    let y_room = y.widest().min(LONGEST * part.width());
    let left = LEFT + y_room;
    let turned = x.turned(part.width() - left - x.widest() / 2.0);
    let right = x.right_with(turned);
    let width = part.width() - left - right;
    let x_room = if turned { x.widest().min(LONGEST * part.height()) } else { width };
    let below = x.below_with(turned, x_room);
    let height = part.height() - ABOVE - below;
    ensure!(
        width >= 8.0 && height >= 8.0,
        "no room for the data beside the labels; give the figure a larger size"
    );
    let data = part.inset(left, ABOVE, right, below);
    let plot = Plot { part: data, x, y };
    let (x, y) = (&plot.x, &plot.y);

    let x_size = if turned { theme::TICK.size + 2.0 } else { x.widest() + theme::GAP };
    let x_ticks: Vec<(f64, &str)> = x
        .thinned(x_size, width)
        .into_iter()
        .map(|(value, text)| (x.fraction(*value) * width, text.as_str()))
        .collect();
    let y_ticks: Vec<(f64, &str)> = y
        .thinned(theme::TICK.size, height)
        .into_iter()
        .map(|(value, text)| ((1.0 - y.fraction(*value)) * height, text.as_str()))
        .collect();
    for &(at, _) in x_ticks.iter().filter(|_| x.grid) {
        data.line(&[(at, 0.0), (at, height)], 1.0, theme::GRID);
    }
    for &(at, _) in y_ticks.iter().filter(|_| y.grid) {
        data.line(&[(0.0, at), (width, at)], 1.0, theme::GRID);
    }
    data.line(&[(0.0, 0.0), (0.0, height), (width, height)], 1.0, theme::AXIS);

    for (at, text) in x_ticks {
        data.line(&[(at, height), (at, height + X_TICK)], 1.0, theme::AXIS);
        let top = height + 2.0 * X_TICK;
        if turned {
            data.text(text, (at, top), theme::TICK.upward(), HPos::Right, x_room);
        } else {
            // 0.76 em is about the height of the letters with their accents.
            let middle = top + (0.76 - CAPITALS_MIDDLE) * theme::TICK.size;
            data.text(text, (at, middle), theme::TICK, HPos::Center, part.width());
        }
    }
    for (at, text) in y_ticks {
        data.line(&[(-Y_TICK, at), (0.0, at)], 1.0, theme::AXIS);
        data.text(text, (-2.0 * Y_TICK, at), theme::TICK, HPos::Right, y_room);
    }

    let at = (width / 2.0, height + below - theme::TEXT_BAND / 2.0);
    data.text(&x.label, at, theme::LABEL, HPos::Center, width);
    let at = (theme::TEXT_BAND / 2.0 - 3.0 - left, height / 2.0);
    data.text(&y.label, at, theme::LABEL.upward(), HPos::Center, height);
    Ok(plot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_equally_far_apart() {
        let axis = Axis::powers("", (0.5, 1_953.0));
        let labels: Vec<&str> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(labels, ["1", "10", "100", "1000", "10,000"]);
        let at: Vec<f64> = axis.ticks.iter().map(|tick| axis.fraction(tick.0)).collect();
        assert!((at[1] - at[0] - (at[4] - at[3])).abs() < 1e-12);
        assert_eq!((axis.fraction(0.5), at[4]), (0.0, 1.0));
        let percents = Axis::powers("", (0.02, 99.0));
        let labels: Vec<&str> = percents.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(labels, ["0.1", "1", "10", "100"]);
    }

    fn labels(low: f64, high: f64, whole: bool) -> Vec<String> {
        let axis = Axis::numbers("", (low, high), 6.0, whole, Ends::Tick);
        axis.ticks.into_iter().map(|tick| tick.1).collect()
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
        assert_eq!(labels(2e-5, 2e-5, false), ["1.8e−5", "1.9e−5", "2.0e−5", "2.1e−5", "2.2e−5"]);
    }
}
