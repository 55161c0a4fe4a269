//! The program `mnist`, as a user calls it.

use anyhow::{Context, Result};
use mnist_kit::model::{Mlp, load_weights};
use std::path::Path;
use std::process::{Command, Output};
use tch::{Device, nn};

/// Runs the program without network, cache and data folder: it draws its own digits.
fn mnist(folder: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mnist"));
    command.args(args).current_dir(folder).env_remove("MNIST_KIT_DATA");
    command
        .env("MNIST_KIT_OFFLINE", "1")
        .env("MNIST_KIT_CACHE", folder)
        .env("MNIST_KIT_QUICK", "1");
    Ok(command.output()?)
}

#[test]
fn the_perceptron_trains_and_leaves_figures_and_weights() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let args = ["mlp", "--epochs", "2", "--hidden", "20", "--out", "here", "--format", "svg"];
    let output = mnist(folder.path(), &args)?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("generated digits (not MNIST)"), "{said}");
    assert!(said.contains("Epoch 2/2: loss"), "{said}");
    let made = folder.path().join("here");
    for name in ["samples", "curves", "predictions", "confusion", "confusion_normalized"] {
        let figure = std::fs::read_to_string(made.join(format!("mlp_{name}.svg"))).context(name)?;
        assert!(
            figure.contains("generated digits (not MNIST)"),
            "{name} does not say what it shows"
        );
    }
    let vs = nn::VarStore::new(Device::Cpu);
    Mlp::new(vs.root(), 20)?;
    load_weights(&vs, made.join("mlp.safetensors"))
}

#[test]
fn a_network_goes_on_from_its_checkpoint() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |epochs| -> Result<String> {
        let output = mnist(folder.path(), &["lenet", "--epochs", epochs, "--checkpoint", "run"])?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    assert!(run("1")?.contains("Epoch 1/1: loss"));
    let second = run("2")?;
    assert!(second.contains("Epoch 2/2: loss") && !second.contains("Epoch 1/2"), "{second}");
    Ok(())
}

#[test]
fn a_wrong_call_is_refused_in_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (args, message) in [
        (["mlp", "--data", "nowhere"], "nowhere"),
        (["mlp", "--batch-size", "0"], "batch size 0"),
        (["mlp", "--lr=-1", "--epochs=1"], "learning rate -1"),
    ] {
        let output = mnist(folder.path(), &args)?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && said.contains(message), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    Ok(())
}
