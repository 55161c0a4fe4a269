//! Models and the layers they are made of.
//!
//! A model is any `tch::nn::ModuleT` that maps a batch of images to logits; every
//! `tch::nn::Module` is one as well. The kit's own models are such modules, so they go into
//! `nn::seq_t()` and `.apply_t(…)` like tch's layers.

mod backbone;
mod cnn;
mod ensemble;
mod extract_features;
mod fast_cnn;
mod forward;
mod layers;
mod mlp;
mod predict;
mod resnet;
mod staged_cnn;
mod structure;
mod summary;

pub use backbone::{Backbone, Head, Stages};
pub use cnn::{Cnn, DeepCnn, LeNet};
pub use ensemble::Ensemble;
pub use extract_features::extract_features;
pub use fast_cnn::FastCnn;
pub use forward::try_forward;
pub use layers::{
    Conv2d, batch_norm2d, conv2d, conv2d_without_bias, depthwise_conv2d, linear, linear_xavier,
};
pub use mlp::{Activation, Mlp, MlpConfig};
pub use predict::{Logits, predict};
pub(crate) use predict::{bar_over, cross_entropy, predict_with};
pub use resnet::{ResNet, ResidualBlock};
pub use staged_cnn::StagedCnn;
pub(crate) use structure::device;
pub use structure::{Layer, Layers};
pub(crate) use summary::is_part_of;
pub use summary::{Summary, named_parameters, summary, train_only};
