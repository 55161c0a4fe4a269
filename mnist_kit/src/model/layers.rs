//! Layers that start as PyTorch's do.

use std::borrow::Borrow;
use tch::nn;
use tch::nn::Init;

/// A fully connected layer, `[N, in_features]` → `[N, out_features]`.
///
/// Weights and bias start uniform in ±1/√in_features, PyTorch's default for `torch.nn.Linear`
/// (tch's own default is 2.45 times wider).
///
/// ```
/// use mnist_kit::model::linear;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layer = linear(vs.root() / "fc", 784, 10);
/// assert_eq!(layer.ws.size(), [10, 784]);
/// assert!(layer.ws.abs().max().double_value(&[]) <= 1.0 / 28.0);
/// ```
pub fn linear<'a>(
    path: impl Borrow<nn::Path<'a>>,
    in_features: i64,
    out_features: i64,
) -> nn::Linear {
    let bound = 1.0 / (in_features as f64).sqrt();
    let uniform = Init::Uniform { lo: -bound, up: bound };
    let config = nn::LinearConfig { ws_init: uniform, bs_init: Some(uniform), bias: true };
    nn::linear(path, in_features, out_features, config)
}
