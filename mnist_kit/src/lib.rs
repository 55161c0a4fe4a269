//! Learn and teach deep learning on MNIST in Rust.
//!
//! Data flows one way. Each module imports only from those above it in this table:
//!
//! | module | content |
//! |---|---|
//! | [`table`] | tables that show themselves, numbers as text |
//! | [`transform`] | batched transforms: pixels in, model input out |
//! | [`data`] | MNIST and its relatives from a folder, the cache or a mirror; batches |
//! | [`model`] | layers that start as PyTorch's do, models, summaries, predictions |
//! | [`weights`] | weights in and out under PyTorch's names |
//! | [`train`] | losses, optimizers, schedules, the training loop and its history |
//! | [`eval`] | metrics, confusion matrix, calibration, Grad-CAM |
//! | [`infer`] | a picture of a digit from anywhere, in the form of MNIST's |
//! | [`figure`] | the drawing surface: a [`Figure`](figure::Figure) with its SVG and PNG forms |
//! | [`plot`] | ready-made plots |
//! | [`pad`] | a pad in the notebook to draw digits on, read by a model in the page |

mod check;
pub mod data;
mod display;
pub mod eval;
pub mod figure;
mod files;
pub mod infer;
pub mod model;
pub mod pad;
pub mod plot;
pub mod prelude;
mod runtime;
pub mod table;
pub mod train;
pub mod transform;
pub mod weights;

pub use anyhow::Result;
pub use display::NotebookDisplay;
pub use files::{output_path, write_whole};
pub use runtime::{Interrupted, ProgressBar, environment, init, machine_table, stop_requested};
/// The versions that the kit is built on, for what it does not wrap.
pub use {anyhow, image, plotters, tch};

/// Compiles the README's example with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
