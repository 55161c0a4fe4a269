//! A model's layers in order: what diagrams and the digit pad read.

use super::layers::Conv2d;
use super::mlp::Activation;
use super::resnet::ResidualBlock;
use crate::Result;
use crate::check::{describe, plain};
use anyhow::Context;
use std::fmt::{self, Display, Formatter};
use tch::{Device, Tensor, nn};

/// A model that lists its layers in order.
///
/// The kit's own models implement it. For a model of your own it takes a few lines, and
/// [`network_diagram`](crate::plot::network_diagram) and [`digit_pad`](crate::pad::digit_pad) then
/// accept the model:
///
/// ```
/// use mnist_kit::prelude::*;
///
/// struct TwoLayers {
///     hidden: nn::Linear,
///     output: nn::Linear,
/// }
///
/// impl Layers for TwoLayers {
///     fn layers(&self) -> Vec<Layer> {
///         vec![
///             Layer::Flatten,
///             Layer::from(&self.hidden),
///             Layer::Relu,
///             Layer::from(&self.output),
///         ]
///     }
/// }
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let path = vs.root();
/// let model = TwoLayers {
///     hidden: linear(&path / "hidden", 784, 100),
///     output: linear(&path / "output", 100, 10),
/// };
/// let diagram = network_diagram(&model, &[1, 28, 28])?;
/// assert!(diagram.to_svg()?.contains("784 → 100"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub trait Layers {
    /// Returns the layers, first to last, with shallow clones of their weights.
    ///
    /// Applied one after another, they have to give the model's output in evaluation mode.
    fn layers(&self) -> Vec<Layer>;
}

/// One layer of a model, with what is needed to compute it in evaluation mode.
///
/// Layers with weights are made `from` the layer itself: `Layer::from(&self.conv1)`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Layer {
    /// A fully connected layer, `[N, in_features]` → `[N, out_features]`.
    Linear {
        /// `[out_features, in_features]`
        ws: Tensor,
        /// `[out_features]`
        bs: Option<Tensor>,
    },
    /// A convolution, `[N, in_channels, H, W]` → `[N, out_channels, H', W']`.
    Conv2d {
        /// `[out_channels, in_channels / groups, kernel, kernel]`
        ws: Tensor,
        /// `[out_channels]`
        bs: Option<Tensor>,
        /// In pixels, the same in both directions.
        stride: i64,
        /// Rows and columns of zeros around the image.
        padding: i64,
        /// 1, or the number of channels in a depthwise convolution.
        groups: i64,
    },
    /// Batch normalization by running statistics, each `[channels]`; eps is 1e-5.
    BatchNorm2d {
        /// The scale.
        ws: Option<Tensor>,
        /// The shift.
        bs: Option<Tensor>,
        /// The running mean.
        mean: Tensor,
        /// The running variance.
        variance: Tensor,
    },
    /// max(0, x)
    Relu,
    /// min(max(0, x), 6)
    Relu6,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// Max pooling over squares of `kernel` pixels.
    MaxPool2d {
        /// Height and width of a square.
        kernel: i64,
        /// Distance between two squares, in pixels.
        stride: i64,
        /// Rows and columns around the image, which never are the maximum.
        padding: i64,
    },
    /// The mean of each channel, `[N, C, H, W]` → `[N, C]`.
    GlobalAveragePool,
    /// `[N, …]` → `[N, values]`.
    Flatten,
    /// Dropout of this fraction, which does nothing in evaluation mode.
    Dropout(f64),
    /// The sum of two branches, then ReLU: max(0, main(x) + shortcut(x)).
    Residual {
        /// The layers of the main branch.
        main: Vec<Layer>,
        /// The layers of the shortcut; none for the input itself.
        shortcut: Vec<Layer>,
    },
    /// The inverted residual of MobileNetV2: the layers, plus their input where there is a shortcut.
    InvertedResidual {
        /// The layers of the main branch.
        main: Vec<Layer>,
        /// True if the input is added to their output.
        shortcut: bool,
    },
}

impl From<&nn::Linear> for Layer {
    fn from(layer: &nn::Linear) -> Layer {
        Layer::Linear { ws: layer.ws.shallow_clone(), bs: shared(&layer.bs) }
    }
}

impl From<&Conv2d> for Layer {
    fn from(layer: &Conv2d) -> Layer {
        Layer::Conv2d {
            ws: layer.ws.shallow_clone(),
            bs: shared(&layer.bs),
            stride: layer.stride,
            padding: layer.padding,
            groups: layer.groups,
        }
    }
}

impl From<&nn::BatchNorm> for Layer {
    fn from(layer: &nn::BatchNorm) -> Layer {
        Layer::BatchNorm2d {
            ws: shared(&layer.ws),
            bs: shared(&layer.bs),
            mean: layer.running_mean.shallow_clone(),
            variance: layer.running_var.shallow_clone(),
        }
    }
}

impl Layers for Conv2d {
    fn layers(&self) -> Vec<Layer> {
        vec![Layer::from(self)]
    }
}

impl Layers for nn::BatchNorm {
    fn layers(&self) -> Vec<Layer> {
        vec![Layer::from(self)]
    }
}

impl From<&ResidualBlock> for Layer {
    fn from(block: &ResidualBlock) -> Layer {
        block.layer()
    }
}

impl From<Activation> for Layer {
    fn from(activation: Activation) -> Layer {
        match activation {
            Activation::Relu => Layer::Relu,
            Activation::Tanh => Layer::Tanh,
            Activation::Sigmoid => Layer::Sigmoid,
        }
    }
}

fn shared(tensor: &Option<Tensor>) -> Option<Tensor> {
    tensor.as_ref().map(Tensor::shallow_clone)
}

impl Layer {
    /// Creates max pooling over squares of `kernel` pixels that lie side by side, without padding.
    pub fn max_pool(kernel: i64) -> Layer {
        Layer::MaxPool2d { kernel, stride: kernel, padding: 0 }
    }

    /// Computes the layer's output in evaluation mode, without gradients.
    ///
    /// # Errors
    /// If `x` has a shape, dtype or device that the layer cannot take; the message names the layer.
    ///
    /// ```
    /// use mnist_kit::model::Layer;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let x = Tensor::zeros([1, 6, 24, 24], (Kind::Float, Device::Cpu));
    /// assert_eq!(Layer::max_pool(2).forward(&x)?.size(), [1, 6, 12, 12]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        plain(self.output(x))
            .with_context(|| format!("the layer {self} cannot process {}", describe(x)))
    }

    fn output(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Layer::Linear { ws, bs } => x.f_linear(ws, bs.as_ref())?,
            Layer::Conv2d { ws, bs, stride, padding, groups } => {
                let (stride, padding) = ([*stride; 2], [*padding; 2]);
                x.f_conv2d(ws, bs.as_ref(), stride, padding, [1, 1], *groups)?
            }
            Layer::BatchNorm2d { ws, bs, mean, variance } => {
                let (mean, variance) = (Some(mean), Some(variance));
                x.f_batch_norm(ws.as_ref(), bs.as_ref(), mean, variance, false, 0.1, 1e-5, false)?
            }
            Layer::Relu => x.f_relu()?,
            Layer::Relu6 => x.f_relu6()?,
            Layer::Tanh => x.f_tanh()?,
            Layer::Sigmoid => x.f_sigmoid()?,
            Layer::MaxPool2d { kernel, stride, padding } => {
                x.f_max_pool2d([*kernel; 2], [*stride; 2], [*padding; 2], [1, 1], false)?
            }
            Layer::GlobalAveragePool => x.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?,
            Layer::Flatten => x.f_flatten(1, -1)?,
            Layer::Dropout(_) => x.shallow_clone(),
            Layer::Residual { main, shortcut } => {
                in_order(main, x)?.f_add(&in_order(shortcut, x)?)?.f_relu()?
            }
            Layer::InvertedResidual { main, shortcut: true } => in_order(main, x)?.f_add(x)?,
            Layer::InvertedResidual { main, shortcut: false } => in_order(main, x)?,
        })
    }

    /// Returns the number of parameters.
    pub fn parameters(&self) -> i64 {
        let count = |tensors: [Option<&Tensor>; 2]| {
            tensors.into_iter().flatten().map(|tensor| tensor.numel() as i64).sum()
        };
        match self {
            Layer::Linear { ws, bs } | Layer::Conv2d { ws, bs, .. } => {
                count([Some(ws), bs.as_ref()])
            }
            Layer::BatchNorm2d { ws, bs, .. } => count([ws.as_ref(), bs.as_ref()]),
            Layer::Residual { main, shortcut } => {
                main.iter().chain(shortcut).map(Layer::parameters).sum()
            }
            Layer::InvertedResidual { main, .. } => main.iter().map(Layer::parameters).sum(),
            _ => 0,
        }
    }

    /// The layer's name and its settings: `conv 5×5`, then `1 → 6`.
    pub(crate) fn words(&self) -> (String, Vec<String>) {
        match self {
            Layer::Linear { ws, .. } => ("linear".to_string(), features(ws, 1)),
            Layer::Conv2d { ws, stride, padding, groups, .. } => {
                let size = ws.size();
                let name = match size[..] {
                    [_, _, height, width] => format!("conv {height}×{width}"),
                    _ => "conv".to_string(),
                };
                let mut settings = features(ws, *groups);
                settings.extend((*stride != 1).then(|| format!("stride {stride}")));
                settings.extend((*padding != 0).then(|| format!("padding {padding}")));
                settings.extend((*groups != 1).then(|| format!("groups {groups}")));
                (name, settings)
            }
            Layer::BatchNorm2d { .. } => ("BatchNorm".to_string(), Vec::new()),
            Layer::Relu => ("ReLU".to_string(), Vec::new()),
            Layer::Relu6 => ("ReLU6".to_string(), Vec::new()),
            Layer::Tanh => ("tanh".to_string(), Vec::new()),
            Layer::Sigmoid => ("sigmoid".to_string(), Vec::new()),
            Layer::MaxPool2d { kernel, stride, padding } => {
                let mut settings = Vec::new();
                settings.extend((stride != kernel).then(|| format!("stride {stride}")));
                settings.extend((*padding != 0).then(|| format!("padding {padding}")));
                (format!("max pool {kernel}×{kernel}"), settings)
            }
            Layer::GlobalAveragePool => ("average pool".to_string(), vec!["global".to_string()]),
            Layer::Flatten => ("flatten".to_string(), Vec::new()),
            Layer::Dropout(fraction) => (format!("dropout {fraction}"), Vec::new()),
            Layer::Residual { main, .. } => {
                let first = main.iter().find(|layer| matches!(layer, Layer::Conv2d { .. }));
                let settings = first.map_or_else(Vec::new, |conv| {
                    let (_, settings) = conv.words();
                    settings.into_iter().filter(|setting| !setting.starts_with("padding")).collect()
                });
                ("residual block".to_string(), settings)
            }
            Layer::InvertedResidual { main, .. } => {
                let mut channels = Vec::new();
                let mut total_stride = 1;
                for layer in main {
                    if let Layer::Conv2d { ws, stride, groups, .. } = layer {
                        channels.extend([ws.size()[1] * groups, ws.size()[0]]);
                        total_stride *= stride;
                    }
                }
                let mut settings = Vec::new();
                if let [inputs, .., outputs] = channels[..] {
                    settings.push(format!("{inputs} → {outputs}"));
                }
                settings.extend((total_stride != 1).then(|| format!("stride {total_stride}")));
                ("inverted residual".to_string(), settings)
            }
        }
    }
}

/// Applies layers one after another.
fn in_order(layers: &[Layer], x: &Tensor) -> Result<Tensor> {
    layers.iter().try_fold(x.shallow_clone(), |x, layer| layer.output(&x))
}

/// The device of the layers' weights; the CPU if there are no weights.
pub(crate) fn device(layers: &[Layer]) -> Device {
    fn weight(layer: &Layer) -> Option<&Tensor> {
        match layer {
            Layer::Linear { ws, .. } | Layer::Conv2d { ws, .. } => Some(ws),
            Layer::BatchNorm2d { mean, .. } => Some(mean),
            Layer::Residual { main, .. } | Layer::InvertedResidual { main, .. } => {
                main.iter().find_map(weight)
            }
            _ => None,
        }
    }
    layers.iter().find_map(weight).map_or(Device::Cpu, Tensor::device)
}

/// The numbers of inputs and outputs of a weight: `256 → 120`.
fn features(ws: &Tensor, groups: i64) -> Vec<String> {
    match ws.size()[..] {
        [outputs, inputs, ..] => vec![format!("{} → {outputs}", inputs * groups)],
        _ => Vec::new(),
    }
}

impl Display for Layer {
    /// Writes the layer in one line: `conv 5×5, 1 → 6`.
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let (name, settings) = self.words();
        f.write_str(&name)?;
        settings.iter().try_for_each(|setting| write!(f, ", {setting}"))
    }
}
