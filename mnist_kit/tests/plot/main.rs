//! Figures and every kind of plot: what they say, in which colors, and that nothing is clipped.

mod charts;
#[path = "../common/mod.rs"]
mod common;
mod diagram;
mod draw;
mod figure;
mod grids;
mod notebook;
mod pad;
mod pdf;
mod samples;
