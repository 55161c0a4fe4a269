//! Samples a second, for `make bench`, which runs PyTorch beside it.
//!
//! `speed train MODEL BATCH STEPS` times training steps (forward, loss, backward, Adam) on one batch
//! that stays in memory; `speed augment IMAGES ROUNDS` times lesson 4's augmentation of one batch. Each
//! prints the samples a second of its median round.

use anyhow::{Context, Result, bail};
use mnist_kit::data::Mnist;
use mnist_kit::model::{Cnn, DeepCnn, LeNet, Mlp, ResNet, try_forward};
use mnist_kit::train::Adam;
use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
use std::time::Instant;
use tch::{Device, nn};

/// Rounds before the measured ones, in which memory is allocated and kernels are chosen.
const WARM_UP: usize = 3;

fn main() -> Result<()> {
    mnist_kit::init();
    // `cargo bench` adds its own `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let rate = match args[..] {
        ["train", model, batch_size, steps] => train(model, batch_size.parse()?, steps.parse()?)?,
        ["augment", images, rounds] => augment(images.parse()?, rounds.parse()?)?,
        _ => bail!("usage: speed train MODEL BATCH STEPS | speed augment IMAGES ROUNDS"),
    };
    println!("{rate}");
    Ok(())
}

fn train(model: &str, batch_size: usize, steps: usize) -> Result<f64> {
    tch::manual_seed(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let model: Box<dyn nn::ModuleT> = match model {
        "mlp" => Box::new(Mlp::new(vs.root(), 100)?),
        "lenet" => Box::new(LeNet::new(vs.root())),
        "cnn" => Box::new(Cnn::new(vs.root())),
        "deep_cnn" => Box::new(DeepCnn::new(vs.root())),
        "resnet" => Box::new(ResNet::new(vs.root())),
        other => bail!("no model {other}"),
    };
    let mut optimizer = Adam::new(1e-3).build(&vs)?;
    let digits = Mnist::generated(1, batch_size, 1)?;
    let batches = digits.train.batches(batch_size)?.transform(&Compose::new().to_tensor());
    let (images, labels) = batches.first()?;
    median_rate(batch_size as f64, steps, || {
        let loss = try_forward(&*model, &images, true)?.cross_entropy_for_logits(&labels);
        optimizer.zero_grad();
        loss.backward();
        optimizer.step()
    })
}

fn augment(count: usize, rounds: usize) -> Result<f64> {
    let images = Mnist::generated(1, count, 1)?.train.images().shallow_clone();
    let transform = Compose::new()
        .then(RandomRotation::new(10.0))
        .then(RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2))
        .to_tensor()
        .normalize(0.5, 0.5);
    let mut seed = 0;
    median_rate(count as f64, rounds, || {
        seed += 1;
        transform.apply_seeded(&images, seed).map(drop)
    })
}

fn median_rate(samples: f64, rounds: usize, mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::new();
    for index in 0..WARM_UP + rounds {
        let started = Instant::now();
        round()?;
        if index >= WARM_UP {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(samples / seconds.get(rounds / 2).context("no round")?)
}
