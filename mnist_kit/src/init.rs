use std::sync::Once;

/// Prepares the process for work with libtorch. Call it first; calling it again does nothing.
///
/// - Loads libtorch's CUDA half where the installation has one. The linker leaves it out of every program, because
///   nothing refers to it by name, and without it [`tch::Cuda::is_available`] says no on a machine with a GPU.
/// - Inside a notebook, shortens the message of a panic to what happened and which line of the cell it was.
///
/// ```
/// mnist_kit::init();
/// println!("CUDA: {}", tch::Cuda::is_available());
/// ```
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        crate::cuda::preload();
        crate::kernel::install();
    });
}
