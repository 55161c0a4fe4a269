//! The same numbers as PyTorch, which is asked in the same run.

mod common;

use anyhow::{Context, Result, ensure};
use common::run_python;
use mnist_kit::data::Mnist;
use mnist_kit::model::{Mlp, Model, load_weights, save_weights};
use mnist_kit::train::{Adam, AdamW, OptimizerConfig, Sgd, Silent, fit};
use mnist_kit::transform::Compose;
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Tensor, nn};

fn read(path: &Path) -> Result<HashMap<String, Tensor>> {
    Ok(Tensor::read_safetensors(path)?.into_iter().collect())
}

fn assert_close(ours: &Tensor, theirs: &Tensor, tolerance: f64) -> Result<()> {
    ensure!(ours.size() == theirs.size(), "shapes {:?} and {:?}", ours.size(), theirs.size());
    let difference = (ours - theirs).abs().max().double_value(&[]);
    ensure!(difference <= tolerance, "the largest difference is {difference}, allowed {tolerance}");
    Ok(())
}

/// Runs one of PyTorch's sides of a test on a folder.
fn oracle(task: &str, folder: &Path) -> bool {
    run_python("oracle.py", &[task, folder.to_str().expect("a UTF-8 path")])
}

#[test]
fn pytorch_reads_what_rust_trained() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let digits = Mnist::generated(5, 400, 40)?;
    let transform = Compose::new().to_tensor().normalize(0.1307, 0.3081);
    let train_batches = digits.train.batches(40)?.transform(&transform).shuffle(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 100)?;
    fit(&model, &vs, &train_batches).epochs(2).report(Silent).run()?;
    let images = transform.apply(digits.test.images())?;
    save_weights(&vs, folder.path().join("weights.safetensors"))?;
    Tensor::write_safetensors(&[("images", &images)], folder.path().join("images.safetensors"))?;
    if oracle("logits_of_rust_weights", folder.path()) {
        let theirs = read(&folder.path().join("logits.safetensors"))?;
        assert_close(&model.logits(&images, false)?, &theirs["logits"], 1e-5)?;
    }
    Ok(())
}

#[test]
fn rust_reads_what_pytorch_wrote() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if oracle("weights_for_rust", folder.path()) {
        let vs = nn::VarStore::new(Device::Cpu);
        let model = Mlp::new(vs.root(), 100)?;
        load_weights(&vs, folder.path().join("weights.safetensors"))?;
        let answer = read(&folder.path().join("answer.safetensors"))?;
        assert_close(&model.logits(&answer["images"], false)?, &answer["logits"], 1e-5)?;
    }
    Ok(())
}

#[test]
fn every_optimizer_walks_as_pytorchs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if !oracle("optimizers", folder.path()) {
        return Ok(());
    }
    let batch = read(&folder.path().join("batch.safetensors"))?;
    let optimizers: [(&str, OptimizerConfig); 5] = [
        ("sgd", Sgd::new(0.1).into()),
        ("momentum", Sgd::new(0.05).momentum(0.9).weight_decay(1e-3).into()),
        ("adam", Adam::new(1e-3).into()),
        ("adam_l2", Adam::new(1e-2).betas(0.8, 0.99).weight_decay(1e-2).into()),
        ("adamw", AdamW::new(1e-2).into()),
    ];
    for (name, config) in optimizers {
        let vs = nn::VarStore::new(Device::Cpu);
        let model = Mlp::new(vs.root(), 16)?;
        load_weights(&vs, folder.path().join("weights.safetensors"))?;
        let mut optimizer = config.build(&vs)?;
        for _ in 0..20 {
            optimizer.zero_grad();
            let logits = model.logits(&batch["images"], true)?;
            logits.cross_entropy_for_logits(&batch["labels"]).backward();
            optimizer.step()?;
        }
        let theirs = read(&folder.path().join(format!("{name}.safetensors")))?;
        for (variable, ours) in vs.variables() {
            assert_close(&ours, &theirs[&variable], 2e-5)
                .with_context(|| format!("{name}: {variable}"))?;
        }
    }
    Ok(())
}

#[test]
fn the_same_seed_starts_the_same_model() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if !oracle("initialisation", folder.path()) {
        return Ok(());
    }
    let theirs = read(&folder.path().join("mlp.safetensors"))?;
    tch::manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    Mlp::new(vs.root(), 100)?;
    for (name, ours) in vs.variables() {
        assert_eq!(ours, theirs[&name], "{name}");
    }
    Ok(())
}
