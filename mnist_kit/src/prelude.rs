//! What a lesson uses, for `use mnist_kit::prelude::*;`: the kit's own names, and tch's tensors and
//! layers.

pub use crate::data::{Batches, Mnist, Split};
pub use crate::eval::{ConfusionMatrix, Evaluation, Prediction, evaluate};
pub use crate::model::{
    Activation, Mlp, MlpConfig, Model, linear, load_weights, predict, save_weights, summary,
};
pub use crate::plot::{Figure, confidence, grid, predictions};
pub use crate::table::{Table, thousands};
pub use crate::train::{Adam, AdamW, History, Optimizer, Progress, Sgd, Silent, fit};
pub use crate::transform::Compose;
pub use crate::{Result, environment, output};
pub use tch::nn::{self, Module, ModuleT};
pub use tch::{self, Device, Kind, Tensor};
