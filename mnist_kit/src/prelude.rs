//! The names that lessons use, for `use mnist_kit::prelude::*;`.
//!
//! Names that one lesson alone needs are imported there from their rooms.

pub use crate::data::{Batches, Mnist, Split};
pub use crate::eval::evaluate;
pub use crate::figure::{Figure, LiveFigure, live};
pub use crate::model::{
    Activation, Cnn, Conv2d, Layer, Layers, LeNet, Mlp, MlpConfig, batch_norm2d, conv2d,
    conv2d_without_bias, linear, linear_xavier, predict, summary, try_forward,
};
pub use crate::pad::digit_pad;
pub use crate::plot::{
    Bars, GridItem, Lines, confidence_grid, image_grid, item_grid, network_diagram, prediction_grid,
};
pub use crate::table::{Table, percent, percent_spread, points, spread, thousands};
pub use crate::train::{
    Adam, AdamW, BatchRecord, EpochRecord, History, Loss, Measure, Progress, Report, RunRecord,
    Schedule, Sgd, Silent, fit, runs_table,
};
pub use crate::transform::{Compose, RandomAffine, RandomRotation, translate};
pub use crate::weights::{load_weights, save_weights};
pub use crate::{NotebookDisplay, Result, environment, output_path, stop_requested};
pub use tch::nn::{self, Module, ModuleT};
pub use tch::{self, Device, Kind, Tensor};
