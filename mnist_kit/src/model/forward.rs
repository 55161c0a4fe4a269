//! The forward pass of any model, with errors in place of panics.

use crate::Result;
use crate::check::{describe, without_trace};
use crate::runtime::panic::caught;
use anyhow::anyhow;
use tch::{Tensor, nn};

/// Runs a model's forward pass and returns what goes wrong in it as an error.
///
/// `forward_t` of tch's `ModuleT` cannot return an error, so a tensor of the wrong shape ends in a
/// panic there. Here the panic becomes an error that names the shape, dtype and device of the
/// images; nothing is printed. This holds for every module, also for your own.
///
/// `train` switches on what differs during training, such as dropout.
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
    caught(|| model.forward_t(images, train)).map_err(|message| {
        anyhow!(without_trace(&message).to_string())
            .context(format!("the model cannot process a batch of {}", describe(images)))
    })
}
