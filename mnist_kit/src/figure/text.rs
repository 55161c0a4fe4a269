//! The fonts of figures: widths, missing letters, and text that fits its room.
//!
//! Text is set in DejaVu Sans. It has no Korean, Chinese or Japanese letters; these come from a font
//! of this machine, see [`cjk`](super::cjk).

use super::cjk;
use super::theme::TextStyle;
use crate::Result;
use ab_glyph::{Font, FontArc, GlyphId};
use anyhow::{anyhow, bail};
use plotters::style::{FontStyle, register_font};
use std::sync::LazyLock;

/// Distance in em from the baseline up to the middle of the capitals.
pub(super) const CAPITALS_MIDDLE: f64 = 0.5 * 1493.0 / 2048.0;

static REGULAR: LazyLock<FontArc> = LazyLock::new(|| parse(dejavu::sans::regular()));
static BOLD: LazyLock<FontArc> = LazyLock::new(|| parse(dejavu::sans::bold()));

fn parse(bytes: &'static [u8]) -> FontArc {
    FontArc::try_from_slice(bytes).expect("the crate dejavu contains valid fonts")
}

fn dejavu(bold: bool) -> &'static FontArc {
    if bold { &BOLD } else { &REGULAR }
}

fn has(font: &FontArc, letter: char) -> bool {
    font.glyph_id(letter).0 != 0
}

/// Returns the font that a letter is drawn with. A letter that neither font has is a box in DejaVu
/// Sans.
fn font_of(letter: char, bold: bool) -> &'static FontArc {
    let main = dejavu(bold);
    if has(main, letter) {
        return main;
    }
    cjk::font(bold).ok().filter(|font| has(font, letter)).unwrap_or(main)
}

/// Returns the CSS font family of a text, with fallbacks for viewers of the SVG form that lack
/// DejaVu Sans.
pub(super) fn family<'a>(texts: impl IntoIterator<Item = &'a str>) -> &'static str {
    let complete = |text: &str| text.chars().all(|letter| has(&REGULAR, letter));
    if texts.into_iter().all(complete) {
        "DejaVu Sans, Verdana, sans-serif"
    } else {
        "DejaVu Sans, Noto Sans CJK KR, Noto Sans KR, Verdana, sans-serif"
    }
}

/// A letter of a text that is laid out.
pub(super) struct Letter {
    pub font: &'static FontArc,
    pub glyph: GlyphId,
    /// Distance from the start of the text, in em.
    pub offset: f64,
}

/// The units of a font's em.
pub(super) fn units_per_em(font: &FontArc) -> f64 {
    f64::from(font.units_per_em().unwrap_or(2048.0))
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

/// Walks through a text: its letters, and the whole width in em.
pub(super) fn layout(text: &str, bold: bool) -> (Vec<Letter>, f64) {
    let mut pen = 0.0;
    let mut letters: Vec<Letter> = Vec::new();
    for letter in text.chars() {
        let font = font_of(letter, bold);
        let (glyph, em) = (font.glyph_id(letter), units_per_em(font));
        if let Some(before) = letters.last().filter(|before| std::ptr::eq(before.font, font)) {
            pen += f64::from(font.kern_unscaled(before.glyph, glyph)) / em;
        }
        letters.push(Letter { font, glyph, offset: pen });
        pen += f64::from(font.h_advance_unscaled(glyph)) / em;
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

/// Checks that there is a font for every letter of a text; a picture would show boxes instead.
pub(super) fn ensure_letters(text: &str, bold: bool) -> Result<()> {
    let lacking: String =
        text.chars().filter(|&letter| !has(font_of(letter, bold), letter)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let remedy = match cjk::font(bold) {
        Err(reason) if lacking.chars().any(cjk::is_likely) => reason,
        _ => "change the text",
    };
    bail!(
        "the fonts of figures have no letters for {lacking:?} in {text:?}; {remedy}, or save as \
         .svg, which is shown with the fonts of its viewer"
    )
}
