//! What a lesson uses, for `use mnist_kit::prelude::*;`: the kit's own names, and tch's tensors and
//! layers.

pub use crate::data::{Batches, ClassCounts, Mnist, Split};
pub use crate::eval::{
    Bins, ConfusionMatrix, Evaluation, Prediction, average_precisions, evaluate, f1_scores,
    grad_cam,
};
pub use crate::model::{
    Activation, Backbone, Cnn, Conv2d, DeepCnn, LeNet, Mlp, MlpConfig, ResNet, ResidualBlock,
    batch_norm2d, conv2d, conv2d_without_bias, extract_features, linear, linear_xavier, predict,
    summary, train_only, try_forward,
};
pub use crate::plot::{
    Bars, Figure, GridItem, Lines, confidence, confidence_histogram, grid, grid_of, predictions,
};
pub use crate::table::{Table, thousands};
pub use crate::train::{
    Adam, AdamW, CostLines, EpochLines, EpochRecord, History, Loss, LossLines, Optimizer, Progress,
    Schedule, Sgd, Silent, fit,
};
pub use crate::transform::{
    Compose, IMAGENET, RandomAffine, RandomRotation, gaussian_blur, sobel_magnitude, sobel_x,
    sobel_y, translate,
};
pub use crate::weights::{load_pretrained, load_weights, save_weights};
pub use crate::{Result, environment, machine_table, output_path};
pub use tch::nn::{self, Module, ModuleT};
pub use tch::{self, Device, Kind, Tensor};
