//! oneMKL's vector functions, which libtorch uses for square roots, exponentials and others.

use std::sync::Once;
use tch::{Device, Kind, Tensor};

/// Calls each function once, on one number and thus on one thread.
///
/// oneMKL selects a function's code at its first call. If that call runs on several threads at once,
/// one of them may take code of lower accuracy for its part. On a busy machine, rarely, the first
/// step of Adam then differs from the same step a moment later, and a seeded run does not repeat
/// (<https://github.com/pytorch/pytorch/issues/188792>).
pub(crate) fn settle() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for kind in [Kind::Float, Kind::Double] {
            let one = Tensor::ones([1], (kind, Device::Cpu));
            for function in [
                Tensor::sqrt,
                Tensor::exp,
                Tensor::log,
                Tensor::log2,
                Tensor::log10,
                Tensor::sin,
                Tensor::cos,
                Tensor::tan,
                Tensor::asin,
                Tensor::acos,
                Tensor::atan,
                Tensor::tanh,
                Tensor::erf,
                Tensor::erfc,
                Tensor::erfinv,
                Tensor::trunc,
            ] {
                let _ = function(&one);
            }
        }
    });
}
