//! Figures that are replaced in place while a cell runs.

use super::Figure;
use crate::runtime::channel;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Shows a figure and returns a handle whose [`update`](LiveFigure::update) replaces it in place.
///
/// ```
/// use mnist_kit::figure::live;
/// use mnist_kit::plot::Lines;
///
/// let loss = |points: &[(f64, f64)]| Lines::new("Epoch", "Loss").series("train", points.to_vec());
/// let mut points = vec![(1.0, 0.35)];
/// let mut figure = live(&loss(&points).plot()?);
/// for epoch in 2..4 {
///     points.push((epoch as f64, 0.35 / epoch as f64));
///     figure.update(&loss(&points).plot()?);
/// }
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn live(figure: &Figure) -> LiveFigure {
    let mut live = LiveFigure::new();
    live.update(figure);
    live
}

/// A figure that is replaced in place while a cell runs. Made by [`live`].
///
/// In the project's kernel each update is drawn and shown at once, which takes too long for every
/// batch: update once an epoch, or a few times a second at most. Under plain evcxr, which shows results
/// only, the last figure is shown when the handle is dropped, or when it ends a cell. In a program
/// nothing is shown.
#[derive(Debug)]
pub struct LiveFigure {
    id: String,
    /// The last figure, where it has not been shown yet.
    waiting: Option<Figure>,
}

impl Default for LiveFigure {
    fn default() -> LiveFigure {
        LiveFigure::new()
    }
}

impl LiveFigure {
    /// Makes a handle that shows nothing before its first update.
    pub fn new() -> LiveFigure {
        LiveFigure { id: channel::new_id(), waiting: None }
    }

    /// Replaces the figure.
    pub fn update(&mut self, figure: &Figure) {
        if !channel::is_live() {
            self.waiting = Some(figure.clone());
            return;
        }
        let data = bundle(figure);
        channel::send_in_order(&json!({
            "event": "live",
            "id": self.id,
            "kind": "figure",
            "text": data["text/plain"],
            "data": data,
        }));
    }

    /// Shows the last figure under plain evcxr, which calls this for the last value of a cell.
    pub fn evcxr_display(&self) {
        if let Some(figure) = &self.waiting {
            figure.evcxr_display();
        }
    }
}

impl Drop for LiveFigure {
    fn drop(&mut self) {
        if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
            self.evcxr_display();
        }
    }
}

/// The figure in each form that notebooks show.
fn bundle(figure: &Figure) -> Map<String, Value> {
    let mut data = Map::new();
    let mut text = figure.title.clone().unwrap_or_else(|| "figure".to_string());
    match figure.to_svg() {
        Ok(svg) => drop(data.insert("image/svg+xml".to_string(), svg.into())),
        Err(error) => drop(write!(text, "; cannot draw it as SVG: {error:#}")),
    }
    match figure.to_png() {
        Ok(png) => drop(data.insert("image/png".to_string(), base64(&png).into())),
        Err(error) => drop(write!(text, "; cannot draw it as PNG: {error:#}")),
    }
    data.insert("text/plain".to_string(), text.into());
    data
}

/// Encodes bytes as base64 (RFC 4648, with padding).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { letter.into() });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_figure_comes_in_every_form() {
        let figure = crate::plot::Lines::new("Epoch", "Loss").series("train", [(1.0, 0.5)]);
        let data = bundle(&figure.plot().unwrap().title("Loss"));
        assert_eq!(data["text/plain"], "Loss");
        assert!(data["image/svg+xml"].as_str().unwrap().starts_with("<svg"));
        assert!(data["image/png"].as_str().unwrap().starts_with("iVBORw0KGgo"));
        let data = bundle(&figure_that_cannot_be_drawn());
        assert!(data["text/plain"].as_str().unwrap().contains("cannot draw it as SVG"));
    }

    fn figure_that_cannot_be_drawn() -> Figure {
        Figure::new(1.0, 1.0, |_| Ok(()))
    }
}
