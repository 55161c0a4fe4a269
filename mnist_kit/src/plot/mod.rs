//! Ready-made plots, each a [`Figure`](crate::figure::Figure) that shows itself in a notebook and
//! saves as SVG or PNG.
//!
//! | plot | made by |
//! |---|---|
//! | images in rows and columns | [`image_grid`], [`item_grid`] |
//! | images with true and predicted class | [`prediction_grid`], with the confidence [`confidence_grid`] |
//! | an image beside its augmentations | [`augmentation_grid`] |
//! | kernels of a convolution | [`kernel_grid`], before and after training [`kernel_grids`] |
//! | Grad-CAM maps over images | [`grad_cam_grid`] |
//! | loss and accuracy by epoch | [`History::plot`](crate::train::History::plot), which grows during [`fit`](crate::train::fit) in a notebook with live output |
//! | named series of points | [`Lines`] |
//! | class probabilities of one image | [`Prediction::plot`](crate::eval::Prediction::plot) |
//! | a network's layers with their shapes | [`network_diagram`] |
//! | named series of bars | [`Bars`] |
//! | images per class | [`ClassCounts::plot`](crate::data::ClassCounts::plot), as fractions [`class_balance`] |
//! | confidence against accuracy | [`Reliability::plot`](crate::eval::Reliability::plot), [`confidence_histogram`] |
//! | mistakes by class | [`ConfusionMatrix::plot`](crate::eval::ConfusionMatrix::plot), [`plot_normalized`](crate::eval::ConfusionMatrix::plot_normalized), [`confusion_pair`] |
//!
//! For other kinds of plots, draw with plotters: see [`Figure::draw`](crate::figure::Figure::draw).
//!
//! ```
//! use mnist_kit::plot::Lines;
//!
//! let figure = Lines::new("Epoch", "Test accuracy (%)")
//!     .series("CNN", [(1.0, 97.4), (2.0, 98.3), (3.0, 98.7)])
//!     .series("Deeper CNN", [(1.0, 96.9), (2.0, 98.0), (3.0, 98.4)])
//!     .plot()?
//!     .title("A deeper network is not always better")
//!     .size(600, 360);
//! assert!(figure.to_svg()?.contains("Deeper CNN"));
//! # Ok::<(), anyhow::Error>(())
//! ```

mod augmentations;
mod bars;
mod confidence;
mod confusion;
mod diagram;
mod fit;
mod grad_cam;
mod grid;
mod history;
mod item;
mod kernels;
mod lines;
mod reliability;

pub use augmentations::augmentation_grid;
pub use bars::{Bars, class_balance};
pub use confusion::confusion_pair;
pub use diagram::network_diagram;
pub use grad_cam::grad_cam_grid;
pub use grid::{confidence_grid, image_grid, item_grid, prediction_grid};
pub use item::GridItem;
pub use kernels::{kernel_grid, kernel_grids};
pub use lines::Lines;
pub use reliability::confidence_histogram;
