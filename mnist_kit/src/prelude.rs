//! What a lesson uses, for `use mnist_kit::prelude::*;`: the kit's own names, and tch's tensors and
//! layers.

pub use crate::data::{Batches, Mnist, Split};
pub use crate::eval::{ConfusionMatrix, Evaluation, Prediction, evaluate};
pub use crate::model::{
    Activation, Cnn, Conv2d, DeepCnn, LeNet, Mlp, MlpConfig, Model, ResNet, ResidualBlock,
    batch_norm2d, conv2d, conv2d_without_bias, linear, linear_xavier, load_weights, predict,
    save_weights, summary,
};
pub use crate::plot::{Figure, GridItem, Lines, confidence, grid, grid_of, predictions};
pub use crate::table::{Table, thousands};
pub use crate::train::{
    Adam, AdamW, CostLines, EpochLines, EpochRecord, History, LossLines, Optimizer, Progress,
    Schedule, Sgd, Silent, fit,
};
pub use crate::transform::{
    Compose, RandomAffine, RandomRotation, gaussian_blur, sobel_magnitude, sobel_x, sobel_y,
    translate,
};
pub use crate::{Result, environment, output};
pub use tch::nn::{self, Module, ModuleT};
pub use tch::{self, Device, Kind, Tensor};
