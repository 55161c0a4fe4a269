//! The same work on a GPU. Without one, these tests say that they are skipped.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::{assert_plain_error, generator, gpu, message};
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::eval::evaluate;
use mnist_kit::model::MlpConfig;
use mnist_kit::train::{Adam, Silent, fit};
use mnist_kit::transform::Compose;
use tch::{Device, Kind, Tensor, nn};

/// Generated digits to train on and to measure on.
fn digits(device: Device) -> Result<(Batches, Batches)> {
    let digits = Mnist::generated(3, 2_000, 500)?;
    let transform = Compose::new().to_tensor();
    let train = digits.train.batches(50)?.transform(&transform).shuffle(1);
    let test = digits.test.batches(100)?.transform(&transform);
    Ok((train.device(device), test.device(device)))
}

/// The initial weights of every run here.
fn initial() -> Result<nn::VarStore> {
    tch::manual_seed(1);
    let vs = nn::VarStore::new(Device::Cpu);
    MlpConfig::default().hidden([32]).build(vs.root())?;
    Ok(vs)
}

/// Losses and test accuracy of a short run on a device.
fn trained(device: Device, mixed: bool) -> Result<(Vec<f64>, f64)> {
    let mut vs = nn::VarStore::new(device);
    let model = MlpConfig::default().hidden([32]).build(vs.root())?;
    vs.copy(&initial()?)?;
    let (train, test) = digits(device)?;
    let run = fit(&model, &vs, &train).optimizer(Adam::new(1e-3)).epochs(3).report(Silent);
    let history = if mixed { run.mixed_precision().run()? } else { run.run()? };
    for (name, weights) in vs.variables() {
        assert_eq!((weights.kind(), weights.device()), (Kind::Float, device), "{name}");
    }
    let losses = history.epochs().iter().map(|epoch| epoch.train_loss).collect();
    Ok((losses, evaluate(&model, &test)?.accuracy()))
}

/// Fails if an earlier error has made the GPU unusable for this process.
fn assert_usable(device: Device) {
    let ones = Tensor::ones([1_000], (Kind::Float, device));
    assert_eq!(ones.sum(Kind::Float).double_value(&[]), 1_000.0);
}

#[test]
fn the_gpu_is_chosen_where_there_is_one() {
    let Some(device) = gpu() else { return };
    assert_eq!(mnist_kit::init(), device);
    let rows = mnist_kit::environment().rows().to_vec();
    assert!(rows.iter().any(|row| row[0] == "CUDA" && row[1] == "yes"), "{rows:?}");
    assert!(!rows.iter().any(|row| row[0] == "device" && row[1].starts_with("CPU")), "{rows:?}");
}

#[test]
fn training_reaches_the_accuracy_of_the_cpu() -> Result<()> {
    let Some(device) = gpu() else { return Ok(()) };
    let _alone = generator();
    let (here, there) = (trained(Device::Cpu, false)?, trained(device, false)?);
    for (cpu, gpu) in here.0.iter().zip(&there.0) {
        assert!((cpu - gpu).abs() < 0.02 * cpu, "losses {:?} and {:?}", here.0, there.0);
    }
    assert!((here.1 - there.1).abs() <= 0.02, "accuracies {} and {}", here.1, there.1);
    Ok(())
}

#[test]
fn mixed_precision_reaches_the_accuracy_of_full_precision() -> Result<()> {
    let Some(device) = gpu() else { return Ok(()) };
    let _alone = generator();
    let (full, mixed) = (trained(device, false)?, trained(device, true)?);
    assert_ne!(full.0, mixed.0, "it must make a difference");
    assert!((full.1 - mixed.1).abs() <= 0.03, "accuracies {} and {}", full.1, mixed.1);
    Ok(())
}

#[test]
fn a_label_without_a_class_is_refused_before_the_gpu_sees_it() -> Result<()> {
    let Some(device) = gpu() else { return Ok(()) };
    let (train, _) = digits(device)?;
    let vs = nn::VarStore::new(device);
    // Five outputs for ten digits. On a GPU the loss would end all work of the process.
    let model = nn::seq().add_fn(|images| images.flatten(1, -1)).add(nn::linear(
        vs.root(),
        784,
        5,
        nn::LinearConfig::default(),
    ));
    let text = message(fit(&model, &vs, &train).report(Silent).run());
    assert!(text.contains('5') && text.contains("class"), "{text}");
    assert_usable(device);
    Ok(())
}

#[test]
fn work_goes_on_after_the_memory_was_too_small() -> Result<()> {
    let Some(device) = gpu() else { return Ok(()) };
    let _alone = generator();
    let (train, _) = digits(device)?;
    let vs = nn::VarStore::new(device);
    let weight = vs.root().zeros("weight", &[784, 10]);
    // 32 TB for the activations of a batch.
    let greedy = nn::func_t(move |images, _| {
        let wide = images.flatten(1, -1).matmul(&weight);
        let copies = wide.unsqueeze(0).repeat([1 << 34, 1, 1]);
        copies.mean_dim(0, false, Kind::Float)
    });
    assert_plain_error("too much memory", fit(&greedy, &vs, &train).report(Silent).run());
    assert_usable(device);
    let (losses, _) = trained(device, false)?;
    assert!(losses[2] < losses[0], "{losses:?}");
    Ok(())
}
