//! Models: what they accept, and what the functions that run them return and refuse.

mod backbone;
#[path = "../common/mod.rs"]
mod common;
mod ensemble;
mod errors;
mod layers;
mod mlp;
mod structure;
