//! Networks with ImageNet weights, trained further on digits in lesson 5.

mod mobilenet_v2;
mod resnet18;
mod stages;

pub use stages::{Head, Stages};

use self::stages::{End, Stage};
use crate::Result;
use crate::check::expect_layer_sizes;
use crate::model::{Layer, Layers};
use anyhow::{Context, bail};
use std::borrow::Borrow;
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
    /// Builds the network of this name, `ResNet18` or `MobileNetV2`.
    ///
    /// # Errors
    /// If the name is another, or `classes` is below 1 or above 65,536.
    ///
    /// ```
    /// use mnist_kit::model::Backbone;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// assert_eq!(Backbone::new(vs.root(), "ResNet18", 10)?.name(), "ResNet18");
    /// assert!(Backbone::new(vs.root(), "ResNet50", 10).is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>, name: &str, classes: i64) -> Result<Backbone> {
        match name {
            "ResNet18" => Backbone::resnet18(path, classes),
            "MobileNetV2" => Backbone::mobilenet_v2(path, classes),
            other => bail!("no backbone is called {other:?}, expected ResNet18 or MobileNetV2"),
        }
    }

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
        self.network.body()
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
        Ok(self.split_at(end))
    }

    /// Splits the network before its [`last_stage`](Backbone::last_stage) into two modules, as
    /// [`split_after`](Backbone::split_after) does.
    ///
    /// While the lower part is frozen, its activations can be computed once, and the upper part be
    /// trained on them.
    ///
    /// ```
    /// use mnist_kit::model::Backbone;
    /// use tch::nn::ModuleT;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10)?;
    /// let (lower, upper) = model.split_before_last_stage();
    /// let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
    /// let activations = lower.forward_t(&images, false);
    /// assert_eq!(activations.size(), [2, 256, 4, 4]);
    /// assert_eq!(upper.forward_t(&activations, false), model.forward_t(&images, false));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn split_before_last_stage(&self) -> (Stages, Stages) {
        self.split_at(self.network.start_of(self.last_stage))
    }

    fn split_at(&self, end: usize) -> (Stages, Stages) {
        let lower = self.network.part(0..end, End::Activations);
        let upper = self.network.part(end..self.network.len(), End::Logits(self.head()));
        (lower, upper)
    }

    /// Sets whether BatchNorm in frozen stages goes on using and collecting the batches' statistics
    /// during training, as PyTorch does after `model.train()`; defaults to `false`.
    ///
    /// Parts that were split off before keep their setting.
    pub fn update_frozen_norm(&mut self, update: bool) {
        self.network.update_frozen_norm(update);
    }
}

impl Layers for Backbone {
    /// Lists the layers for [`network_diagram`](crate::plot::network_diagram), each block as one.
    ///
    /// ```
    /// use mnist_kit::model::Backbone;
    /// use mnist_kit::plot::network_diagram;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::mobilenet_v2(vs.root(), 10)?;
    /// let svg = network_diagram(&model, &[3, 64, 64])?.to_svg()?;
    /// assert!(svg.contains("inverted residual") && svg.contains("2,236,682 parameters"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    fn layers(&self) -> Vec<Layer> {
        let mut layers = self.network.layers();
        layers.extend(self.head.layers());
        layers
    }
}

impl ModuleT for Backbone {
    /// # Shapes
    /// `[N, 3, H, W]` float32, H and W 32 or more → `[N, classes]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        self.network.forward_t(images, train)
    }
}

/// The differences between the two architectures, besides their stages.
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
            let layers = model.layers();
            let again = layers.iter().try_fold(images, |x, layer| layer.forward(&x))?;
            let difference = (&again - &logits).abs().max().double_value(&[]);
            ensure!(difference < 1e-4, "{} by its layers: {difference}", model.name());
        }
        Ok(())
    }
}
