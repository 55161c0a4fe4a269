//! The multi-layer perceptron (MLP) of lesson 1 and its variations.

use super::{Layer, Layers, linear};
use crate::Result;
use crate::check::{expect_layer_sizes, expect_together, expect_values, or_panic};
use anyhow::ensure;
use std::borrow::Borrow;
use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

/// The activation function between two linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// max(0, x)
    #[default]
    Relu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
}

impl Activation {
    fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Activation::Relu => x.relu(),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => x.sigmoid(),
        }
    }
}

/// Configuration of an [`Mlp`]; defaults to lesson 1's 784 → 100 → 10 with ReLU.
#[derive(Clone, Debug, PartialEq)]
pub struct MlpConfig {
    inputs: i64,
    hidden: Vec<i64>,
    classes: i64,
    activation: Activation,
    dropout: f64,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig {
            inputs: 784,
            hidden: vec![100],
            classes: 10,
            activation: Activation::Relu,
            dropout: 0.0,
        }
    }
}

impl MlpConfig {
    /// Sets the number of values of one image; defaults to 784.
    pub fn inputs(mut self, inputs: i64) -> MlpConfig {
        self.inputs = inputs;
        self
    }

    /// Sets the number of neurons of each hidden layer, first to last; defaults to `[100]`.
    pub fn hidden(mut self, sizes: impl Into<Vec<i64>>) -> MlpConfig {
        self.hidden = sizes.into();
        self
    }

    /// Sets the number of classes; defaults to 10.
    pub fn classes(mut self, classes: i64) -> MlpConfig {
        self.classes = classes;
        self
    }

    /// Sets the activation after each hidden layer; defaults to [`Activation::Relu`].
    pub fn activation(mut self, activation: Activation) -> MlpConfig {
        self.activation = activation;
        self
    }

    /// Sets the fraction of hidden values that dropout sets to 0 during training; defaults to 0.
    pub fn dropout(mut self, fraction: f64) -> MlpConfig {
        self.dropout = fraction;
        self
    }

    /// Builds the model, with its parameters under `path`.
    ///
    /// # Errors
    /// If a size is below 1 or above 65,536, or the dropout is not 0 ≤ fraction < 1.
    pub fn build<'a>(&self, path: impl Borrow<nn::Path<'a>>) -> Result<Mlp> {
        let path = path.borrow();
        let sizes: Vec<i64> =
            [self.inputs].iter().chain(&self.hidden).chain([&self.classes]).copied().collect();
        expect_layer_sizes(&sizes)?;
        ensure!(
            (0.0..1.0).contains(&self.dropout),
            "dropout {}: expected 0 ≤ fraction < 1",
            self.dropout
        );
        // In PyTorch's nn.Sequential, activation and dropout have a number of their own.
        let step = if self.dropout > 0.0 { 3 } else { 2 };
        let layers = sizes
            .windows(2)
            .enumerate()
            .map(|(i, size)| linear(path / "layers" / (i * step), size[0], size[1]))
            .collect();
        Ok(Mlp { layers, inputs: self.inputs, activation: self.activation, dropout: self.dropout })
    }
}

/// A multi-layer perceptron: linear layers with an activation between them.
///
/// In a state dict the layers are named `layers.0`, `layers.2`, …, as PyTorch numbers
/// `nn.Sequential(Linear, ReLU, Linear)`; with dropout `layers.0`, `layers.3`, ….
#[derive(Debug)]
pub struct Mlp {
    layers: Vec<nn::Linear>,
    inputs: i64,
    activation: Activation,
    dropout: f64,
}

impl Mlp {
    /// Builds lesson 1's model: 784 → `hidden` → 10 with ReLU; 79,510 parameters for 100 hidden
    /// neurons.
    ///
    /// # Errors
    /// If `hidden` is below 1 or above 65,536.
    ///
    /// ```
    /// use mnist_kit::model::{Mlp, summary};
    /// use tch::nn::ModuleT;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Mlp::new(vs.root(), 100)?;
    /// let images = Tensor::rand([2, 1, 28, 28], (Kind::Float, Device::Cpu));
    /// assert_eq!(model.forward_t(&images, false).size(), [2, 10]);
    /// assert_eq!(summary(&vs).total(), 79_510);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>, hidden: i64) -> Result<Mlp> {
        MlpConfig::default().hidden([hidden]).build(path)
    }
}

impl ModuleT for Mlp {
    /// # Shapes
    /// `[N, 784]` or `[N, 1, 28, 28]` float32 → `[N, 10]` (other sizes as configured).
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        or_panic(expect_values("Mlp", images, self.inputs));
        or_panic(expect_together("Mlp", images, &self.layers[0].ws));
        let mut x = images.flatten(1, -1);
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.activation.apply(&x);
                if self.dropout > 0.0 {
                    x = x.dropout(self.dropout, train);
                }
            }
            x = layer.forward(&x);
        }
        x
    }
}

impl Layers for Mlp {
    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::Flatten];
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                layers.push(self.activation.into());
                layers.extend((self.dropout > 0.0).then_some(Layer::Dropout(self.dropout)));
            }
            layers.push(layer.into());
        }
        layers
    }
}
