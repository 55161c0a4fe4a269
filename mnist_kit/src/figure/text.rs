//! The font of figures, DejaVu Sans: widths, missing letters, and text that fits its room.

use super::theme::TextStyle;
use crate::Result;
use ab_glyph::{Font, FontRef};
use anyhow::{anyhow, ensure};
use plotters::style::{FontStyle, register_font};
use std::sync::LazyLock;

/// The CSS font family, with fallbacks for viewers of the SVG form that lack DejaVu Sans.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Distance in em from the baseline up to the middle of the capitals.
pub(super) const CAPITALS_MIDDLE: f64 = 0.5 * 1493.0 / 2048.0;

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| parse(dejavu::sans::regular()));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| parse(dejavu::sans::bold()));

fn parse(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the crate dejavu contains valid fonts")
}

pub(super) fn face(bold: bool) -> &'static FontRef<'static> {
    if bold { &BOLD } else { &REGULAR }
}

/// Makes the font known to plotters under the family names that its users write.
///
/// Needed before every drawing with plotters, since each cell of a notebook has its own copy of
/// plotters' statics.
pub(super) fn register_fonts() -> Result<()> {
    let families = [
        "sans-serif",
        "serif",
        "monospace",
        "DejaVu Sans",
        "Arial",
        "Calibri",
        "Courier New",
        "Helvetica",
        "Times New Roman",
        "Verdana",
    ];
    for family in families {
        for (style, bytes) in
            [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())]
        {
            register_font(family, style, bytes)
                .map_err(|_| anyhow!("plotters cannot read the font DejaVu Sans"))?;
        }
    }
    Ok(())
}

/// Walks through a text: each letter with its offset from the start, and the whole width, in em.
pub(super) fn layout(text: &str, bold: bool) -> (Vec<(char, f64)>, f64) {
    let face = face(bold);
    let em = f64::from(face.units_per_em().unwrap_or(2048.0));
    let mut pen = 0.0;
    let mut before = None;
    let mut letters = Vec::new();
    for letter in text.chars() {
        let glyph = face.glyph_id(letter);
        pen += before.map_or(0.0, |before| f64::from(face.kern_unscaled(before, glyph)) / em);
        letters.push((letter, pen));
        pen += f64::from(face.h_advance_unscaled(glyph)) / em;
        before = Some(glyph);
    }
    (letters, pen)
}

/// The width of a text in pixels.
pub(crate) fn text_width(text: &str, style: TextStyle) -> f64 {
    layout(text, style.bold).1 * style.size
}

/// Makes a text fit into `room` pixels: reduces its size to 65 % at most, then cuts its end.
pub(super) fn fit(text: &str, style: TextStyle, room: f64) -> (String, TextStyle) {
    const SMALLEST: f64 = 0.65;
    let mut text = printable(text);
    let wanted = text_width(&text, style).max(1e-9);
    let style = style.size(style.size * (room / wanted).clamp(SMALLEST, 1.0));
    if text_width(&text, style) > room + 0.1 {
        while text.pop().is_some() && text_width(&format!("{text}…"), style) > room {}
        text.push_str(if text.is_empty() { "" } else { "…" });
    }
    (text, style)
}

/// Replaces characters that an SVG document must not contain by spaces.
pub(super) fn printable(text: &str) -> String {
    let unfit = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    text.chars().map(|c| if unfit(c) { ' ' } else { c }).collect()
}

/// Checks that the font has every letter of a text; a bitmap would show boxes instead.
pub(super) fn ensure_letters(text: &str, bold: bool) -> Result<()> {
    let face = face(bold);
    let lacking: String = text.chars().filter(|&letter| face.glyph_id(letter).0 == 0).collect();
    ensure!(
        lacking.is_empty(),
        "the font of figures (DejaVu Sans) has no letters for {lacking:?} in {text:?}; \
         change the text, or save as .svg, which is shown with the fonts of its viewer"
    );
    Ok(())
}
