//! MobileNetV2.

use super::stages::Stage;
use super::{Architecture, Backbone};
use crate::Result;
use crate::model::layers::{Conv2d, batch_norm2d, conv2d_without_bias, depthwise_conv2d};
use crate::model::{Layer, Layers};
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

impl Backbone {
    /// Builds MobileNetV2 (Sandler et al., 2018), `torchvision.models.mobilenet_v2`: 2,223,872
    /// parameters before the head, 1,280 features.
    ///
    /// The stages are `features.0` … `features.18`; the head is `classifier.1`, behind a dropout of
    /// 0.2.
    ///
    /// # Errors
    /// If `classes` is below 1 or above 65,536.
    pub fn mobilenet_v2<'a>(path: impl Borrow<nn::Path<'a>>, classes: i64) -> Result<Backbone> {
        let architecture = Architecture {
            name: "MobileNetV2",
            features: 1280,
            dropout: 0.2,
            head_name: "classifier.1",
            last_stage: &[
                "features.14",
                "features.15",
                "features.16",
                "features.17",
                "features.18",
            ],
        };
        architecture.build(path.borrow(), classes, stages)
    }
}

/// Table 2 of the paper: expansion, channels, blocks, stride of the first block.
const BLOCKS: [(i64, i64, i64, i64); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

fn stages(path: &nn::Path) -> Vec<Stage> {
    let features = path / "features";
    let stem = Convolution { in_channels: 3, out_channels: 32, kernel: 3, stride: 2 };
    let stem = stem.build(&features / 0 / 0, &features / 0 / 1);
    let mut stages = vec![stage(0, stem)];
    let mut in_channels = 32;
    for (expansion, out_channels, blocks, first_stride) in BLOCKS {
        for index in 0..blocks {
            let stride = if index == 0 { first_stride } else { 1 };
            let block = InvertedResidual { in_channels, out_channels, expansion, stride };
            let place = stages.len();
            stages.push(block_stage(place, block.build(&(&features / place / "conv"))));
            in_channels = out_channels;
        }
    }
    let last = Convolution { in_channels, out_channels: 1280, kernel: 1, stride: 1 };
    let last = last.build(&features / 18 / 0, &features / 18 / 1);
    stages.push(stage(18, last));
    stages
}

fn stage(place: usize, layer: ConvNorm) -> Stage {
    let weight = layer.conv.ws.shallow_clone();
    Stage::new(format!("features.{place}"), layer, Some(&weight))
}

fn block_stage(place: usize, block: ConvBlock) -> Stage {
    let weight = block.layers.first().map(|layer| layer.conv.ws.shallow_clone());
    Stage::new(format!("features.{place}"), block, weight.as_ref())
}

/// The sizes of a convolution; its padding keeps height and width at stride 1.
struct Convolution {
    in_channels: i64,
    out_channels: i64,
    kernel: i64,
    stride: i64,
}

impl Convolution {
    fn build(self, conv: nn::Path, norm: nn::Path) -> ConvNorm {
        let Convolution { in_channels, out_channels, kernel, stride } = self;
        let conv = conv2d_without_bias(conv, in_channels, out_channels, kernel);
        ConvNorm {
            conv: conv.stride(stride).padding(kernel / 2),
            norm: batch_norm2d(norm, out_channels),
            relu6: true,
        }
    }
}

/// A convolution and its BatchNorm, followed by ReLU6 where `relu6` is set.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: nn::BatchNorm,
    relu6: bool,
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let out = self.conv.forward(x).apply_t(&self.norm, train);
        if self.relu6 { out.relu6() } else { out }
    }
}

impl Layers for ConvNorm {
    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::from(&self.conv), Layer::from(&self.norm)];
        layers.extend(self.relu6.then_some(Layer::Relu6));
        layers
    }
}

/// Consecutive convolutions; with a shortcut, their input is added to their result.
#[derive(Debug)]
struct ConvBlock {
    layers: Vec<ConvNorm>,
    shortcut: bool,
}

impl ModuleT for ConvBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let out = self.layers.iter().fold(x.shallow_clone(), |x, layer| layer.forward_t(&x, train));
        if self.shortcut { out + x } else { out }
    }
}

impl Layers for ConvBlock {
    fn layers(&self) -> Vec<Layer> {
        let main = self.layers.iter().flat_map(ConvNorm::layers).collect();
        vec![Layer::InvertedResidual { main, shortcut: self.shortcut }]
    }
}

/// MobileNetV2's block: widen by 1×1, filter each channel by 3×3, narrow by 1×1 without ReLU6.
struct InvertedResidual {
    in_channels: i64,
    out_channels: i64,
    expansion: i64,
    stride: i64,
}

impl InvertedResidual {
    fn build(self, path: &nn::Path) -> ConvBlock {
        let InvertedResidual { in_channels, out_channels, expansion, stride } = self;
        let width = in_channels * expansion;
        let pointwise = |in_channels, out_channels| Convolution {
            in_channels,
            out_channels,
            kernel: 1,
            stride: 1,
        };
        let mut layers = Vec::new();
        if expansion != 1 {
            layers.push(pointwise(in_channels, width).build(path / 0 / 0, path / 0 / 1));
        }
        let depthwise = path / layers.len();
        layers.push(ConvNorm {
            conv: depthwise_conv2d(&depthwise / 0, width, 3).stride(stride).padding(1),
            norm: batch_norm2d(&depthwise / 1, width),
            relu6: true,
        });
        let place = layers.len();
        let narrow = pointwise(width, out_channels).build(path / place, path / (place + 1));
        layers.push(ConvNorm { relu6: false, ..narrow });
        ConvBlock { layers, shortcut: stride == 1 && in_channels == out_channels }
    }
}
