//! The program `mnist`, as a user calls it.

use anyhow::{Context, Result};
use image::GrayImage;
use mnist_kit::data::Mnist;
use mnist_kit::model::{Backbone, Mlp};
use mnist_kit::table::percent;
use mnist_kit::train::{History, RunRecord};
use mnist_kit::weights::{load_weights, save_weights};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tch::{Device, Tensor, nn};

/// Runs the program without network, cache and data folder, so that it draws its own digits.
fn mnist(folder: &Path, args: &[&str]) -> Result<Output> {
    Ok(command(folder, args).output()?)
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mnist"));
    command.args(args).current_dir(folder).env_remove("MNIST_KIT_DATA");
    command
        .env("MNIST_KIT_OFFLINE", "1")
        .env("MNIST_KIT_CACHE", folder)
        .env("MNIST_KIT_QUICK", "1");
    command
}

#[test]
fn the_perceptron_trains_and_saves_figures_weights_and_history() -> Result<()> {
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
fn a_run_keeps_its_record_across_an_interruption() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("records").join("lenet_7.json");
    let run = |epochs: &str, record: &str| -> Result<Output> {
        let args = ["lenet", "--seed", "7", "--epochs", epochs, "--batch-size", "500"];
        mnist(folder.path(), &[&args[..], &["--checkpoint", "run", "--record", record]].concat())
    };
    let said = String::from_utf8(run("1", "records/lenet_7.json")?.stdout)?;
    let first = RunRecord::load(&path)?;
    let line = said.lines().find(|line| line.starts_with("Epoch 1/1")).context("a line")?;
    assert_eq!(first.log, format!("{line}\n"));
    assert_eq!((first.model.as_str(), first.seed, first.device.as_str()), ("lenet", 7, "CPU"));
    assert_eq!(first.settings["epochs"], 1);
    assert_eq!(first.settings["batch_size"], 500);
    assert_eq!(first.settings["schedule"], "constant");
    assert!(first.threads > 0 && first.date.starts_with("20") && first.date.len() == 10);
    assert_eq!(first.history.note(), Some("quick mode, generated digits (not MNIST)"));

    assert!(run("3", "records/lenet_7.json")?.status.success());
    let second = RunRecord::load(&path)?;
    let lines: Vec<&str> = second.log.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], line, "the earlier log stays");
    assert!(lines[1].starts_with("Resumed after epoch 1 on 20"), "{lines:?}");
    assert!(lines[2].starts_with("Epoch 2/3: loss") && lines[3].starts_with("Epoch 3/3: loss"));
    assert_eq!(second.history.epochs().len(), 3);
    // The test is that of the last epoch.
    let counts = second.test()?.confusion_matrix()?;
    let right: u64 = (0..10).map(|class| counts.counts()[class][class]).sum();
    let total: u64 = counts.counts().iter().flatten().sum();
    assert_eq!(right as f64 / total as f64, second.history.test_accuracy()?);
    let surest = second.test()?.surest_mistakes()?;
    assert!(!surest.is_empty() && surest.len() <= 10, "{surest:?}");
    assert!(surest.iter().all(|mistake| mistake.image.size() == [1, 28, 28]));

    // A run that is complete leaves its record as it is, or makes a missing one at once.
    assert!(run("3", "records/lenet_7.json")?.status.success());
    assert_eq!(RunRecord::load(&path)?, second);
    std::fs::remove_file(&path)?;
    assert!(run("3", "records/lenet_7.json")?.status.success());
    let third = RunRecord::load(&path)?;
    assert_eq!(third.history, second.history);
    assert_eq!(third.log.matches("(from the checkpoint)").count(), 3, "{}", third.log);

    for wrong in ["lenet_8.json", "cnn_7.json", "lenetwide_7.json", "lenet.txt"] {
        let output = run("3", wrong)?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success(), "{wrong}");
        assert!(said.contains("named after model and seed, lenet_7.json or"), "{said}");
    }
    Ok(())
}

#[test]
fn a_record_of_another_run_is_not_continued() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |rate: &str, epochs: &str, checkpoint: &str| {
        let args = ["mlp", "--lr", rate, "--epochs", epochs, "--checkpoint", checkpoint];
        mnist(folder.path(), &[&args[..], &["--record", "mlp_wide_42.json"]].concat())
    };
    assert!(run("1e-3", "1", "first")?.status.success());
    assert!(run("1e-2", "1", "second")?.status.success());
    let record = RunRecord::load(folder.path().join("mlp_wide_42.json"))?;
    assert_eq!((record.model.as_str(), &record.settings["lr"]), ("mlp_wide", &1e-2.into()));
    let output = run("1e-3", "2", "first")?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && said.contains("is the record of another run"), "{said}");
    Ok(())
}

#[test]
fn networks_train_under_their_lessons_seed_and_the_schedule_that_is_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let epoch = |args: &str| -> Result<String> {
        let args: Vec<&str> = args.split(' ').chain(["--epochs", "1"]).collect();
        let output = mnist(folder.path(), &args)?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout)?;
        let line = said.lines().find(|line| line.starts_with("Epoch 1/1: loss"));
        let line = line.with_context(|| format!("no line of the epoch in {said}"))?;
        // The last entry is the time it took.
        Ok(line.rsplit_once(", ").context("several entries")?.0.to_string())
    };
    let cnn = epoch("cnn")?;
    assert_eq!(cnn, epoch("cnn --seed 777")?);
    assert_ne!(cnn, epoch("cnn --seed 42")?);
    assert_ne!(cnn, epoch("cnn --schedule one-cycle")?);
    epoch("deep-cnn --schedule cosine")?;
    epoch("resnet --width 8")?;
    let recipe = std::fs::read_to_string(folder.path().join("out/resnet.json"))?;
    assert!(recipe.contains("\"width\": 8"), "{recipe}");
    let digit = Mnist::generated(5, 1, 1)?.test.get(0)?.0;
    let gray = GrayImage::from_raw(28, 28, Vec::<u8>::try_from(digit.flatten(0, -1))?);
    gray.context("28×28 pixels")?.save(folder.path().join("digit.png"))?;
    let read = ["predict", "--weights", "out/resnet.safetensors", "digit.png"];
    for named in [&[][..], &["--model", "resnet", "--width", "8"]] {
        let output = mnist(folder.path(), &[&read[..], named].concat())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = mnist(folder.path(), &["resnet", "--width", "0"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("width of a ResNet 0: expected 1"), "{said}");
    Ok(())
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_leaves_a_checkpoint_to_go_on_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let args = ["lenet", "--epochs", "1000", "--checkpoint", "run", "--batch-size", "500"];
    let mut child = command(folder.path(), &args).stdout(Stdio::null()).spawn()?;
    let checkpoint = folder.path().join("run");
    let started = Instant::now();
    while !checkpoint.exists() {
        anyhow::ensure!(started.elapsed().as_secs() < 300, "no checkpoint after five minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Ctrl-C sends this signal.
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    assert!(sent.success() && !child.wait()?.success());
    let epochs = read_history(&checkpoint)?;
    assert!((1..1000).contains(&epochs), "{epochs} epochs");

    let next = (epochs + 1).to_string();
    let output = mnist(
        folder.path(),
        &["lenet", "--epochs", &next, "--checkpoint", "run", "--batch-size", "500"],
    )?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    assert!(said.contains(&format!("Epoch {next}/{next}: loss")), "{said}");
    assert!(!said.contains(&format!("Epoch {epochs}/{next}")), "{said}");
    Ok(())
}

/// Returns the number of epochs that a checkpoint holds.
fn read_history(checkpoint: &Path) -> Result<usize> {
    let tensors = Tensor::read_safetensors(checkpoint)?;
    let history = tensors.into_iter().find(|(name, _)| name == "history").context("no history")?;
    let text = String::from_utf8(Vec::<u8>::try_from(history.1)?)?;
    Ok(History::from_json(&text)?.epochs().len())
}

#[test]
fn trained_weights_read_pictures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |args: &[&str]| -> Result<Output> { mnist(folder.path(), args) };
    assert!(run(&["mlp", "--epochs", "5", "--hidden", "30"])?.status.success());
    let digit = Mnist::generated(5, 1, 1)?.test.get(0)?.0;
    let grey = GrayImage::from_raw(28, 28, Vec::<u8>::try_from(digit.flatten(0, -1))?);
    let mut grey = grey.context("28×28 pixels")?;
    grey.save(folder.path().join("light.png"))?;
    image::imageops::invert(&mut grey);
    grey.save(folder.path().join("dark.bmp"))?;

    let output = run(&["predict", "--weights", "out/mlp.safetensors", "light.png", "dark.bmp"])?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (light, dark) = said.split_once("dark.bmp: ").context("two answers")?;
    assert!(light.starts_with("light.png: 28×28 pixels, gray; light on dark"), "{said}");
    assert!(dark.starts_with("28×28 pixels, gray; dark on light: inverted"), "{said}");
    let answers = |text: &str| text.lines().skip(1).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(answers(light), answers(dark), "the same digit");
    assert_eq!(answers(light).len(), 3);
    let shares = answers(light).iter().map(|line| share(line)).collect::<Result<Vec<f64>>>()?;
    assert!(shares.is_sorted_by(|a, b| a >= b), "{said}");
    assert!(shares[0] > 10.0 && shares.iter().sum::<f64>() < 100.1, "{said}");

    std::fs::write(folder.path().join("words.txt"), "seven")?;
    let output = run(&["predict", "--weights", "out/mlp.safetensors", "words.txt", "light.png"])?;
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && message.contains("words.txt is not a picture"),
        "{message}"
    );
    assert!(String::from_utf8(output.stdout)?.contains("light.png: "), "the others are answered");

    let output =
        run(&["predict", "--weights", "out/mlp.safetensors", "--model", "lenet", "light.png"])?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not fit the model"));
    std::fs::remove_file(folder.path().join("out/mlp.json"))?;
    let output = run(&["predict", "--weights", "out/mlp.safetensors", "light.png"])?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("--model"));
    Ok(())
}

#[test]
fn a_backbone_is_trained_further_in_two_phases() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("weights.safetensors");
    let vs = nn::VarStore::new(Device::Cpu);
    Backbone::mobilenet_v2(vs.root(), 1000)?;
    save_weights(&vs, &weights)?;
    let transfer = |weights: &str| {
        let args = ["transfer", "--backbone", "mobilenet-v2", "--weights", weights, "--side", "32"];
        let args = [&args[..], &["--record", "transfer_mobilenet_v2_42.json"]].concat();
        let quick = ["--views", "1", "--head-epochs", "1", "--epochs", "1", "--batch-size", "64"];
        mnist(folder.path(), &[&args[..], &quick[..]].concat())
    };
    let output = transfer("weights.safetensors")?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // The head alone, then with the last five stages.
    assert!(said.contains("Phase 1: 12,810 trainable parameters"), "{said}");
    assert!(
        said.contains(
            "Phase 2: 1,694,154 trainable parameters, learning rate of the backbone 1e-4"
        ),
        "{said}"
    );
    assert!(said.contains("best epoch") && said.contains("ECE at temperature"), "{said}");
    let record = RunRecord::load(folder.path().join("transfer_mobilenet_v2_42.json"))?;
    assert_eq!(record.settings["weights"], "weights from weights.safetensors");
    assert!(record.log.starts_with("Epoch 1/1: loss "), "{}", record.log);
    assert!(record.log.contains("\nBest epoch of phase 2: 1, validation "), "{}", record.log);
    let accuracy = record.test()?.confusion_matrix()?.accuracy().context("no test images")?;
    let accuracy = percent(accuracy);
    assert!(record.log.contains(&format!(", test {accuracy}\n")), "{accuracy}: {}", record.log);
    let saved = folder.path().join("out/transfer_mobilenet_v2.safetensors");
    let vs = nn::VarStore::new(Device::Cpu);
    Backbone::mobilenet_v2(vs.root(), 10)?;
    load_weights(&vs, saved)?;
    let output = transfer("nowhere.pth")?;
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot read weights from nowhere.pth")
    );
    Ok(())
}

/// The percentage at the end of a line of the answer.
fn share(line: &str) -> Result<f64> {
    let number = line.trim_end_matches(" %").rsplit(' ').next().context("no percentage")?;
    Ok(number.parse()?)
}

#[test]
fn a_wrong_call_is_refused_with_the_range_it_expects() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (args, message) in [
        (["mlp", "--data", "nowhere"], "nowhere"),
        (["mlp", "--batch-size", "0"], "invalid value '0' for '--batch-size"),
        (["mlp", "--epochs", "0"], "invalid value '0' for '--epochs"),
        (
            ["mlp", "--lr", "-1"],
            "invalid value '-1' for '--lr <LR>': expected a finite number above 0",
        ),
        (["mlp", "--lr", "nan"], "expected a finite number above 0"),
    ] {
        let output = mnist(folder.path(), &args)?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && said.contains(message), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    Ok(())
}

#[test]
fn a_description_that_no_model_has_is_refused_without_memory_for_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    GrayImage::new(28, 28).save(folder.path().join("digit.png"))?;
    let with = |fields: &str| format!(r#"{{"model":"mlp",{fields}}}"#);
    for (text, expected) in [
        (with(r#""hidden":9223372036854775807,"mean":0,"std":1"#), "expected 1 to 65536"),
        (with(r#""hidden":-1,"mean":0,"std":1"#), "expected 1 to 65536"),
        (with(r#""mean":0,"std":0"#), "the standard deviation is 0, expected"),
        (with(r#""mean":0,"std":-1e300"#), "the standard deviation is -1"),
        (with(r#""mean":1e999,"std":1"#), "number out of range"),
        (
            r#"{"model":"resnet","width":1000000,"mean":0,"std":1}"#.to_string(),
            "the width of a ResNet",
        ),
        (with(&format!("\"mean\":{}", "[".repeat(1_000))), "invalid type: sequence, expected f64"),
        (
            with(&format!("\"mean\":{}", "[".repeat(1_000_000))),
            "1000023 bytes, expected at most 4096",
        ),
        (r#"{"model":"transformer","mean":0,"std":1}"#.to_string(), "unknown variant"),
    ] {
        std::fs::write(folder.path().join("model.json"), &text)?;
        // libtorch itself takes most of this address space.
        let program = env!("CARGO_BIN_EXE_mnist");
        let script = format!(
            "ulimit -v 6000000; exec {program} predict --weights model.safetensors digit.png"
        );
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(said.contains(expected) && !said.contains("panicked"), "{text:.100}: {said}");
        assert_eq!(output.status.code(), Some(1), "{text:.100}: {said}");
    }
    Ok(())
}

#[test]
fn a_label_beyond_the_ten_digits_is_refused_with_its_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28][..], &[0; 2 * 28 * 28]];
    for split in ["train", "t10k"] {
        std::fs::write(data.join(format!("{split}-images-idx3-ubyte")), images.concat())?;
        let labels = data.join(format!("{split}-labels-idx1-ubyte"));
        std::fs::write(labels, [0, 0, 8, 1, 0, 0, 0, 2, 3, 10])?;
    }
    let output = mnist(folder.path(), &["mlp", "--data", "data"])?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("train-labels-idx1-ubyte") && said.contains("label 10"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    Ok(())
}

#[test]
fn the_fast_recipe_says_how_long_it_took_and_keeps_its_record() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |args: &[&str]| -> Result<String> {
        let output = mnist(folder.path(), &[&["fast", "--seed", "7"], args].concat())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let said = run(&["--record", "fast_7.json"])?;
    let record = RunRecord::load(folder.path().join("fast_7.json"))?;
    let accuracy = record.history.test_accuracy()?;
    // Quick mode has 16 batches.
    assert!(accuracy > 0.5, "{accuracy}");
    let line = format!("{:.2} % of 1,000 test images after ", 100.0 * accuracy);
    assert!(said.contains(&line) && said.contains(" s, of which loading took "), "{said}");
    assert_eq!(record.settings["label_smoothing"], 0.05);

    let said = run(&["--validation"])?;
    assert!(said.contains(" % of 333 validation images after "), "{said}");
    Ok(())
}

#[test]
fn networks_on_augmented_images_answer_alone_and_together() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |args: &[&str]| -> Result<String> {
        let output = mnist(folder.path(), &[&["small", "--epochs", "2"], args].concat())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let said = run(&["--models", "2", "--seed", "7", "--channels", "6/8", "--records", "."])?;
    let mut alone = Vec::new();
    for seed in [7, 8] {
        let record = RunRecord::load(folder.path().join(format!("small_{seed}.json")))?;
        let accuracy = 100.0 * record.history.test_accuracy()?;
        assert!(said.contains(&format!("{accuracy:.2} %")), "{said}");
        assert_eq!(record.settings["channels"], "6/8");
        assert_eq!(record.test()?.confusion_matrix()?.counts().concat().iter().sum::<u64>(), 1000);
        alone.push(accuracy);
        assert!(folder.path().join(format!("out/small_{seed}.safetensors")).exists());
    }
    assert_ne!(alone[0], alone[1]);
    assert!(said.contains("together"), "{said}");
    // Complete runs are read from their checkpoints.
    assert!(!run(&["--models", "2", "--seed", "7", "--channels", "6/8"])?.contains("Epoch"));

    let said = run(&["--models", "1", "--validation", "--out", "other"])?;
    assert!(said.contains("333 validation images"), "{said}");
    let output = mnist(folder.path(), &["best", "--channels", "6,x/8"])?;
    assert!(String::from_utf8(output.stderr)?.contains("expected numbers such as 32,32/64,64/128"));
    Ok(())
}
