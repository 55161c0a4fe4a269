//! The relay of a kernel: the test binary plays evcxr's child process, and the test its companion.
#![cfg(target_os = "linux")]

mod cell;
mod kernel;
mod live;
mod relay;
mod training;
