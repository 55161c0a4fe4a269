//! Process set-up for libtorch, in programs and in notebooks.

pub(crate) mod channel;
pub(crate) mod cuda;
#[cfg(target_os = "linux")]
mod descriptors;
mod environment;
#[cfg(target_os = "linux")]
mod flusher;
mod lines;
mod memory;
pub(crate) mod panic;
mod progress_bar;
#[cfg(target_os = "linux")]
mod relay;
pub(crate) mod stop;
pub(crate) mod vector_math;

pub use environment::{environment, machine_table};
pub use progress_bar::ProgressBar;
pub use stop::{Interrupted, stop_requested};

use std::sync::Once;
use tch::Device;

/// Prepares the process for libtorch, and returns the device to work on: the first GPU, or the CPU.
///
/// Call it before the first tensor. Later calls only return the device.
///
/// - Loads libtorch's CUDA library if the installation has one and the machine has NVIDIA's driver.
///   The linker leaves the library out of every program, because nothing refers to it by name, and
///   without it [`tch::Cuda::is_available`] returns `false` on a machine with a GPU.
/// - On Linux, lets the allocator keep freed memory (up to 2 GB) for the next tensor.
/// - Makes oneMKL select the code of its vector functions on one thread, so that seeded runs repeat
///   to the last bit.
/// - In a notebook, shortens panic messages to the message and the line of the cell.
/// - In the project's kernel (Linux), connects to the companion that shows live output.
///
/// ```
/// let device = mnist_kit::init();
/// println!("{device:?}");
/// ```
pub fn init() -> Device {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_os = "linux")]
        relay::install();
        cuda::preload();
        memory::keep_freed();
        vector_math::settle();
        panic::install();
    });
    Device::cuda_if_available()
}
