//! What a lesson uses, for `use mnist_kit::prelude::*;`: the kit's own names, and tch's tensors and
//! layers.

pub use crate::data::{Batches, ClassCounts, Mnist, Split};
pub use crate::eval::{
    Bins, ConfusionMatrix, Evaluation, Prediction, average_precisions, evaluate, f1_scores,
    grad_cam,
};
pub use crate::figure::Figure;
pub use crate::model::{
    Activation, Backbone, Cnn, Conv2d, DeepCnn, LeNet, Mlp, MlpConfig, ResNet, ResidualBlock,
    batch_norm2d, conv2d, conv2d_without_bias, features, linear, linear_xavier, predict, summary,
    train_only, try_forward,
};
pub use crate::plot::{
    Bars, GridItem, Lines, confidence_histogram, image_grid, item_grid, prediction_grid,
};
pub use crate::table::{Table, percent, thousands};
pub use crate::train::{
    Adam, AdamW, BatchRecord, EpochRecord, History, Loss, Measure, Progress, Report, Schedule, Sgd,
    Silent, fit,
};
pub use crate::transform::{
    Compose, IMAGENET, RandomAffine, RandomRotation, gaussian_blur, sobel_magnitude, sobel_x,
    sobel_y, translate,
};
pub use crate::weights::{load_pretrained, load_weights, save_weights};
pub use crate::{NotebookDisplay, Result, environment, machine_table, output_path};
pub use tch::nn::{self, Module, ModuleT};
pub use tch::{self, Device, Kind, Tensor};
