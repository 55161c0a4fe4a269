//! ResNet18.

use super::stages::{Stage, Weightless};
use super::{Architecture, Backbone};
use crate::Result;
use crate::model::Layer;
use crate::model::layers::{batch_norm2d, conv2d_without_bias};
use crate::model::resnet::residual_stages;
use std::borrow::Borrow;
use tch::{Tensor, nn};

impl Backbone {
    /// Builds ResNet18 (He et al., 2016), `torchvision.models.resnet18`: 11,176,512 parameters
    /// before the head, 512 features.
    ///
    /// The stages are `conv1`, `bn1`, `relu`, `maxpool`, `layer1.0` … `layer4.1`, the head is `fc`.
    ///
    /// # Errors
    /// If `classes` is below 1 or above 65,536.
    pub fn resnet18<'a>(path: impl Borrow<nn::Path<'a>>, classes: i64) -> Result<Backbone> {
        let architecture = Architecture {
            name: "ResNet18",
            features: 512,
            dropout: 0.0,
            head_name: "fc",
            last_stage: &["layer4"],
        };
        architecture.build(path.borrow(), classes, stages)
    }
}

fn stages(path: &nn::Path) -> Vec<Stage> {
    let conv1 = conv2d_without_bias(path / "conv1", 3, 64, 7).stride(2).padding(3);
    let bn1 = batch_norm2d(path / "bn1", 64);
    let (conv_weight, norm_weight) =
        (conv1.ws.shallow_clone(), bn1.ws.as_ref().map(Tensor::shallow_clone));
    let relu = Weightless { layer: || Layer::Relu, forward: Tensor::relu };
    let max_pool = Weightless {
        layer: || Layer::MaxPool2d { kernel: 3, stride: 2, padding: 1 },
        forward: |x| x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false),
    };
    let mut stages = vec![
        Stage::new("conv1", conv1, Some(&conv_weight)),
        Stage::new("bn1", bn1, norm_weight.as_ref()),
        Stage::new("relu", relu, None),
        Stage::new("maxpool", max_pool, None),
    ];
    stages.extend(residual_stages(path, 64).into_iter().map(|(name, block)| {
        let weight = block.conv1.ws.shallow_clone();
        Stage::new(name, block, Some(&weight))
    }));
    stages
}
