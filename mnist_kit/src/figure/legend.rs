//! Legends and panel titles.

use super::part::Part;
use super::text::text_width;
use super::theme::{self, Color};
use crate::Result;
use anyhow::ensure;
use plotters::style::text_anchor::HPos;

/// Writes a panel's title, in lines separated by `\n`, above it; returns the rest of the part.
pub(crate) fn panel_title<'a>(part: &Part<'a>, title: &str, color: Color) -> Part<'a> {
    const NEXT_LINE: f64 = 17.0;
    let more = title.lines().count().saturating_sub(1) as f64 * NEXT_LINE;
    let (band, rest) = part.cut_top(theme::TEXT_BAND + more + theme::GAP);
    for (i, line) in title.lines().enumerate() {
        let at = (band.width() / 2.0, theme::TEXT_BAND / 2.0 + i as f64 * NEXT_LINE);
        band.text(line, at, theme::PANEL_TITLE.color(color), HPos::Center, band.width());
    }
    rest
}

/// Writes a panel's title, if there is one; returns the rest of the part.
pub(crate) fn titled<'a>(part: &Part<'a>, title: Option<&str>) -> Part<'a> {
    title.map_or(*part, |title| panel_title(part, title, theme::INK))
}

/// The sign in front of an entry of a legend.
pub(crate) enum Key {
    /// Line and marker of a series, which is drawn over this many others that it would hide.
    Series { index: usize, over: usize },
    /// The sign of points that lie below the axis.
    Below,
    /// A box with a letter in it.
    Box(Color, &'static str),
}

/// Draws the line of a series: solid, or with gaps where it lies `over` other series, so that these
/// show through.
pub(crate) fn series_line(part: &Part, points: &[(f64, f64)], index: usize, over: usize) {
    const DASH: f64 = 7.0;
    let color = theme::series(index);
    if over == 0 {
        part.line(points, theme::LINE_WIDTH, color);
    } else {
        let period = DASH * (1.0 + over as f64);
        part.dashes(points, (DASH, period), theme::LINE_WIDTH, color);
    }
}

/// Returns the fraction of their usual size at which markers leave those of `over` other series
/// below them visible.
pub(crate) fn marker_scale(over: usize) -> f64 {
    0.55f64.powi(over.min(3) as i32)
}

/// Draws a legend in rows above the data, so that it never covers any; returns the rest of the
/// part.
pub(crate) fn legend<'a>(part: &Part<'a>, entries: &[(Key, String)]) -> Result<Part<'a>> {
    const KEY: f64 = 26.0;
    const BETWEEN: f64 = 16.0;
    let width = |name: &str| (KEY + theme::GAP + text_width(name, theme::TICK)).min(part.width());
    let widths: Vec<f64> = entries.iter().map(|(_, name)| width(name)).collect();
    // The width of each row and its entries.
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
                Key::Series { index, over } => {
                    series_line(part, &[(x, y), (x + KEY, y)], index, over);
                    part.marker(index, (middle, y), marker_scale(over));
                }
                Key::Below => part.arrow_down((middle, y), theme::AXIS),
                Key::Box(color, letter) => {
                    part.rect((middle - 9.0, y - 8.0), 18.0, 16.0, color);
                    let style = theme::MARK.color(theme::text_on(color));
                    part.text(letter, (middle, y), style, HPos::Center, KEY);
                }
            }
            let room = width - KEY - theme::GAP;
            part.text(name, (x + KEY + theme::GAP, y), theme::TICK, HPos::Left, room);
            x += width + BETWEEN;
        }
    }
    Ok(part.cut_top(height).1)
}
