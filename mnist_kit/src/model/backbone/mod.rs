//! Networks with ImageNet weights, trained further on digits in lesson 5.

mod mobilenet_v2;
mod resnet18;
mod stages;

pub use stages::{Head, Stages};

use self::stages::{End, Stage};
use crate::Result;
use crate::check::expect_layer_sizes;
use anyhow::Context;
use tch::nn::ModuleT;
use tch::{Tensor, nn};

/// A convolutional network as torchvision defines it, under torchvision's names: named stages,
/// global average pooling, and a linear head.
///
/// Layers start with PyTorch's default initialization;
/// [`load_imagenet`](Backbone::load_imagenet) and
/// [`load_pretrained`](crate::weights::load_pretrained) bring trained weights.
///
/// A stage whose parameters are frozen (see [`train_only`](super::train_only)) runs in evaluation
/// mode, BatchNorm included, even while the rest is trained; see
/// [`update_frozen_norm`](Backbone::update_frozen_norm).
///
/// ```
/// use mnist_kit::model::{Backbone, summary, train_only};
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Backbone::resnet18(vs.root(), 10)?;
/// let images = Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// assert_eq!(model.forward_t(&images, false).size(), [2, 10]);
/// assert_eq!(model.body().forward_t(&images, false).size(), [2, 512]);
/// train_only(&vs, &["layer4", "fc"])?;
/// assert_eq!(summary(&vs).trainable(), 8_398_858);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Backbone {
    name: &'static str,
    network: Stages,
    head: Head,
    head_name: &'static str,
    last_stage: &'static [&'static str],
}

impl Backbone {
    /// Returns the name of the architecture: `ResNet18`, `MobileNetV2`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the stages' names, first to last.
    pub fn stages(&self) -> Vec<&str> {
        self.network.names()
    }

    /// Returns the name of the head's linear layer: `fc`, `classifier.1`.
    pub fn head_name(&self) -> &'static str {
        self.head_name
    }

    /// Returns the prefixes of the parameters that lesson 5 trains besides the head in its second
    /// phase: the last stage.
    ///
    /// ```
    /// use mnist_kit::model::{Backbone, train_only};
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10)?;
    /// assert_eq!(model.last_stage(), ["layer4"]);
    /// train_only(&vs, &[model.last_stage(), &[model.head_name()]].concat())?;
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn last_stage(&self) -> &[&'static str] {
        self.last_stage
    }

    /// Returns the network without its head, as a module that maps images to features `[N, F]`.
    /// It shares its weights with this model.
    ///
    /// # Shapes
    /// `[N, 3, H, W]` float32, H and W 32 or more → `[N, 512]` (ResNet18) or `[N, 1280]`
    /// (MobileNetV2).
    pub fn body(&self) -> Stages {
        self.network.part(0..self.network.len(), End::Pool)
    }

    /// Returns the head, as a module that maps features to logits. It shares its weights with this
    /// model.
    pub fn head(&self) -> Head {
        self.head.share()
    }

    /// Splits the network after a stage into two modules: images → activations `[N, C, h, w]`, and
    /// activations → logits. Both share their weights with this model.
    ///
    /// A prefix of several stages' names (`layer4`, `features`) stands for the last of them.
    /// [`grad_cam`](crate::eval::grad_cam) takes the two parts.
    ///
    /// # Errors
    /// If no stage has that name or prefix; the message lists the stages.
    ///
    /// ```
    /// use mnist_kit::model::Backbone;
    /// use tch::nn::ModuleT;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10)?;
    /// let (lower, upper) = model.split_after("layer3")?;
    /// let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
    /// let activations = lower.forward_t(&images, false);
    /// assert_eq!(activations.size(), [2, 256, 4, 4]);
    /// assert_eq!(upper.forward_t(&activations, false), model.forward_t(&images, false));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn split_after(&self, layer: &str) -> Result<(Stages, Stages)> {
        let end = self.network.end_of(layer).with_context(|| {
            format!("{}: no layer {layer}; there are {}", self.name, self.stages().join(", "))
        })?;
        let lower = self.network.part(0..end, End::Activations);
        let upper = self.network.part(end..self.network.len(), End::Logits(self.head()));
        Ok((lower, upper))
    }

    /// Sets whether BatchNorm in frozen stages goes on using and collecting the batches' statistics
    /// during training, as PyTorch does after `model.train()`; defaults to `false`.
    ///
    /// Parts that were split off before keep their setting.
    pub fn update_frozen_norm(&mut self, update: bool) {
        self.network.update_frozen_norm(update);
    }
}

impl ModuleT for Backbone {
    /// # Shapes
    /// `[N, 3, H, W]` float32, H and W 32 or more → `[N, classes]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        self.network.forward_t(images, train)
    }
}

/// What the two architectures differ in, besides their stages.
struct Architecture {
    name: &'static str,
    features: i64,
    dropout: f64,
    head_name: &'static str,
    last_stage: &'static [&'static str],
}

impl Architecture {
    /// Puts a head for `classes` behind the stages that `build` creates.
    fn build(
        self,
        path: &nn::Path,
        classes: i64,
        build: impl FnOnce(&nn::Path) -> Vec<Stage>,
    ) -> Result<Backbone> {
        expect_layer_sizes(&[classes])
            .with_context(|| format!("{}: {classes} classes", self.name))?;
        let stages = build(path);
        let head_path = self.head_name.split('.').fold(path.clone(), |path, part| path / part);
        let head = Head::new(&head_path, self.features, classes, self.dropout);
        Ok(Backbone {
            name: self.name,
            network: Stages::new(self.name, stages, head.share()),
            head,
            head_name: self.head_name,
            last_stage: self.last_stage,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::try_forward;
    use anyhow::ensure;
    use tch::{Device, Kind};

    #[test]
    fn the_network_can_be_split_after_every_stage() -> Result<()> {
        let vs = nn::VarStore::new(Device::Cpu);
        let resnet18 = Backbone::resnet18(vs.root() / "resnet18", 10)?;
        let mobilenet_v2 = Backbone::mobilenet_v2(vs.root() / "mobilenet_v2", 10)?;
        for model in [resnet18, mobilenet_v2] {
            let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
            let logits = try_forward(&model, &images, false)?;
            for layer in model.stages() {
                let (lower, upper) = model.split_after(layer)?;
                let activations = try_forward(&lower, &images, false)?;
                let again = try_forward(&upper, &activations, false)?;
                let difference = (&again - &logits).abs().max().double_value(&[]);
                ensure!(difference < 1e-5, "{} {layer}: {difference}", model.name());
            }
        }
        Ok(())
    }
}
