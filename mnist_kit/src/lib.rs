//! Learn and teach deep learning on MNIST in Rust.
//!
//! Data flows one way, and the modules stand in that order; each imports only from those above it:
//!
//! | module | what it gives |
//! |---|---|
//! | [`transform`] | a batch of pixels → a batch the model can use |
//! | [`data`] | MNIST and its like, from a folder, the cache, a mirror, or drawn on the spot |
//! | [`model`] | layers initialised as PyTorch's, models, summaries, weights in and out |
//! | [`train`] | optimisers, the fit loop, the history of a run |
//! | [`eval`] | predictions, confusion matrix, accuracies, samples right and wrong |
//! | [`plot`] | one [`Figure`](plot::Figure) type, shown in a notebook or saved as SVG or PNG |

mod cuda;
pub mod data;
mod environment;
pub mod eval;
mod files;
mod init;
mod kernel;
mod memory;
pub mod model;
pub mod plot;
pub mod prelude;
pub mod table;
pub mod train;
pub mod transform;
mod vector_math;

pub use anyhow::Result;
pub use environment::{environment, machine};
pub use files::{output, write_whole};
pub use init::init;
/// The version of tch that the kit is built on, for what the kit does not wrap.
pub use tch;

/// Compiles the README's example with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
