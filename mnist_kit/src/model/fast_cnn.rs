//! The convolutional network of lesson 6, made for a short training.

use super::cnn::max_pool;
use super::layers::{Conv2d, batch_norm2d, conv2d_without_bias, linear};
use super::{Layer, Layers};
use crate::check::{expect_square_images, or_panic};
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

/// Lesson 6's network, which reads 99 % of MNIST's test images after one epoch: two convolutions
/// with few channels, each followed by max pooling, batch normalization and ReLU, and two linear
/// layers; 69,538 parameters.
///
/// conv 1→8 k5, pool 2, conv 8→32 k3, pool 2, 512→128→10. The convolutions have no bias, which
/// batch normalization would subtract again. Pooling comes first because the layers behind it then
/// process a quarter of the values. The network reads the middle of an image,
/// [`center_crop(24)`](crate::transform::Compose::center_crop): the margin of MNIST's images is
/// nearly empty. Parameters are named `conv1`, `bn1`, `conv2`, `bn2`, `fc1`, `fc2`.
///
/// ```
/// use mnist_kit::model::{FastCnn, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// FastCnn::new(vs.root());
/// assert_eq!(summary(&vs).total(), 69_538);
/// ```
#[derive(Debug)]
pub struct FastCnn {
    conv1: Conv2d,
    bn1: nn::BatchNorm,
    conv2: Conv2d,
    bn2: nn::BatchNorm,
    fc1: nn::Linear,
    fc2: nn::Linear,
}

impl FastCnn {
    /// Creates the network's parameters under `path`.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>) -> FastCnn {
        let path = path.borrow();
        FastCnn {
            conv1: conv2d_without_bias(path / "conv1", 1, 8, 5),
            bn1: batch_norm2d(path / "bn1", 8),
            conv2: conv2d_without_bias(path / "conv2", 8, 32, 3),
            bn2: batch_norm2d(path / "bn2", 32),
            fc1: linear(path / "fc1", 32 * 4 * 4, 128),
            fc2: linear(path / "fc2", 128, 10),
        }
    }
}

impl ModuleT for FastCnn {
    /// # Shapes
    /// `[N, 1, 24, 24]` float32 → `[N, 10]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        or_panic(expect_square_images("FastCnn", images, &self.conv1.ws, 24));
        let x = max_pool(&self.conv1.forward(images), 0);
        let x = self.bn1.forward_t(&x, train).relu();
        let x = max_pool(&self.conv2.forward(&x), 0);
        let x = self.bn2.forward_t(&x, train).relu();
        let x = self.fc1.forward(&x.flatten(1, -1)).relu();
        self.fc2.forward(&x)
    }
}

impl Layers for FastCnn {
    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::from(&self.conv1),
            Layer::max_pool(2),
            Layer::from(&self.bn1),
            Layer::Relu,
            Layer::from(&self.conv2),
            Layer::max_pool(2),
            Layer::from(&self.bn2),
            Layer::Relu,
            Layer::Flatten,
            Layer::from(&self.fc1),
            Layer::Relu,
            Layer::from(&self.fc2),
        ]
    }
}
