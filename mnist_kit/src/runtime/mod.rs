//! What a process needs before its first tensor.

pub(crate) mod cuda;
mod environment;
mod memory;
pub(crate) mod panic;
pub(crate) mod vector_math;

pub use environment::{environment, machine_table};

use std::sync::Once;
use tch::Device;

/// Prepares the process for work with libtorch, and returns the device to work on: the first GPU, or else the CPU.
///
/// Call it first; calling it again does nothing new.
///
/// - Loads libtorch's CUDA half where the installation has one. The linker leaves it out of every program, because
///   nothing refers to it by name, and without it [`tch::Cuda::is_available`] says no on a machine with a GPU.
/// - On Linux, lets the allocator keep freed memory (up to 2 GB) for the next tensor.
/// - Lets libtorch's vector functions choose their code on one thread, so that a seeded run repeats to the last bit.
/// - Inside a notebook, shortens the message of a panic to what happened and which line of the cell it was.
///
/// ```
/// let device = mnist_kit::init();
/// println!("{device:?}");
/// ```
pub fn init() -> Device {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        cuda::preload();
        memory::keep_freed();
        vector_math::settle();
        panic::install();
    });
    Device::cuda_if_available()
}
