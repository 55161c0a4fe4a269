//! Training: losses, optimizers, schedules, the training loop, histories and checkpoints.

#[path = "../common/mod.rs"]
mod common;

mod checkpoint;
mod fit;
mod history;
mod loss;
mod optimizer;
mod plain;
mod record;
mod schedule;
mod seeded;
mod spoiled;
mod truth;

use anyhow::Result;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::model::Mlp;
use mnist_kit::transform::Compose;
use tch::{Device, nn};

/// A hundred generated digits to train on and fifty to measure on.
fn digits(seed: u64, batch_size: usize) -> Result<(Batches, Batches)> {
    let digits = Mnist::generated(seed, 100, 50)?;
    let transform = Compose::new().to_tensor();
    Ok((
        digits.train.batches(batch_size)?.transform(&transform).shuffle(1),
        digits.test.batches(50)?.transform(&transform),
    ))
}

/// A small network that starts the same each time. Hold the generator while you use it.
fn mlp() -> Result<(nn::VarStore, Mlp)> {
    tch::manual_seed(9);
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 8)?;
    Ok((vs, model))
}
