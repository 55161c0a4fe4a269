//! Layers that start as PyTorch's do.

use std::borrow::Borrow;
use tch::nn;
use tch::nn::Init;

/// A fully connected layer, `[N, in_features]` → `[N, out_features]`.
///
/// Weights and bias start uniform in ±1/√in_features, PyTorch's default for `torch.nn.Linear`
/// (tch's own default is 2.45 times wider), and are drawn in PyTorch's order: the same seed gives
/// the same layer.
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
    let path = path.borrow();
    let ws = path.var("weight", &[out_features, in_features], uniform);
    nn::Linear { ws, bs: Some(path.var("bias", &[out_features], uniform)) }
}
