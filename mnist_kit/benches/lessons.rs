//! The kit's side of `make bench`: trains as a lesson does, one round for each line on stdin.
//!
//! `lessons ROW IMAGES` answers each line with the seconds and the number of samples of a round, as
//! JSON. A round is one call of `fit` for one epoch over the first IMAGES training images, without
//! evaluation; loading MNIST and building the model are not counted. Exceptions: `augment` transforms
//! a batch, `features` computes the features of a frozen backbone, and `phase1` trains the head on
//! them, too.

use anyhow::{Context, Result, bail};
use mnist_kit::data::{Mnist, Split};
use mnist_kit::model::{Backbone, Cnn, DeepCnn, LeNet, Mlp, ResNet, extract_features, train_only};
use mnist_kit::train::{Adam, AdamW, OptimizerConfig, Sgd, Silent, fit};
use mnist_kit::transform::{Compose, IMAGENET, RandomAffine, RandomRotation};
use std::io::BufRead;
use std::time::Instant;
use tch::{Device, nn};

/// Epochs of the head in lesson 5's first phase.
const HEAD_EPOCHS: usize = 15;

fn main() -> Result<()> {
    mnist_kit::init();
    // `cargo bench` adds its own `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [row, images] = &args[..] else { bail!("usage: lessons ROW IMAGES") };
    let images = images.parse().context("IMAGES is a number")?;
    let mnist = Mnist::load()?;
    tch::manual_seed(1);
    let mut round = rounds_of(row, mnist.train.head(images))?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let started = Instant::now();
        let samples = round()?;
        let seconds = started.elapsed().as_secs_f64();
        println!("{{\"seconds\": {seconds}, \"samples\": {samples}}}");
    }
    Ok(())
}

/// A call that runs one round and returns its number of samples.
type Round = Box<dyn FnMut() -> Result<usize>>;

fn rounds_of(row: &str, split: Split) -> Result<Round> {
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let pixels = Compose::new().to_tensor();
    match row {
        "mlp" => {
            let (mean, std) = split.head(1_000).mean_std()?;
            let transform = pixels.normalize(mean, std).flatten();
            training(Mlp::new(root, 100)?, vs, &split, 128, transform, Adam::new(1e-3))
        }
        "lenet" => {
            let optimizer = Sgd::new(1e-3).momentum(0.9);
            training(LeNet::new(root), vs, &split, 128, pixels.normalize(0.0, 1.0), optimizer)
        }
        "cnn" => training(Cnn::new(root), vs, &split, 100, pixels, Adam::new(1e-3)),
        "deep_cnn" => training(DeepCnn::new(root), vs, &split, 100, pixels, Adam::new(1e-3)),
        "resnet" => training(ResNet::new(root), vs, &split, 64, augmentation(), Adam::new(1e-3)),
        "augment" => augmenting(&split),
        "features" => features(Backbone::resnet18(root, 10)?, vs, &split, None),
        "phase1" => features(Backbone::resnet18(root, 10)?, vs, &split, Some(HEAD_EPOCHS)),
        "phase2" => {
            let model = Backbone::resnet18(root, 10)?;
            let head = model.head_name();
            train_only(&vs, &[model.last_stage(), &[head]].concat())?;
            let batches = split.batches(128)?.transform(&photographs()).shuffle(1).drop_last(true);
            let samples = batches.len() * batches.batch_size();
            Ok(Box::new(move || {
                let run = fit(&model, &vs, &batches).optimizer(AdamW::new(1e-5));
                run.rate(head, 100.0).report(Silent).run()?;
                Ok(samples)
            }))
        }
        other => bail!("no row {other}"),
    }
}

fn training(
    model: impl nn::ModuleT + 'static,
    vs: nn::VarStore,
    split: &Split,
    batch_size: usize,
    transform: Compose,
    optimizer: impl Into<OptimizerConfig>,
) -> Result<Round> {
    let batches = split.batches(batch_size)?.transform(&transform).shuffle(1);
    let (samples, optimizer) = (split.len(), optimizer.into());
    Ok(Box::new(move || {
        fit(&model, &vs, &batches).optimizer(optimizer.clone()).report(Silent).run()?;
        Ok(samples)
    }))
}

/// Lesson 4's augmentation, to which the normalization belongs.
fn augmentation() -> Compose {
    Compose::new()
        .then(RandomRotation::new(10.0))
        .then(RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2))
        .to_tensor()
        .normalize(0.5, 0.5)
}

fn augmenting(split: &Split) -> Result<Round> {
    let (images, transform) = (split.images().shallow_clone(), augmentation());
    let (samples, mut seed) = (split.len(), 0);
    Ok(Box::new(move || {
        seed += 1;
        drop(transform.apply_seeded(&images, seed)?);
        Ok(samples)
    }))
}

/// Lesson 5's training images.
fn photographs() -> Compose {
    Compose::new()
        .then(RandomRotation::new(15.0))
        .then(RandomAffine::new(0.0).translate(0.1, 0.1))
        .resize(224, 224)
        .to_tensor()
        .repeat_channels(3)
        .normalize_channels(IMAGENET)
}

/// Computes features once; with a number of epochs, trains the head on them for that long.
fn features(
    model: Backbone,
    vs: nn::VarStore,
    split: &Split,
    head_epochs: Option<usize>,
) -> Result<Round> {
    train_only(&vs, &[model.head_name()])?;
    let batches = split.batches(128)?.transform(&photographs());
    let samples = split.len() * head_epochs.unwrap_or(1);
    let (body, head) = (model.body(), model.head());
    Ok(Box::new(move || {
        let features = extract_features(&body, &batches, 1)?;
        if let Some(epochs) = head_epochs {
            let batches = features.batches(128)?.shuffle(1);
            let run = fit(&head, &vs, &batches).optimizer(AdamW::new(1e-3));
            run.epochs(epochs).report(Silent).run()?;
        }
        Ok(samples)
    }))
}
