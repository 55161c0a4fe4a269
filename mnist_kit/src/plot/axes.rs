//! What plots with axes share: round ticks, the axes, legends and panel titles.

use super::part::{Backend, Part, text_width};
use super::theme::{self, Color};
use crate::Result;
use crate::table::thousands;
use anyhow::ensure;
use plotters::chart::LabelAreaPosition;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;
use std::ops::Range;

/// One axis: its label, its range, its ticks with how they are written, and whether lines run from them.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub label: String,
    pub range: Range<f64>,
    pub ticks: Vec<(f64, String)>,
    pub grid: bool,
}

/// What an axis does beyond the data.
pub(super) enum Ends {
    /// Goes on to the next tick.
    Tick,
    /// Goes on for a little, so that the first and last points stand free.
    Margin,
}

impl Axis {
    /// An axis with ticks at multiples of 1, 2 or 5 × a power of ten, about `count` of them, whole numbers only if `whole`.
    pub fn numbers(
        label: &str,
        (low, high): (f64, f64),
        count: f64,
        whole: bool,
        ends: Ends,
    ) -> Axis {
        // A range too narrow for floating point to tell its ends apart is widened.
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
        Axis { label: label.to_string(), range, ticks, grid: true }
    }

    /// An axis of `count` classes, each one wide and written in its middle.
    pub fn classes(label: &str, count: usize) -> Axis {
        let names: Vec<String> = (0..count).map(|class| class.to_string()).collect();
        Axis::named(label, &names)
    }

    /// An axis of categories, each one wide and named in its middle.
    pub fn named(label: &str, names: &[String]) -> Axis {
        let tick = |(place, name): (usize, &String)| (place as f64 + 0.5, name.clone());
        let ticks = names.iter().enumerate().map(tick).collect();
        Axis { label: label.to_string(), range: 0.0..names.len() as f64, ticks, grid: false }
    }

    fn widest(&self) -> Result<f64> {
        let widths = self.ticks.iter().map(|(_, text)| text_width(text, theme::TICK));
        widths.reduce(|a, b| Ok(a?.max(b?))).unwrap_or(Ok(0.0))
    }

    /// The same with as many ticks left out evenly as needed for labels `size` long on `length`.
    fn thinned(&self, size: f64, length: f64) -> Axis {
        let apart = match &*self.ticks {
            [first, second, ..] => (second.0 - first.0) / (self.range.end - self.range.start),
            _ => 1.0,
        };
        let every = (size / (apart.abs() * length).max(1.0)).ceil().max(1.0);
        let ticks = self.ticks.iter().step_by(every as usize).cloned().collect();
        Axis { ticks, ..self.clone() }
    }
}

/// A tick's number with the decimals that its step needs.
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

impl Ranged for Axis {
    type ValueType = f64;
    type FormatOption = NoDefaultFormatting;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let places = || self.ticks.iter().map(|&(place, _)| place).collect();
        if hint.weight().allow_light_points() { Vec::new() } else { places() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| place == value);
        tick.map(|(_, text)| text.clone()).unwrap_or_default()
    }
}

pub(super) type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;

/// Room that axes take above the data (for half a label or marker), below it, and at the left beside the longest tick.
pub(super) const ABOVE: f64 = 0.6 * theme::TICK.size;
pub(super) const BELOW: f64 = 2.0 * theme::TEXT_BAND + theme::GAP;
pub(super) const LEFT: f64 = theme::TEXT_BAND + 10.0;

/// Draws axes with their labels and light grid lines. Returned are the chart, and its data's area as a part.
pub(super) fn axes<'a, DB: Backend>(
    part: &Part<DB>,
    x: &Axis,
    y: &Axis,
) -> Result<(Chart<'a, DB>, Part<DB>)> {
    let (left, right) = (LEFT + y.widest()?, x.widest()? / 2.0);
    let (width, height) = (part.width() - left - right, part.height() - ABOVE - BELOW);
    ensure!(
        width >= 8.0 && height >= 8.0,
        "no room for the data beside the labels; give the figure a larger size"
    );
    let scale = part.scale;
    let mut chart = ChartBuilder::on(&part.area)
        .margin_top(scale.units(ABOVE))
        .margin_right(scale.units(right))
        .x_label_area_size(scale.units(BELOW))
        .y_label_area_size(scale.units(left))
        .build_cartesian_2d(
            x.thinned(x.widest()? + theme::GAP, width),
            y.thinned(theme::TICK.size, height),
        )?;
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(theme::GRID.rgb().stroke_width(scale.stroke(1.0)))
        .light_line_style(TRANSPARENT)
        .axis_style(theme::AXIS.rgb().stroke_width(scale.stroke(1.0)))
        .label_style(part.style(theme::TICK))
        .x_label_offset(scale.units(scale.bearing() * theme::TICK.size))
        .y_label_offset(scale.units(scale.drop() * theme::TICK.size))
        // Labels stand at twice the length of the ticks.
        .set_tick_mark_size(LabelAreaPosition::Left, scale.units(3.0))
        .set_tick_mark_size(LabelAreaPosition::Bottom, scale.units(scale.tick()));
    if !x.grid {
        mesh.disable_x_mesh();
    }
    if !y.grid {
        mesh.disable_y_mesh();
    }
    mesh.draw()?;
    let at = (left + width / 2.0, part.height() - theme::TEXT_BAND / 2.0);
    part.text(&x.label, at, theme::LABEL, HPos::Center, width)?;
    let at = (theme::TEXT_BAND / 2.0 - 3.0, ABOVE + height / 2.0);
    part.text(&y.label, at, theme::LABEL.upward(), HPos::Center, height)?;
    let data = Part { area: chart.plotting_area().strip_coord_spec(), scale };
    Ok((chart, data))
}

/// Writes a panel's title above it; the rest is returned.
pub(super) fn panel_title<DB: Backend>(
    part: &Part<DB>,
    title: &str,
    color: Color,
) -> Result<Part<DB>> {
    let (band, rest) = part.cut_top(theme::TEXT_BAND + theme::GAP);
    let at = (band.width() / 2.0, theme::TEXT_BAND / 2.0);
    band.text(title, at, theme::PANEL_TITLE.color(color), HPos::Center, band.width())?;
    Ok(rest)
}

/// [`panel_title`] where there is a title; else all of the part.
pub(super) fn titled<DB: Backend>(part: &Part<DB>, title: Option<&str>) -> Result<Part<DB>> {
    match title {
        Some(title) => panel_title(part, title, theme::INK),
        None => Ok(part.cut_top(0.0).1),
    }
}

/// What stands before an entry of a legend.
pub(super) enum Key {
    /// Line and marker of the series of this number.
    Series(usize),
    /// A box with a letter in it.
    Box(Color, &'static str),
}

/// Draws a legend in rows above the data, so that it never covers any; the rest is returned.
pub(super) fn legend<DB: Backend>(part: &Part<DB>, entries: &[(Key, String)]) -> Result<Part<DB>> {
    const KEY: f64 = 26.0;
    const BETWEEN: f64 = 16.0;
    let width =
        |name: &str| Ok((KEY + theme::GAP + text_width(name, theme::TICK)?).min(part.width()));
    let widths = entries.iter().map(|(_, name)| width(name)).collect::<Result<Vec<f64>>>()?;
    // How wide each row is, and which entries it has.
    let mut rows: Vec<(f64, Vec<usize>)> = Vec::new();
    for (entry, &width) in widths.iter().enumerate() {
        match rows.last_mut() {
            Some((used, row)) if *used + BETWEEN + width <= part.width() => {
                *used += BETWEEN + width;
                row.push(entry);
            }
            _ => rows.push((width, vec![entry])),
        }
    }
    let height = rows.len() as f64 * theme::TEXT_BAND + theme::GAP;
    ensure!(height < part.height(), "no room for the legend; give the figure a larger size");
    for (i, (used, row)) in rows.into_iter().enumerate() {
        let mut x = (part.width() - used) / 2.0;
        let y = (i as f64 + 0.5) * theme::TEXT_BAND;
        for entry in row {
            let ((key, name), width) = (&entries[entry], widths[entry]);
            let middle = x + KEY / 2.0;
            match *key {
                Key::Series(index) => {
                    let color = theme::series(index);
                    part.line(&[(x, y), (x + KEY, y)], theme::LINE_WIDTH, color)?;
                    part.marker(index, (part.scale.units(middle), part.scale.units(y)))?;
                }
                Key::Box(color, letter) => {
                    part.rect((middle - 9.0, y - 8.0), 18.0, 16.0, color)?;
                    let style = theme::MARK.color(theme::text_on(color));
                    part.text(letter, (middle, y), style, HPos::Center, KEY)?;
                }
            }
            let room = width - KEY - theme::GAP;
            part.text(name, (x + KEY + theme::GAP, y), theme::TICK, HPos::Left, room)?;
            x += width + BETWEEN;
        }
    }
    Ok(part.cut_top(height).1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
