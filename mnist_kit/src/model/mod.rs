//! Models, the layers they are made of, and their weights.
//!
//! A model is anything that maps a batch of images to logits: every `tch::nn::ModuleT` is one
//! (so is every `tch::nn::Module`), and the models of this module are.

mod backbone;
mod cnn;
mod layers;
mod mlp;
mod pickle;
mod predict;
mod pretrained;
mod resnet;
mod summary;
mod weights;

pub use backbone::{Backbone, Head, features};
pub use cnn::{Cnn, DeepCnn, LeNet};
pub use layers::{
    Conv2d, batch_norm2d, conv2d, conv2d_without_bias, depthwise_conv2d, linear, linear_xavier,
};
pub use mlp::{Activation, Mlp, MlpConfig};
pub use predict::{Logits, predict};
pub use resnet::{ResNet, ResidualBlock};
pub(crate) use summary::is_part_of;
pub use summary::{Summary, named_parameters, summary, train_only};
pub(crate) use weights::set_variables;
pub use weights::{load_pretrained, load_weights, save_weights};

use crate::Result;
use anyhow::ensure;
use tch::{Kind, Tensor, nn};

/// What training and evaluation ask of a model.
pub trait Model {
    /// Class scores before softmax.
    ///
    /// `train` switches on what differs while learning, such as dropout.
    ///
    /// # Shapes
    /// `images` `[N, …]` as the model expects them → logits `[N, classes]`, float32.
    ///
    /// # Errors
    /// The kit's own models return an error for images of another shape or dtype. A
    /// `tch::nn::Module` of your own panics there, as tch's plain calls do.
    fn logits(&self, images: &Tensor, train: bool) -> Result<Tensor>;
}

impl<M: nn::ModuleT> Model for M {
    fn logits(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.forward_t(images, train))
    }
}

impl Model for Box<dyn Model> {
    fn logits(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        (**self).logits(images, train)
    }
}

/// Checks that `images` are float32 `[N, 1, 28, 28]`, and where `weight` is.
fn expect_digits(model: &str, images: &Tensor, weight: &Tensor) -> Result<()> {
    let size = images.size();
    ensure!(
        size.len() == 4 && size[1..] == [1, 28, 28],
        "{model}: images of shape {size:?}, expected [N, 1, 28, 28]"
    );
    expect_values(model, images, 28 * 28)?;
    expect_together(model, images, weight)
}

/// Checks that images and weights can be multiplied.
fn expect_together(model: &str, images: &Tensor, weight: &Tensor) -> Result<()> {
    ensure!(
        images.kind() == weight.kind() && images.device() == weight.device(),
        "{model}: images are {:?} on {:?}, the weights {:?} on {:?}; give the batches the store's device, \
         and leave the store's weights as Float",
        images.kind(),
        images.device(),
        weight.kind(),
        weight.device()
    );
    Ok(())
}

/// Checks that `images` are float32 and that each image has as many values as the first layer
/// reads.
fn expect_values(model: &str, images: &Tensor, values: i64) -> Result<()> {
    let size = images.size();
    ensure!(
        images.kind() == Kind::Float,
        "{model}: images are {:?}, expected Float; put to_tensor into the transform",
        images.kind()
    );
    ensure!(
        size.len() >= 2 && size[1..].iter().product::<i64>() == values,
        "{model}: images of shape {size:?}, expected [N, …] with {values} values an image"
    );
    Ok(())
}
