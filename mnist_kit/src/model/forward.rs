//! The forward pass of any model, with errors in place of panics.

use crate::Result;
use crate::check::{describe, without_trace};
use crate::runtime::panic::caught;
use anyhow::anyhow;
use tch::{Device, Kind, Tensor, nn};

/// Runs a model's forward pass and returns what goes wrong in it as an error.
///
/// tch's `forward_t` cannot return an error: an input of the wrong shape makes it panic. This
/// function turns the panic into an error that names dtype, shape and device of `images`, and
/// prints nothing. It works for every module, your own included.
///
/// `train` is handed on to the model; it switches on dropout, for example.
///
/// ```
/// use mnist_kit::model::{LeNet, try_forward};
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = LeNet::new(vs.root());
/// let digit = Tensor::zeros([1, 1, 28, 28], (Kind::Float, Device::Cpu));
/// assert_eq!(try_forward(&model, &digit, false)?.size(), [1, 10]);
///
/// let error = try_forward(&model, &digit.squeeze(), false).unwrap_err();
/// assert!(format!("{error:#}").contains("[28, 28], expected [N, 1, 28, 28]"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn try_forward(
    model: &(impl nn::ModuleT + ?Sized),
    images: &Tensor,
    train: bool,
) -> Result<Tensor> {
    let gradients = gradients_enabled();
    caught(|| model.forward_t(images, train)).map_err(|message| {
        // A panic inside `tch::no_grad` or `tch::with_grad` leaves the mode as they set it.
        set_gradients_enabled(gradients);
        anyhow!(without_trace(&message))
            .context(format!("the model cannot process a batch of {}", describe(images)))
    })
}

/// Returns whether autograd records operations; tch has no function that tells.
fn gradients_enabled() -> bool {
    let probe = Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    (probe + 1.0).requires_grad()
}

fn set_gradients_enabled(enabled: bool) {
    if enabled {
        // The guard remembers the mode at its creation and restores it when it is dropped.
        drop(tch::with_grad(tch::no_grad_guard));
    } else {
        std::mem::forget(tch::no_grad_guard());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_the_gradient_mode_as_it_was() {
        let panicking = nn::func(|x| tch::no_grad(|| x.matmul(&x.unsqueeze(0).unsqueeze(0))));
        let images = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        assert!(try_forward(&panicking, &images, true).is_err());
        assert!(gradients_enabled());
        let _no_grad = tch::no_grad_guard();
        let panicking = nn::func(|_| tch::with_grad(|| panic!("no")));
        assert!(try_forward(&panicking, &images, true).is_err());
        assert!(!gradients_enabled());
    }
}
