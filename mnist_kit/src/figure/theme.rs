//! Colors, text sizes and distances of every figure.
//!
//! Color-blind readers can tell the colors of series apart. Every color also comes with a marker, a
//! letter or a word, so that a figure printed in gray says the same. Lengths are pixels at 96 dots
//! per inch.

/// An sRGB color: red, green, blue, each 0–255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

// The palette of Okabe and Ito.

/// Okabe–Ito blue: the first series.
pub const BLUE: Color = Color(0, 114, 178);
/// Okabe–Ito vermillion: wrong, and a wrongly predicted class; the second series.
pub const VERMILLION: Color = Color(213, 94, 0);
/// Okabe–Ito bluish green: correct, and the true class.
pub const BLUISH_GREEN: Color = Color(0, 158, 115);
/// Okabe–Ito reddish purple.
pub const REDDISH_PURPLE: Color = Color(204, 121, 167);
/// Okabe–Ito orange.
pub const ORANGE: Color = Color(230, 159, 0);
/// Okabe–Ito sky blue.
pub const SKY_BLUE: Color = Color(86, 180, 233);
/// Nearly black: text.
pub const INK: Color = Color(34, 34, 34);
/// White: the background.
pub const WHITE: Color = Color(255, 255, 255);

/// Colors of series, in order; the eighth series has the first color again.
pub const SERIES: [Color; 7] =
    [BLUE, VERMILLION, BLUISH_GREEN, REDDISH_PURPLE, ORANGE, SKY_BLUE, INK];

/// The color of series `index`.
pub(crate) fn series(index: usize) -> Color {
    SERIES[index % SERIES.len()]
}

/// Neutral bars and cells.
pub(crate) const PALE_BLUE: Color = Color(173, 207, 232);
pub(crate) const PALE_GREEN: Color = Color(190, 226, 208);
pub(crate) const PALE_ORANGE: Color = Color(249, 221, 171);
pub(crate) const PALE_PURPLE: Color = Color(233, 207, 224);
pub(crate) const PALE_GRAY: Color = Color(238, 238, 238);
pub(crate) const FAINT: Color = Color(184, 184, 184);
pub(crate) const GRID: Color = Color(226, 226, 226);
pub(crate) const AXIS: Color = Color(112, 112, 112);

/// Size (em) and weight of a text.
#[derive(Clone, Copy)]
pub(crate) struct TextStyle {
    pub size: f64,
    pub bold: bool,
    pub color: Color,
    /// True if it is read from bottom to top.
    pub upward: bool,
}

impl TextStyle {
    pub fn color(self, color: Color) -> TextStyle {
        TextStyle { color, ..self }
    }

    pub fn size(self, size: f64) -> TextStyle {
        TextStyle { size, ..self }
    }

    pub fn upward(self) -> TextStyle {
        TextStyle { upward: true, ..self }
    }

    const fn plain(size: f64) -> TextStyle {
        TextStyle { size, bold: false, color: INK, upward: false }
    }

    const fn bold(size: f64) -> TextStyle {
        TextStyle { bold: true, ..TextStyle::plain(size) }
    }
}

pub(crate) const TITLE: TextStyle = TextStyle::bold(16.0);
pub(crate) const PANEL_TITLE: TextStyle = TextStyle::bold(13.0);
pub(crate) const LABEL: TextStyle = TextStyle::plain(12.0);
/// Letters on and above bars.
pub(crate) const MARK: TextStyle = TextStyle::bold(11.0);
/// The note in the lower right corner.
pub(crate) const NOTE: TextStyle = TextStyle { color: AXIS, ..TextStyle::plain(10.0) };
pub(crate) const TICK: TextStyle = TextStyle::plain(11.0);

/// Empty border of a figure.
pub(crate) const MARGIN: f64 = 12.0;
/// Distance between related elements, such as a legend's key and its name.
pub(crate) const GAP: f64 = 6.0;
/// Distance between panels and between images.
pub(crate) const PANEL_GAP: f64 = 24.0;
/// Height of a figure's title.
pub(crate) const TITLE_BAND: f64 = 30.0;
/// Height of a note in the corner.
pub(crate) const NOTE_BAND: f64 = 14.0;
/// Height of a panel's title, an axis label, a row of a legend or a line of a caption.
pub(crate) const TEXT_BAND: f64 = 20.0;

pub(crate) const LINE_WIDTH: f64 = 2.0;
pub(crate) const MARKER_RADIUS: f64 = 4.5;

/// Colors from light to dark. The lightness decreases monotonically, so that gray print keeps the
/// order.
type Ramp = [Color; 6];

/// From nearly white over orange to dark brown, for mistakes.
pub(crate) const WARM: Ramp = [
    Color(255, 250, 240),
    Color(254, 224, 182),
    Color(248, 174, 100),
    Color(225, 120, 40),
    Color(170, 70, 10),
    Color(95, 30, 5),
];

/// Matplotlib's viridis, from dark purple over green to yellow, for amounts on pictures. Its
/// lightness increases evenly.
pub(crate) const VIRIDIS: [Color; 11] = [
    Color(68, 1, 84),
    Color(72, 36, 117),
    Color(65, 68, 135),
    Color(53, 95, 141),
    Color(42, 120, 142),
    Color(33, 145, 140),
    Color(34, 168, 132),
    Color(68, 191, 112),
    Color(122, 209, 81),
    Color(189, 223, 38),
    Color(253, 231, 37),
];

/// From blue (negative) over white (0) to orange (positive), darkening evenly in both directions.
pub(crate) const DIVERGING: [Color; 7] = [
    Color(5, 66, 128),
    Color(45, 125, 190),
    Color(150, 200, 230),
    WHITE,
    Color(250, 200, 140),
    Color(220, 115, 30),
    Color(140, 58, 0),
];

/// Returns the color at a place from 0 (the first color) to 1 (the last one) of a ramp.
pub(crate) fn shade(ramp: &[Color], place: f64) -> Color {
    let place = place.clamp(0.0, 1.0) * (ramp.len() - 1) as f64;
    let index = (place as usize).min(ramp.len() - 2);
    let (from, to) = (ramp[index], ramp[index + 1]);
    let mix = |a: u8, b: u8| {
        (f64::from(a) + (f64::from(b) - f64::from(a)) * (place - index as f64)).round() as u8
    };
    Color(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Returns [`INK`] or [`WHITE`], whichever has more contrast with the background (after WCAG).
pub(crate) fn text_on(background: Color) -> Color {
    let contrast = |text: Color| {
        let (a, b) = (luminance(text) + 0.05, luminance(background) + 0.05);
        a.max(b) / a.min(b)
    };
    if contrast(INK) >= contrast(WHITE) { INK } else { WHITE }
}

fn luminance(Color(red, green, blue): Color) -> f64 {
    let linear = |channel: u8| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_darken_all_the_way_and_text_on_them_is_readable() {
        let shades: Vec<Color> = (0..=50).map(|i| shade(&WARM, f64::from(i) / 50.0)).collect();
        assert!(shades.windows(2).all(|pair| luminance(pair[1]) < luminance(pair[0])));
        for &shade in &shades {
            let (a, b) = (luminance(text_on(shade)) + 0.05, luminance(shade) + 0.05);
            assert!(a.max(b) / a.min(b) >= 3.9, "{shade:?}");
        }
    }

    #[test]
    fn viridis_lightens_and_the_diverging_scale_darkens_away_from_white() {
        let lightness = |ramp: &[Color], place: f64| luminance(shade(ramp, place));
        for i in 0..50 {
            let (near, far) = (f64::from(i) / 100.0, f64::from(i + 1) / 100.0);
            assert!(lightness(&VIRIDIS, 2.0 * far) > lightness(&VIRIDIS, 2.0 * near));
            for side in [-1.0, 1.0] {
                let (near, far) = (0.5 + side * near, 0.5 + side * far);
                assert!(lightness(&DIVERGING, far) < lightness(&DIVERGING, near));
            }
        }
        assert_eq!(shade(&DIVERGING, 0.5), WHITE);
    }
}
