//! The residual network of lesson 4.

use super::layers::{Conv2d, batch_norm2d, conv2d_without_bias, linear};
use super::{Layer, Layers};
use crate::Result;
use crate::check::{LARGEST_LAYER, expect_digits, expect_layer, expect_within, or_panic};
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

/// A residual block (He et al., 2016): two 3×3 convolutions with BatchNorm, whose result is added to
/// the block's input.
///
/// Where the shape changes, the input first passes through a 1×1 convolution and a BatchNorm.
/// Parameters are named `conv1`, `bn1`, `conv2`, `bn2`, `downsample.0`, `downsample.1`.
///
/// # Shapes
/// `[N, in_channels, H, W]` → `[N, out_channels, H / stride, W / stride]`, rounded up.
///
/// ```
/// use mnist_kit::model::ResidualBlock;
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let block = ResidualBlock::new(vs.root(), 64, 128, 2);
/// let x = Tensor::rand([1, 64, 28, 28], (Kind::Float, Device::Cpu));
/// assert_eq!(block.forward_t(&x, false).size(), [1, 128, 14, 14]);
/// ```
#[derive(Debug)]
pub struct ResidualBlock {
    pub(super) conv1: Conv2d,
    bn1: nn::BatchNorm,
    conv2: Conv2d,
    bn2: nn::BatchNorm,
    downsample: Option<(Conv2d, nn::BatchNorm)>,
}

impl ResidualBlock {
    /// Creates the block's parameters under `path`.
    ///
    /// # Panics
    /// If a number of channels or the stride is not 1 to 65,536.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        in_channels: i64,
        out_channels: i64,
        stride: i64,
    ) -> ResidualBlock {
        or_panic(expect_layer("ResidualBlock", &[in_channels, out_channels]));
        or_panic(expect_within("stride", stride, 1..=LARGEST_LAYER));
        let path = path.borrow();
        let shortcut = path / "downsample";
        let downsample = (stride != 1 || in_channels != out_channels).then(|| {
            let conv = conv2d_without_bias(&shortcut / 0, in_channels, out_channels, 1);
            (conv.stride(stride), batch_norm2d(&shortcut / 1, out_channels))
        });
        let conv1 = conv2d_without_bias(path / "conv1", in_channels, out_channels, 3);
        let conv2 = conv2d_without_bias(path / "conv2", out_channels, out_channels, 3);
        ResidualBlock {
            conv1: conv1.stride(stride).padding(1),
            bn1: batch_norm2d(path / "bn1", out_channels),
            conv2: conv2.padding(1),
            bn2: batch_norm2d(path / "bn2", out_channels),
            downsample,
        }
    }

    pub(super) fn layer(&self) -> Layer {
        let shortcut = self.downsample.iter().flat_map(|(conv, bn)| [conv.into(), bn.into()]);
        Layer::Residual {
            main: vec![
                Layer::from(&self.conv1),
                Layer::from(&self.bn1),
                Layer::Relu,
                Layer::from(&self.conv2),
                Layer::from(&self.bn2),
            ],
            shortcut: shortcut.collect(),
        }
    }
}

impl Layers for ResidualBlock {
    fn layers(&self) -> Vec<Layer> {
        vec![self.layer()]
    }
}

impl ModuleT for ResidualBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let shortcut = match &self.downsample {
            Some((conv, bn)) => conv.forward(x).apply_t(bn, train),
            None => x.shallow_clone(),
        };
        let out = self.conv1.forward(x).apply_t(&self.bn1, train).relu_();
        let out = self.conv2.forward(&out).apply_t(&self.bn2, train);
        (out + shortcut).relu_()
    }
}

/// Creates the four stages of ResNet-18 under `path`, two blocks each, and returns them with their
/// names, `layer1.0` … `layer4.1`. Channels: `width` × 1, 2, 4, 8; strides: 1, 2, 2, 2.
pub(super) fn residual_stages(path: &nn::Path, width: i64) -> Vec<(String, ResidualBlock)> {
    let stages = [(1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2)]
        .map(|(inputs, outputs, stride)| (inputs * width, outputs * width, stride));
    let mut blocks = Vec::new();
    for (index, (in_channels, out_channels, stride)) in stages.into_iter().enumerate() {
        let stage = format!("layer{}", index + 1);
        for (place, (in_channels, stride)) in
            [(in_channels, stride), (out_channels, 1)].into_iter().enumerate()
        {
            let path = path / &stage / place;
            let block = ResidualBlock::new(path, in_channels, out_channels, stride);
            blocks.push((format!("{stage}.{place}"), block));
        }
    }
    blocks
}

/// Lesson 4's network: ResNet-18 for small gray images; 11,172,810 parameters.
///
/// conv 1→64 k3, BatchNorm, ReLU; four stages of two [`ResidualBlock`]s (64, 128, 256, 512 channels;
/// strides 1, 2, 2, 2); global average pooling; 512→10. Parameters are named `conv1`, `bn1`,
/// `layer1.0` … `layer4.1`, `fc`. [`with_width`](ResNet::with_width) builds a narrower network.
///
/// ```
/// use mnist_kit::model::{ResNet, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// ResNet::new(vs.root());
/// assert_eq!(summary(&vs).total(), 11_172_810);
/// ```
#[derive(Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: nn::BatchNorm,
    blocks: Vec<ResidualBlock>,
    fc: nn::Linear,
}

impl ResNet {
    /// Creates the network's parameters under `path`.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>) -> ResNet {
        ResNet::build(path.borrow(), 64)
    }

    /// Creates a network whose stages have `width`, 2 · `width`, 4 · `width` and 8 · `width` channels.
    ///
    /// A width of 16 leaves about a sixteenth of the parameters and of the arithmetic.
    ///
    /// # Errors
    /// If the width is not 1 to 512.
    ///
    /// ```
    /// use mnist_kit::model::{ResNet, summary};
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// ResNet::with_width(vs.root(), 16)?;
    /// assert_eq!(summary(&vs).total(), 701_178);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn with_width<'a>(path: impl Borrow<nn::Path<'a>>, width: i64) -> Result<ResNet> {
        expect_within("the width of a ResNet", width, 1..=512)?;
        Ok(ResNet::build(path.borrow(), width))
    }

    fn build(path: &nn::Path, width: i64) -> ResNet {
        let conv1 = conv2d_without_bias(path / "conv1", 1, width, 3).padding(1);
        let bn1 = batch_norm2d(path / "bn1", width);
        let blocks = residual_stages(path, width).into_iter().map(|(_, block)| block).collect();
        ResNet { conv1, bn1, blocks, fc: linear(path / "fc", 8 * width, 10) }
    }
}

impl ModuleT for ResNet {
    /// # Shapes
    /// `[N, 1, 28, 28]` float32 → `[N, 10]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        or_panic(expect_digits("ResNet", images, &self.conv1.ws));
        let stem = self.conv1.forward(images).apply_t(&self.bn1, train).relu_();
        let features = self.blocks.iter().fold(stem, |x, block| block.forward_t(&x, train));
        self.fc.forward(&features.adaptive_avg_pool2d([1, 1]).flatten(1, -1))
    }
}

impl Layers for ResNet {
    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::from(&self.conv1), Layer::from(&self.bn1), Layer::Relu];
        layers.extend(self.blocks.iter().map(Layer::from));
        layers.extend([Layer::GlobalAveragePool, Layer::from(&self.fc)]);
        layers
    }
}
