//! A plain convolutional network of any depth and width, for small and for accurate models.

use super::cnn::max_pool;
use super::layers::{Conv2d, batch_norm2d, conv2d_without_bias, linear};
use super::{Layer, Layers};
use crate::Result;
use crate::check::{expect_digits, expect_layer_sizes, or_panic};
use anyhow::ensure;
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

/// A network of 3×3 convolutions in stages, in the style of VGG (Simonyan and Zisserman, 2015): max
/// pooling between the stages, the mean of each channel after the last, and one linear layer.
///
/// Each convolution is followed by batch normalization and ReLU. None has a bias, which batch
/// normalization would subtract again, and none has padding: the margin of MNIST's images is empty.
/// Parameters are named `stages.0.1.conv`, `stages.0.1.bn` for the second convolution of the first
/// stage, and `fc`.
///
/// ```
/// use mnist_kit::model::{StagedCnn, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// StagedCnn::new(vs.root(), &[vec![4, 4], vec![8, 8], vec![8]])?;
/// assert_eq!(summary(&vs).total(), 1_774);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct StagedCnn {
    stages: Vec<Vec<(Conv2d, nn::BatchNorm)>>,
    fc: nn::Linear,
}

impl StagedCnn {
    /// Creates the network's parameters under `path`. `channels` holds the output channels of each
    /// convolution, by stage.
    ///
    /// # Errors
    /// If there is no stage, a stage has no convolution, an image of 28×28 pixels is too small for
    /// that many, or a number of channels is not 1 to 65,536.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>, channels: &[Vec<i64>]) -> Result<StagedCnn> {
        let path = path.borrow();
        check(channels)?;
        let mut inputs = 1;
        let mut stages = Vec::new();
        for (stage, widths) in channels.iter().enumerate() {
            let mut layers = Vec::new();
            for (index, &width) in widths.iter().enumerate() {
                let path = path / "stages" / stage / index;
                let conv = conv2d_without_bias(&path / "conv", inputs, width, 3);
                layers.push((conv, batch_norm2d(&path / "bn", width)));
                inputs = width;
            }
            stages.push(layers);
        }
        Ok(StagedCnn { stages, fc: linear(path / "fc", inputs, 10) })
    }
}

/// Refuses channels that make no network for images of 28×28 pixels.
fn check(channels: &[Vec<i64>]) -> Result<()> {
    ensure!(!channels.is_empty(), "no stage; expected the channels of one or more");
    let mut side = 28;
    for (stage, widths) in channels.iter().enumerate() {
        ensure!(!widths.is_empty(), "stage {stage} has no convolution; expected one or more");
        expect_layer_sizes(widths)?;
        if stage > 0 {
            side /= 2;
        }
        side -= 2 * widths.len() as i64;
        ensure!(
            side >= 1,
            "nothing is left of an image of 28×28 pixels after stage {stage}: each convolution takes \
             2 pixels of a side, and pooling halves it"
        );
    }
    Ok(())
}

impl ModuleT for StagedCnn {
    /// # Shapes
    /// `[N, 1, 28, 28]` float32 → `[N, 10]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        or_panic(expect_digits("StagedCnn", images, &self.fc.ws));
        let mut x = images.shallow_clone();
        for (stage, layers) in self.stages.iter().enumerate() {
            if stage > 0 {
                x = max_pool(&x, 0);
            }
            for (conv, bn) in layers {
                x = bn.forward_t(&conv.forward(&x), train).relu();
            }
        }
        self.fc.forward(&x.adaptive_avg_pool2d([1, 1]).flatten(1, -1))
    }
}

impl Layers for StagedCnn {
    fn layers(&self) -> Vec<Layer> {
        let mut all = Vec::new();
        for (stage, layers) in self.stages.iter().enumerate() {
            if stage > 0 {
                all.push(Layer::max_pool(2));
            }
            for (conv, bn) in layers {
                all.extend([Layer::from(conv), Layer::from(bn), Layer::Relu]);
            }
        }
        all.extend([Layer::GlobalAveragePool, Layer::from(&self.fc)]);
        all
    }
}
