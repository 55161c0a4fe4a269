//! Layers with PyTorch's default initialization.

use crate::check::{LARGEST_LAYER, expect_layer, expect_within, or_panic};
use std::borrow::Borrow;
use tch::nn::{Init, Module};
use tch::{Tensor, nn};

/// Creates a fully connected layer, `[N, in_features]` → `[N, out_features]`.
///
/// Weights and bias are initialized uniformly in ±1/√in_features, PyTorch's default for
/// `torch.nn.Linear` (tch's own default is 2.45 times wider), and drawn in PyTorch's order: the same
/// seed gives the same layer.
///
/// # Panics
/// If a size is not one that a layer can have; the same holds for the other layers here.
///
/// ```
/// use mnist_kit::model::linear;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layer = linear(vs.root() / "fc", 784, 10);
/// assert_eq!(layer.ws.size(), [10, 784]);
/// assert!(layer.ws.abs().max().double_value(&[]) <= 1.0 / 28.0);
/// ```
pub fn linear<'a>(
    path: impl Borrow<nn::Path<'a>>,
    in_features: i64,
    out_features: i64,
) -> nn::Linear {
    or_panic(expect_layer("linear", &[in_features, out_features]));
    let bound = 1.0 / (in_features as f64).sqrt();
    let uniform = Init::Uniform { lo: -bound, up: bound };
    let path = path.borrow();
    let ws = path.var("weight", &[out_features, in_features], uniform);
    nn::Linear { ws, bs: Some(path.var("bias", &[out_features], uniform)) }
}

/// Creates a fully connected layer with Xavier-uniform weights: ±√(6 / (in + out)) (Glorot and
/// Bengio, 2010), `torch.nn.init.xavier_uniform_`. The bias is initialized as in [`linear`].
///
/// ```
/// use mnist_kit::model::linear_xavier;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layer = linear_xavier(vs.root() / "fc", 90, 60);
/// let largest = layer.ws.abs().max().double_value(&[]);
/// assert!(0.15 < largest && largest <= 0.2);
/// ```
pub fn linear_xavier<'a>(
    path: impl Borrow<nn::Path<'a>>,
    in_features: i64,
    out_features: i64,
) -> nn::Linear {
    let mut layer = linear(path, in_features, out_features);
    let bound = (6.0 / (in_features + out_features) as f64).sqrt();
    layer.ws.set_data(&layer.ws.detach().uniform_(-bound, bound));
    layer
}

/// A convolution over images. Made by [`conv2d`].
#[derive(Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels, kernel, kernel]`; `in_channels` is 1 in a depthwise convolution.
    pub ws: Tensor,
    /// `[out_channels]`, or `None` without a bias.
    pub bs: Option<Tensor>,
    pub(super) stride: i64,
    pub(super) padding: i64,
    pub(super) groups: i64,
}

/// Creates a convolution with a square kernel, `[N, in_channels, H, W]` →
/// `[N, out_channels, H', W']`.
///
/// Stride defaults to 1 and padding to 0; [`Conv2d`]'s methods change them. Weights and bias are
/// initialized uniformly in ±1/√(in_channels · kernel²), PyTorch's default for `torch.nn.Conv2d`
/// (tch initializes the weights wider and the bias with 0).
///
/// ```
/// use mnist_kit::model::conv2d;
/// use tch::nn::Module;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layer = conv2d(vs.root() / "conv1", 1, 6, 5);
/// let images = Tensor::zeros([2, 1, 28, 28], (Kind::Float, Device::Cpu));
/// assert_eq!(layer.forward(&images).size(), [2, 6, 24, 24]);
/// ```
pub fn conv2d<'a>(
    path: impl Borrow<nn::Path<'a>>,
    in_channels: i64,
    out_channels: i64,
    kernel: i64,
) -> Conv2d {
    let mut layer = conv2d_without_bias(path.borrow(), in_channels, out_channels, kernel);
    let bound = 1.0 / ((in_channels * kernel * kernel) as f64).sqrt();
    let uniform = Init::Uniform { lo: -bound, up: bound };
    layer.bs = Some(path.borrow().var("bias", &[out_channels], uniform));
    layer
}

/// Creates a convolution like [`conv2d`] but without a bias, to be followed by a BatchNorm.
pub fn conv2d_without_bias<'a>(
    path: impl Borrow<nn::Path<'a>>,
    in_channels: i64,
    out_channels: i64,
    kernel: i64,
) -> Conv2d {
    or_panic(expect_layer("conv2d", &[in_channels, out_channels, kernel, kernel]));
    let bound = 1.0 / ((in_channels * kernel * kernel) as f64).sqrt();
    let shape = [out_channels, in_channels, kernel, kernel];
    let ws = path.borrow().var("weight", &shape, Init::Uniform { lo: -bound, up: bound });
    Conv2d { ws, bs: None, stride: 1, padding: 0, groups: 1 }
}

/// Creates a depthwise convolution, in which each channel has its own kernel, without a bias:
/// `[N, channels, H, W]` → `[N, channels, H', W']`. Defaults are those of [`conv2d`].
///
/// ```
/// use mnist_kit::model::depthwise_conv2d;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// assert_eq!(depthwise_conv2d(vs.root() / "conv", 32, 3).ws.size(), [32, 1, 3, 3]);
/// ```
pub fn depthwise_conv2d<'a>(path: impl Borrow<nn::Path<'a>>, channels: i64, kernel: i64) -> Conv2d {
    or_panic(expect_layer("depthwise_conv2d", &[channels, kernel, kernel]));
    Conv2d { groups: channels, ..conv2d_without_bias(path, 1, channels, kernel) }
}

impl Conv2d {
    /// Sets the stride, in pixels; defaults to 1.
    ///
    /// # Panics
    /// If the stride is not 1 to 65,536.
    pub fn stride(mut self, stride: i64) -> Conv2d {
        or_panic(expect_within("stride", stride, 1..=LARGEST_LAYER));
        self.stride = stride;
        self
    }

    /// Sets the rows and columns of zeros around the image; defaults to 0.
    ///
    /// # Panics
    /// If the padding is not 0 to 65,536.
    pub fn padding(mut self, padding: i64) -> Conv2d {
        or_panic(expect_within("padding", padding, 0..=LARGEST_LAYER));
        self.padding = padding;
        self
    }
}

impl Module for Conv2d {
    fn forward(&self, images: &Tensor) -> Tensor {
        let convolve = |images: &Tensor, stride: i64| {
            let (stride, padding) = ([stride; 2], [self.padding; 2]);
            images.conv2d(&self.ws, self.bs.as_ref(), stride, padding, [1, 1], self.groups)
        };
        if self.subsamples_first() && images.dim() >= 3 {
            let every = |images: Tensor, dim: i64| images.slice(dim, None, None, self.stride);
            return convolve(&every(every(images.shallow_clone(), -2), -1), 1);
        }
        convolve(images, self.stride)
    }
}

impl Conv2d {
    /// Returns whether pixels have to be skipped before the convolution instead of by its stride.
    ///
    /// oneDNN 3.12, which is in libtorch 2.13, writes past its memory when it computes the gradient of
    /// a strided 1×1 kernel for images with their channels last and fewer channels than a vector
    /// register holds, 8 or 16: the process crashes or hangs, or the gradient is wrong
    /// (<https://github.com/uxlfoundation/oneDNN/issues/6035>).
    fn subsamples_first(&self) -> bool {
        let [_, channels, 1, 1] = self.ws.size()[..] else { return false };
        channels < 16 && self.stride > 1 && self.padding == 0
    }
}

/// Creates batch normalization over `[N, channels, H, W]`, with the defaults of
/// `torch.nn.BatchNorm2d`: weight 1, bias 0, momentum 0.1, eps 1e-5 (tch initializes the weight
/// uniformly in 0–1).
///
/// ```
/// use mnist_kit::model::batch_norm2d;
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layer = batch_norm2d(vs.root() / "bn1", 3);
/// let images = Tensor::rand([4, 3, 5, 5], (Kind::Float, Device::Cpu)) * 7.0;
/// let mean = layer.forward_t(&images, true).mean(Kind::Float).double_value(&[]);
/// assert!(mean.abs() < 1e-5);
/// ```
pub fn batch_norm2d<'a>(path: impl Borrow<nn::Path<'a>>, channels: i64) -> nn::BatchNorm {
    or_panic(expect_layer("batch_norm2d", &[channels]));
    let path = path.borrow();
    // PyTorch keeps this count and expects it in a state dict. It has no effect here.
    let _ = path.zeros_no_train("num_batches_tracked", &[]);
    let config = nn::BatchNormConfig { ws_init: Init::Const(1.0), ..Default::default() };
    nn::batch_norm2d(path, channels, config)
}
