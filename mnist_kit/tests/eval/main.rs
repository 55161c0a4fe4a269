//! Evaluation: predictions, metrics, the confusion matrix and calibration.

#[path = "../common/mod.rs"]
mod common;

mod calibration;
mod confusion;
mod evaluation;
mod grad_cam;
mod plain;

use anyhow::Result;
use mnist_kit::data::{Batches, Split};
use mnist_kit::transform::Compose;
use tch::{Kind, Tensor, nn};

/// Predicts the class in the first pixel, the more confident the brighter the second one is.
#[derive(Debug)]
struct Reader;

impl nn::Module for Reader {
    fn forward(&self, images: &Tensor) -> Tensor {
        let pixels = images.flatten(1, -1) * 255.0;
        let class = pixels.select(1, 0).to_kind(Kind::Int64);
        class.one_hot(3) * (pixels.select(1, 1).unsqueeze(1) / 10.0)
    }
}

/// Five images for [`Reader`], which classifies the first three correctly.
fn known() -> Result<Batches> {
    let images = Tensor::from_slice(&[0u8, 10, 1, 20, 2, 30, 0, 40, 1, 50]).view([5, 1, 1, 2]);
    let split = Split::new("known", images, Tensor::from_slice(&[0i64, 1, 2, 1, 2]), 3)?;
    Ok(split.batches(2)?.transform(&Compose::new().to_tensor()))
}
