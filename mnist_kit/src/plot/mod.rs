//! Plots, each a [`Figure`] that shows itself in a notebook and saves as SVG or PNG.
//!
//! | plot | made by |
//! |---|---|
//! | images in rows and columns | [`grid`], [`grid_of`] |
//! | images with true and predicted class | [`predictions`] |
//! | loss and accuracy by epoch | [`History::plot`](crate::train::History::plot) |
//! | any named series, compared | [`Lines`] |
//! | what a model believes about one image | [`confidence`] |
//! | named series of bars, images by class | [`Bars`], [`ClassCounts::plot`](crate::data::ClassCounts::plot) |
//! | confidence against accuracy | [`Reliability::plot`](crate::eval::Reliability::plot), [`confidence_histogram`] |
//! | mistakes by class | [`ConfusionMatrix::plot`](crate::eval::ConfusionMatrix::plot), [`plot_normalized`](crate::eval::ConfusionMatrix::plot_normalized) |
//!
//! The letters come from a font inside the crate, so a bare machine draws the same picture. Colours and sizes stand in
//! [`theme`]; they are told apart by colour-blind readers, and every colour comes with a marker, a letter or a word,
//! so that a figure printed in grey says the same.
//!
//! ```
//! use mnist_kit::plot::Lines;
//!
//! let figure = Lines::new("Epoch", "Test accuracy (%)")
//!     .series("CNN", [(1.0, 97.4), (2.0, 98.3), (3.0, 98.7)])
//!     .series("Deeper CNN", [(1.0, 96.9), (2.0, 98.0), (3.0, 98.4)])
//!     .plot()?
//!     .title("Deeper is not better by itself")
//!     .size(600, 360);
//! assert!(figure.to_svg()?.contains("Deeper CNN"));
//! # Ok::<(), anyhow::Error>(())
//! ```

mod axes;
mod bars;
mod confidence;
mod confusion;
mod figure;
mod grid;
mod history;
mod lines;
mod part;
mod pixels;
mod reliability;
pub mod theme;

pub use bars::Bars;
pub use confidence::confidence;
pub use figure::Figure;
pub use grid::{GridItem, grid, grid_of, predictions};
pub use lines::Lines;
pub use reliability::confidence_histogram;
