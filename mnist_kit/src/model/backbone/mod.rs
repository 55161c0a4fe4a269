//! Networks made for ImageNet, to be trained further on digits: lesson 5.

use super::layers::{Conv2d, batch_norm2d, conv2d_without_bias, depthwise_conv2d, linear};
use super::summary::is_part_of;
use super::{ResidualBlock, try_forward};
use crate::Result;
use crate::check::expect_together;
use crate::data::{Batches, Split};
use anyhow::{Context, ensure};
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Device, Kind, Tensor, nn};

/// A convolutional network as torchvision defines it, under torchvision's names: named stages, the
/// average over all places, and a linear head for the classes at hand.
///
/// Layers start as PyTorch's layers do; what makes them worth having are weights learned on ImageNet,
/// see [`load_pretrained`](crate::weights::load_pretrained).
///
/// A stage whose parameters are frozen (see [`train_only`](super::train_only)) runs in evaluation
/// mode, BatchNorm included, also while the rest is trained; see
/// [`update_frozen_norm`](Backbone::update_frozen_norm).
///
/// ```
/// use mnist_kit::model::{Backbone, summary, train_only};
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Backbone::resnet18(vs.root(), 10);
/// let images = Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// assert_eq!(model.features(&images, false)?.size(), [2, 512]);
/// assert_eq!(model.forward_t(&images, false).size(), [2, 10]);
/// train_only(&vs, &["layer4", "fc"])?;
/// assert_eq!(summary(&vs).trainable(), 8_398_858);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Backbone {
    name: &'static str,
    stages: Vec<Stage>,
    head: Head,
    head_name: &'static str,
    /// The file that torchvision publishes.
    weights: &'static str,
    update_frozen_norm: bool,
}

/// A named part of the convolutional network.
#[derive(Debug)]
struct Stage {
    name: String,
    layer: Box<dyn ModuleT>,
    /// One of its weights: a stage is frozen as a whole, so this one tells. A stage without any is
    /// always.
    weight: Option<Tensor>,
}

impl Stage {
    fn is_frozen(&self) -> bool {
        self.weight.as_ref().is_none_or(|weight| !weight.requires_grad())
    }
}

impl Backbone {
    /// ResNet18 (He and others, 2016), `torchvision.models.resnet18`: 11,176,512 parameters before the
    /// head, 512 features. Stages `conv1`, `bn1`, `relu`, `maxpool`, `layer1.0` … `layer4.1`; head `fc`.
    pub fn resnet18<'a>(path: impl Borrow<nn::Path<'a>>, classes: i64) -> Backbone {
        let path = path.borrow();
        let conv1 = conv2d_without_bias(path / "conv1", 3, 64, 7).stride(2).padding(3);
        let bn1 = batch_norm2d(path / "bn1", 64);
        let mut stages = vec![
            conv_stage("conv1", conv1),
            norm_stage("bn1", bn1),
            plain_stage("relu", nn::func(Tensor::relu)),
            plain_stage(
                "maxpool",
                nn::func(|x| x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)),
            ),
        ];
        let widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)];
        for (index, (in_channels, out_channels, stride)) in widths.into_iter().enumerate() {
            for (place, (in_channels, stride)) in
                [(in_channels, stride), (out_channels, 1)].into_iter().enumerate()
            {
                let name = format!("layer{}.{place}", index + 1);
                let path = path / format!("layer{}", index + 1) / place;
                let block = ResidualBlock::new(&path, in_channels, out_channels, stride);
                let weight = Some(block.conv1.ws.shallow_clone());
                stages.push(Stage { name, weight, layer: Box::new(block) });
            }
        }
        let head = Head { linear: linear(path / "fc", 512, classes), dropout: 0.0 };
        Backbone {
            name: "ResNet18",
            stages,
            head,
            head_name: "fc",
            weights: "resnet18-f37072fd.pth",
            update_frozen_norm: false,
        }
    }

    /// MobileNetV2 (Sandler and others, 2018), `torchvision.models.mobilenet_v2`: 2,223,872 parameters
    /// before the head, 1,280 features. Stages `features.0` … `features.18`; head `classifier.1`, behind
    /// a dropout of 0.2.
    pub fn mobilenet_v2<'a>(path: impl Borrow<nn::Path<'a>>, classes: i64) -> Backbone {
        let path = path.borrow();
        let features = path / "features";
        let mut stages = vec![block_stage(
            "features.0",
            ConvBlock {
                layers: vec![ConvNorm::new(&features / 0, 0, 1, 3, 32, 3, 2)],
                shortcut: false,
            },
        )];
        // The paper's table 2: expansion, channels, blocks, stride of the first block.
        let table = [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ];
        let mut channels = 32;
        for (expansion, out_channels, blocks, first_stride) in table {
            for index in 0..blocks {
                let stride = if index == 0 { first_stride } else { 1 };
                let place = stages.len();
                let path = &features / place / "conv";
                let block = inverted_residual(&path, channels, out_channels, expansion, stride);
                stages.push(block_stage(&format!("features.{place}"), block));
                channels = out_channels;
            }
        }
        let last = ConvNorm::new(&features / 18, 0, 1, channels, 1280, 1, 1);
        stages.push(block_stage("features.18", ConvBlock { layers: vec![last], shortcut: false }));
        let classifier = linear(path / "classifier" / 1, 1280, classes);
        let head = Head { linear: classifier, dropout: 0.2 };
        Backbone {
            name: "MobileNetV2",
            stages,
            head,
            head_name: "classifier.1",
            weights: "mobilenet_v2-b0353104.pth",
            update_frozen_norm: false,
        }
    }

    /// The stages' names, first to last.
    pub fn stages(&self) -> Vec<&str> {
        self.stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    /// What it is called: `ResNet18`, `MobileNetV2`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn published_weights(&self) -> &'static str {
        self.weights
    }

    /// The name of the linear layer that is to be learned anew.
    pub fn head_name(&self) -> &'static str {
        self.head_name
    }

    /// The linear layer alone, as a model of features; it shares its weights with this one.
    pub fn head(&self) -> Head {
        let nn::Linear { ws, bs } = &self.head.linear;
        let linear =
            nn::Linear { ws: ws.shallow_clone(), bs: bs.as_ref().map(Tensor::shallow_clone) };
        Head { linear, dropout: self.head.dropout }
    }

    /// Whether BatchNorm in frozen stages goes on taking batches' means and variances while training,
    /// as PyTorch does after `model.train()`. `false` until this says otherwise.
    pub fn update_frozen_norm(&mut self, update: bool) {
        self.update_frozen_norm = update;
    }

    /// What the head reads.
    ///
    /// # Shapes
    /// `[N, 3, H, W]` float32, H and W 32 or more → `[N, 512]` (ResNet18) or `[N, 1280]` (MobileNetV2).
    ///
    /// # Errors
    /// When shape or dtype is another.
    pub fn features(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        self.check(images)?;
        // The last stage sees a place for each 32 pixels, and libtorch makes NaN of a single value's
        // variance without a word.
        let size = images.size();
        ensure!(
            !train || size[0] > 1 || size[2].max(size[3]) > 32,
            "{}: a batch of one image of {size:?} leaves BatchNorm a single value to take the variance of; \
             train on batches of 2 or more, with drop_last",
            self.name
        );
        let is_fixed = |stage: &&Stage| !train || (stage.is_frozen() && !self.update_frozen_norm);
        let fixed = self.stages.iter().take_while(is_fixed).count();
        let (fixed, learning) = self.stages.split_at(fixed);
        let seen = self.run_in_chunks(images, fixed)?;
        Ok(pooled(&self.run(&seen, learning, train)))
    }

    /// Runs stages in evaluation mode, in which images have no influence on each other, a few images at
    /// a time: their large tensors then take less memory and stay near the processor (PyTorch on two
    /// cores, MobileNetV2: 94 images of 224×224 a second, 82 with 128 at once). A GPU would rather have
    /// them all at once.
    fn run_in_chunks(&self, images: &Tensor, stages: &[Stage]) -> Result<Tensor> {
        const CHUNK: i64 = 8;
        if images.device() != Device::Cpu || images.size()[0] <= CHUNK {
            return Ok(self.run(images, stages, false));
        }
        let chunks = images.f_split(CHUNK, 0)?;
        let seen: Vec<Tensor> = chunks.iter().map(|chunk| self.run(chunk, stages, false)).collect();
        Ok(Tensor::f_cat(&seen, 0)?)
    }

    /// The output of a stage, `[N, C, h, w]`; a name that several stages begin with (`layer4`,
    /// `features`) means the last of them.
    ///
    /// # Errors
    /// When no stage is called so, or the images are not as for [`features`](Backbone::features).
    pub fn activations(&self, images: &Tensor, layer: &str) -> Result<Tensor> {
        self.check(images)?;
        Ok(self.run(images, &self.stages[..self.after(layer)?], false))
    }

    /// The logits that follow from the [`activations`](Backbone::activations) of the same stage, in
    /// evaluation mode.
    pub(crate) fn logits_from(&self, activations: &Tensor, layer: &str) -> Result<Tensor> {
        let last = self.run(activations, &self.stages[self.after(layer)?..], false);
        try_forward(&self.head, &pooled(&last), false)
    }

    fn run(&self, x: &Tensor, stages: &[Stage], train: bool) -> Tensor {
        stages.iter().fold(x.shallow_clone(), |x, stage| {
            stage.layer.forward_t(&x, train && (self.update_frozen_norm || !stage.is_frozen()))
        })
    }

    /// How many stages come up to this one, itself included.
    fn after(&self, layer: &str) -> Result<usize> {
        let last = self.stages.iter().rposition(|stage| is_part_of(&stage.name, layer));
        let names = || format!("no layer {layer}, there are {}", self.stages().join(", "));
        Ok(last.with_context(names)? + 1)
    }

    fn check(&self, images: &Tensor) -> Result<()> {
        let (size, kind) = (images.size(), images.kind());
        ensure!(
            matches!(size[..], [_, 3, height, width] if height >= 32 && width >= 32)
                && kind == Kind::Float,
            "{}: images are {kind:?} {size:?}, expected Float [N, 3, H, W] with sides of 32 or more; \
             put to_tensor, resize and repeat_channels into the transform",
            self.name
        );
        expect_together(self.name, images, &self.head.linear.ws)
    }
}

impl ModuleT for Backbone {
    /// # Shapes
    /// `[N, 3, H, W]` float32, H and W 32 or more → `[N, classes]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        let features = self.features(images, train).unwrap_or_else(|error| panic!("{error:#}"));
        self.head.forward_t(&features, train)
    }
}

/// The last layer of a [`Backbone`], as a model of features. Made by [`Backbone::head`].
#[derive(Debug)]
pub struct Head {
    linear: nn::Linear,
    dropout: f64,
}

impl ModuleT for Head {
    /// # Shapes
    /// `[N, features]` float32, or with sides of 1 behind → `[N, classes]`.
    fn forward_t(&self, features: &Tensor, train: bool) -> Tensor {
        self.linear.forward(&features.flatten(1, -1).dropout(self.dropout, train))
    }
}

/// Computes the features of every image once for each of `views`, in evaluation mode and without
/// gradients, so that a head can be trained on them without the backbone.
///
/// With random steps in the transform each view is another augmentation, the same in every call, whatever
/// the seed of [`shuffle`](Batches::shuffle); the result holds the views one after the other, so that one epoch over it is worth
/// `views` epochs over the images.
///
/// # Shapes
/// float32 features `[views · N, features, 1, 1]` with their labels: `4 · views · N · features` bytes
/// (154 MB for three views of 10,000 images under MobileNetV2).
///
/// # Errors
/// When there are no images or views, or the model cannot take them.
pub fn features(model: &Backbone, batches: &Batches, views: usize) -> Result<Split> {
    let split = batches.split();
    ensure!(
        views > 0 && !split.is_empty(),
        "{}: {views} views of {} images, expected one or more of each",
        split.name(),
        split.len()
    );
    let _no_grad = tch::no_grad_guard();
    let in_order = batches.in_order();
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for view in 1..=views {
        for batch in in_order.epoch(view) {
            let (images, batch_labels) = batch?;
            rows.push(model.features(&images, false)?.f_to_device(Device::Cpu)?);
            labels.push(batch_labels.f_to_device(Device::Cpu)?);
        }
    }
    let rows = Tensor::f_cat(&rows, 0)?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let features = Split::new(split.name(), rows, Tensor::f_cat(&labels, 0)?, split.num_classes())?;
    Ok(features.with_note(split.note().map(str::to_string)))
}

/// `[N, C, H, W]` → `[N, C]`.
fn pooled(x: &Tensor) -> Tensor {
    x.adaptive_avg_pool2d([1, 1]).flatten(1, -1)
}

fn conv_stage(name: &str, conv: Conv2d) -> Stage {
    let weight = Some(conv.ws.shallow_clone());
    Stage { name: name.to_string(), layer: Box::new(conv), weight }
}

fn norm_stage(name: &str, norm: nn::BatchNorm) -> Stage {
    let weight = norm.ws.as_ref().map(Tensor::shallow_clone);
    Stage { name: name.to_string(), layer: Box::new(norm), weight }
}

fn plain_stage(name: &str, layer: nn::Func<'static>) -> Stage {
    Stage { name: name.to_string(), layer: Box::new(layer), weight: None }
}

fn block_stage(name: &str, block: ConvBlock) -> Stage {
    let weight = block.layers.first().map(|layer| layer.conv.ws.shallow_clone());
    Stage { name: name.to_string(), layer: Box::new(block), weight }
}

/// A convolution, its BatchNorm, and ReLU6 where it is not the last of its block.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: nn::BatchNorm,
    relu6: bool,
}

impl ConvNorm {
    /// Names `<conv>` and `<norm>` under `path`; the padding keeps the size.
    fn new(
        path: nn::Path,
        conv: i64,
        norm: i64,
        in_channels: i64,
        out_channels: i64,
        kernel: i64,
        stride: i64,
    ) -> ConvNorm {
        let layer = conv2d_without_bias(&path / conv, in_channels, out_channels, kernel);
        ConvNorm {
            conv: layer.stride(stride).padding(kernel / 2),
            norm: batch_norm2d(&path / norm, out_channels),
            relu6: true,
        }
    }
}

/// Convolutions in a row; with a shortcut, their input is added to their result.
#[derive(Debug)]
struct ConvBlock {
    layers: Vec<ConvNorm>,
    shortcut: bool,
}

impl ModuleT for ConvBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let out = self.layers.iter().fold(x.shallow_clone(), |x, layer| {
            let out = layer.conv.forward(&x).apply_t(&layer.norm, train);
            if layer.relu6 { out.relu6() } else { out }
        });
        if self.shortcut { out + x } else { out }
    }
}

/// MobileNetV2's block: widen by 1×1, filter each channel by 3×3, narrow by 1×1 without ReLU.
fn inverted_residual(
    path: &nn::Path,
    in_channels: i64,
    out_channels: i64,
    expansion: i64,
    stride: i64,
) -> ConvBlock {
    let width = in_channels * expansion;
    let mut layers = Vec::new();
    if expansion != 1 {
        layers.push(ConvNorm::new(path / 0, 0, 1, in_channels, width, 1, 1));
    }
    let depthwise = path / layers.len();
    layers.push(ConvNorm {
        conv: depthwise_conv2d(&depthwise / 0, width, 3).stride(stride).padding(1),
        norm: batch_norm2d(&depthwise / 1, width),
        relu6: true,
    });
    let place = layers.len() as i64;
    let narrow = ConvNorm::new(path.clone(), place, place + 1, width, out_channels, 1, 1);
    layers.push(ConvNorm { relu6: false, ..narrow });
    ConvBlock { layers, shortcut: stride == 1 && in_channels == out_channels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_can_be_stopped_at_and_gone_on_from() -> Result<()> {
        let vs = nn::VarStore::new(Device::Cpu);
        let resnet18 = Backbone::resnet18(vs.root() / "resnet18", 10);
        let mobilenet_v2 = Backbone::mobilenet_v2(vs.root() / "mobilenet_v2", 10);
        for model in [resnet18, mobilenet_v2] {
            let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
            let logits = try_forward(&model, &images, false)?;
            for layer in model.stages() {
                let again = model.logits_from(&model.activations(&images, layer)?, layer)?;
                let difference = (&again - &logits).abs().max().double_value(&[]);
                ensure!(difference < 1e-5, "{} {layer}: {difference}", model.name());
            }
        }
        Ok(())
    }
}
