//! Consecutive stages of a backbone, with weights that several parts of it share.

use crate::Result;
use crate::check::{expect_color_images, expect_together, or_panic};
use crate::model::{Layer, Layers, is_part_of, linear};
use anyhow::ensure;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::nn::{Module, ModuleT};
use tch::{Device, Kind, Tensor, nn};

/// A named stage of the convolutional network.
#[derive(Debug)]
pub(super) struct Stage {
    name: String,
    /// Shared by the backbone and the parts of it. The lock is for the compiler: a `ModuleT` may be
    /// sent to another thread, but not used by two at a time.
    layer: Arc<Mutex<dyn StageLayer>>,
    /// A stage is frozen as a whole, so checking one weight is enough. A stage without weights
    /// counts as frozen.
    weight: Option<Tensor>,
}

impl Stage {
    pub(super) fn new(
        name: impl Into<String>,
        layer: impl StageLayer + 'static,
        weight: Option<&Tensor>,
    ) -> Stage {
        let weight = weight.map(Tensor::shallow_clone);
        Stage { name: name.into(), layer: Arc::new(Mutex::new(layer)), weight }
    }

    fn share(&self) -> Stage {
        let weight = self.weight.as_ref().map(Tensor::shallow_clone);
        Stage { name: self.name.clone(), layer: self.layer.clone(), weight }
    }

    fn is_frozen(&self) -> bool {
        self.weight.as_ref().is_none_or(|weight| !weight.requires_grad())
    }

    fn locked(&self) -> MutexGuard<'_, dyn StageLayer + 'static> {
        // A panic in an earlier forward pass changed no weights.
        self.layer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        self.locked().forward_t(x, train)
    }
}

/// The operation of a stage, and the layers that a diagram shows of it.
pub(super) trait StageLayer: ModuleT + Layers {}

impl<T: ModuleT + Layers> StageLayer for T {}

/// A layer without weights.
#[derive(Debug)]
pub(super) struct Weightless {
    pub layer: fn() -> Layer,
    pub forward: fn(&Tensor) -> Tensor,
}

impl Module for Weightless {
    fn forward(&self, x: &Tensor) -> Tensor {
        (self.forward)(x)
    }
}

impl Layers for Weightless {
    fn layers(&self) -> Vec<Layer> {
        vec![(self.layer)()]
    }
}

/// The layers after the stages.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing: the result is the last stage's, `[N, C, h, w]`.
    Activations,
    /// Global average pooling, `[N, C]`.
    Pool,
    /// Global average pooling and the head, `[N, classes]`.
    Logits(Head),
}

/// A part of a [`Backbone`](super::Backbone) that shares its weights. Made by
/// [`body`](super::Backbone::body) and [`split_after`](super::Backbone::split_after).
#[derive(Debug)]
pub struct Stages {
    model: &'static str,
    stages: Vec<Stage>,
    /// True if the input is images, false if it is an earlier stage's activations.
    takes_images: bool,
    end: End,
    /// Input must have this tensor's dtype and device.
    weight: Tensor,
    update_frozen_norm: bool,
}

impl Stages {
    /// All stages of a network, and its head.
    pub(super) fn new(model: &'static str, stages: Vec<Stage>, head: Head) -> Stages {
        Stages {
            model,
            stages,
            takes_images: true,
            weight: head.linear.ws.shallow_clone(),
            end: End::Logits(head),
            update_frozen_norm: false,
        }
    }

    /// Some of the stages, with another end.
    pub(super) fn part(&self, range: Range<usize>, end: End) -> Stages {
        Stages {
            model: self.model,
            takes_images: self.takes_images && range.start == 0,
            stages: self.stages[range].iter().map(Stage::share).collect(),
            end,
            weight: self.weight.shallow_clone(),
            update_frozen_norm: self.update_frozen_norm,
        }
    }

    /// Returns the same stages followed by global average pooling, without a head. They share their
    /// weights with this part.
    ///
    /// ```
    /// use mnist_kit::model::Backbone;
    /// use tch::nn::ModuleT;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let (lower, upper) = Backbone::resnet18(vs.root(), 10)?.split_before_last_stage();
    /// let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
    /// let activations = lower.forward_t(&images, false);
    /// assert_eq!(upper.body().forward_t(&activations, false).size(), [2, 512]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn body(&self) -> Stages {
        self.part(0..self.len(), End::Pool)
    }

    pub(super) fn len(&self) -> usize {
        self.stages.len()
    }

    /// The layers of all stages.
    pub(super) fn layers(&self) -> Vec<Layer> {
        self.stages.iter().flat_map(|stage| stage.locked().layers()).collect()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    /// The number of stages up to the last one whose name is `layer` or lies under it.
    pub(super) fn end_of(&self, layer: &str) -> Option<usize> {
        Some(self.stages.iter().rposition(|stage| is_part_of(&stage.name, layer))? + 1)
    }

    /// The number of stages before the first one whose name is one of `layers` or lies under it.
    pub(super) fn start_of(&self, layers: &[&str]) -> usize {
        let belongs = |stage: &Stage| layers.iter().any(|layer| is_part_of(&stage.name, layer));
        self.stages.iter().take_while(|stage| !belongs(stage)).count()
    }

    pub(super) fn update_frozen_norm(&mut self, update: bool) {
        self.update_frozen_norm = update;
    }

    fn check(&self, x: &Tensor, train: bool) -> Result<()> {
        let size = x.size();
        if !self.takes_images {
            ensure!(
                size.len() == 4,
                "{}: activations of shape {size:?}, expected [N, C, h, w]",
                self.model
            );
            return expect_together(self.model, x, &self.weight);
        }
        expect_color_images(self.model, x, &self.weight)?;
        // The last stage has one position for each 32 pixels, and libtorch returns NaN for the
        // variance of a single value.
        ensure!(
            !train || size[0] > 1 || size[2].max(size[3]) > 32,
            "{}: a batch of one image of {size:?} leaves BatchNorm a single value to take the \
             variance of; train on batches of 2 or more, with drop_last",
            self.model
        );
        Ok(())
    }

    /// Runs stages in evaluation mode, on a CPU a few images at a time.
    ///
    /// Images do not influence each other in this mode, and the intermediate tensors of a small
    /// chunk take less memory and stay in the processor's cache (PyTorch on two cores, MobileNetV2:
    /// 94 images of 224×224 per second, 82 with 128 at once). A GPU is faster with all of them at
    /// once.
    fn run_in_chunks(x: &Tensor, stages: &[Stage]) -> Tensor {
        const CHUNK: i64 = 8;
        let run = |x: &Tensor| {
            stages.iter().fold(x.shallow_clone(), |x, stage| stage.forward_t(&x, false))
        };
        if stages.is_empty() || x.device() != Device::Cpu || x.size()[0] <= CHUNK {
            return run(x);
        }
        let chunks: Vec<Tensor> = x.split(CHUNK, 0).iter().map(run).collect();
        Tensor::cat(&chunks, 0)
    }
}

impl ModuleT for Stages {
    /// # Shapes
    /// `[N, 3, H, W]` float32, H and W 32 or more, or an earlier part's activations `[N, C, h, w]`
    /// → `[N, C, h, w]`, features `[N, F]` or logits `[N, classes]`.
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        or_panic(self.check(x, train));
        let is_fixed = |stage: &Stage| !train || (stage.is_frozen() && !self.update_frozen_norm);
        let num_fixed = self.stages.iter().take_while(|stage| is_fixed(stage)).count();
        let (fixed, rest) = self.stages.split_at(num_fixed);
        let x = Stages::run_in_chunks(x, fixed);
        let x = rest.iter().fold(x, |x, stage| stage.forward_t(&x, !is_fixed(stage)));
        match &self.end {
            End::Activations => x,
            End::Pool => pooled(&x),
            End::Logits(head) => head.forward_t(&pooled(&x), train),
        }
    }
}

/// Averages over height and width, `[N, C, H, W]` → `[N, C]`.
fn pooled(x: &Tensor) -> Tensor {
    x.adaptive_avg_pool2d([1, 1]).flatten(1, -1)
}

/// The last layer of a [`Backbone`](super::Backbone), as a module of its own: dropout and a linear
/// layer. Made by [`Backbone::head`](super::Backbone::head).
#[derive(Debug)]
pub struct Head {
    linear: nn::Linear,
    dropout: f64,
}

impl Head {
    pub(super) fn new(path: &nn::Path, features: i64, classes: i64, dropout: f64) -> Head {
        Head { linear: linear(path, features, classes), dropout }
    }

    /// The same head once more; both have the same weights.
    pub(super) fn share(&self) -> Head {
        let nn::Linear { ws, bs } = &self.linear;
        let linear =
            nn::Linear { ws: ws.shallow_clone(), bs: bs.as_ref().map(Tensor::shallow_clone) };
        Head { linear, dropout: self.dropout }
    }

    /// Global average pooling, and the head itself.
    pub(super) fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::GlobalAveragePool];
        layers.extend((self.dropout > 0.0).then_some(Layer::Dropout(self.dropout)));
        layers.push(Layer::from(&self.linear));
        layers
    }

    fn check(&self, features: &Tensor) -> Result<()> {
        let (size, count) = (features.size(), self.linear.ws.size()[1]);
        let fits = size.len() >= 2 && size[1..].iter().product::<i64>() == count;
        ensure!(
            fits && features.kind() == Kind::Float,
            "the head got features {:?} {size:?}, expected Float [N, {count}]",
            features.kind()
        );
        expect_together("the head", features, &self.linear.ws)
    }
}

impl ModuleT for Head {
    /// # Shapes
    /// `[N, F]` or `[N, F, 1, 1]` float32 → `[N, classes]`.
    fn forward_t(&self, features: &Tensor, train: bool) -> Tensor {
        or_panic(self.check(features));
        self.linear.forward(&features.flatten(1, -1).dropout(self.dropout, train))
    }
}
