//! Figures that are replaced in place while a cell runs.

use super::Figure;
use crate::runtime::channel;
use base64::prelude::{BASE64_STANDARD, Engine};
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
        Ok(png) => drop(data.insert("image/png".to_string(), BASE64_STANDARD.encode(png).into())),
        Err(error) => drop(write!(text, "; cannot draw it as PNG: {error:#}")),
    }
    data.insert("text/plain".to_string(), text.into());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

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
