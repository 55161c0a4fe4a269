//! The convolutional networks of lessons 2 and 3.

use super::layers::{Conv2d, conv2d, linear, linear_xavier};
use super::{Layer, Layers};
use crate::check::{expect_digits, or_panic};
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

/// LeNet with ReLU, lesson 2's network: two convolutions, each followed by max pooling, and three
/// linear layers; 44,426 parameters.
///
/// conv 1→6 k5, pool 2, conv 6→16 k5, pool 2, 256→120→84→10. Parameters are named `conv1`, `conv2`,
/// `fc1`, `fc2`, `fc3`.
///
/// ```
/// use mnist_kit::model::{LeNet, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// LeNet::new(vs.root());
/// assert_eq!(summary(&vs).total(), 44_426);
/// ```
#[derive(Debug)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: nn::Linear,
    fc2: nn::Linear,
    fc3: nn::Linear,
}

impl LeNet {
    /// Creates the network's parameters under `path`.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>) -> LeNet {
        let path = path.borrow();
        LeNet {
            conv1: conv2d(path / "conv1", 1, 6, 5),
            conv2: conv2d(path / "conv2", 6, 16, 5),
            fc1: linear(path / "fc1", 16 * 4 * 4, 120),
            fc2: linear(path / "fc2", 120, 84),
            fc3: linear(path / "fc3", 84, 10),
        }
    }
}

impl Module for LeNet {
    /// # Shapes
    /// `[N, 1, 28, 28]` float32 → `[N, 10]`.
    fn forward(&self, images: &Tensor) -> Tensor {
        or_panic(expect_digits("LeNet", images, &self.conv1.ws));
        let x = max_pool(&self.conv1.forward(images).relu(), 0);
        let x = max_pool(&self.conv2.forward(&x).relu(), 0);
        let x = self.fc1.forward(&x.flatten(1, -1)).relu();
        let x = self.fc2.forward(&x).relu();
        self.fc3.forward(&x)
    }
}

impl Layers for LeNet {
    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::from(&self.conv1),
            Layer::Relu,
            Layer::max_pool(2),
            Layer::from(&self.conv2),
            Layer::Relu,
            Layer::max_pool(2),
            Layer::Flatten,
            Layer::from(&self.fc1),
            Layer::Relu,
            Layer::from(&self.fc2),
            Layer::Relu,
            Layer::from(&self.fc3),
        ]
    }
}

/// Lesson 3's network: two 3×3 convolutions with max pooling and one linear layer; 50,186
/// parameters.
///
/// conv 1→32 k3 p1, pool 2, conv 32→64 k3 p1, pool 2, 3136→10 with Xavier weights. Parameters are
/// named `layer1.0`, `layer2.0`, `fc`.
///
/// ```
/// use mnist_kit::model::{Cnn, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// Cnn::new(vs.root());
/// assert_eq!(summary(&vs).total(), 50_186);
/// ```
#[derive(Debug)]
pub struct Cnn {
    layer1: Conv2d,
    layer2: Conv2d,
    fc: nn::Linear,
}

impl Cnn {
    /// Creates the network's parameters under `path`.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>) -> Cnn {
        let path = path.borrow();
        Cnn {
            layer1: conv2d(path / "layer1" / 0, 1, 32, 3).padding(1),
            layer2: conv2d(path / "layer2" / 0, 32, 64, 3).padding(1),
            fc: linear_xavier(path / "fc", 7 * 7 * 64, 10),
        }
    }
}

impl Module for Cnn {
    /// # Shapes
    /// `[N, 1, 28, 28]` float32 → `[N, 10]`.
    fn forward(&self, images: &Tensor) -> Tensor {
        or_panic(expect_digits("Cnn", images, &self.layer1.ws));
        let x = max_pool(&self.layer1.forward(images).relu(), 0);
        let x = max_pool(&self.layer2.forward(&x).relu(), 0);
        self.fc.forward(&x.flatten(1, -1))
    }
}

impl Layers for Cnn {
    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::from(&self.layer1),
            Layer::Relu,
            Layer::max_pool(2),
            Layer::from(&self.layer2),
            Layer::Relu,
            Layer::max_pool(2),
            Layer::Flatten,
            Layer::from(&self.fc),
        ]
    }
}

/// Lesson 3's deeper network: a third convolution and a hidden linear layer with dropout;
/// 1,379,557 parameters.
///
/// The convolutions of [`Cnn`], then conv 64→128 k3 p1, pool 2 with padding 1 (4×4×128), 2048→625
/// Xavier, ReLU, dropout 0.5, 625→10 Xavier. Parameters are named `layer1.0`, `layer2.0`,
/// `layer3.0`, `fc1`, `fc2`.
///
/// The PyTorch module that this follows keeps `fc1` a second time as `layer4.0`, so its state dict
/// lists the same tensors twice.
///
/// ```
/// use mnist_kit::model::{DeepCnn, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// DeepCnn::new(vs.root());
/// assert_eq!(summary(&vs).total(), 1_379_557);
/// ```
#[derive(Debug)]
pub struct DeepCnn {
    layer1: Conv2d,
    layer2: Conv2d,
    layer3: Conv2d,
    fc1: nn::Linear,
    fc2: nn::Linear,
}

impl DeepCnn {
    /// Creates the network's parameters under `path`.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>) -> DeepCnn {
        let path = path.borrow();
        DeepCnn {
            layer1: conv2d(path / "layer1" / 0, 1, 32, 3).padding(1),
            layer2: conv2d(path / "layer2" / 0, 32, 64, 3).padding(1),
            layer3: conv2d(path / "layer3" / 0, 64, 128, 3).padding(1),
            fc1: linear_xavier(path / "fc1", 4 * 4 * 128, 625),
            fc2: linear_xavier(path / "fc2", 625, 10),
        }
    }
}

impl ModuleT for DeepCnn {
    /// # Shapes
    /// `[N, 1, 28, 28]` float32 → `[N, 10]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        or_panic(expect_digits("DeepCnn", images, &self.layer1.ws));
        let x = max_pool(&self.layer1.forward(images).relu(), 0);
        let x = max_pool(&self.layer2.forward(&x).relu(), 0);
        let x = max_pool(&self.layer3.forward(&x).relu(), 1);
        let x = self.fc1.forward(&x.flatten(1, -1)).relu().dropout(0.5, train);
        self.fc2.forward(&x)
    }
}

impl Layers for DeepCnn {
    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::from(&self.layer1),
            Layer::Relu,
            Layer::max_pool(2),
            Layer::from(&self.layer2),
            Layer::Relu,
            Layer::max_pool(2),
            Layer::from(&self.layer3),
            Layer::Relu,
            Layer::MaxPool2d { kernel: 2, stride: 2, padding: 1 },
            Layer::Flatten,
            Layer::from(&self.fc1),
            Layer::Relu,
            Layer::Dropout(0.5),
            Layer::from(&self.fc2),
        ]
    }
}

/// Max pooling over 2×2 pixels, `[N, C, H, W]` → `[N, C, H / 2, W / 2]` without padding.
pub(super) fn max_pool(x: &Tensor, padding: i64) -> Tensor {
    x.max_pool2d([2, 2], [2, 2], [padding, padding], [1, 1], false)
}
