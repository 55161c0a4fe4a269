//! The same numbers as PyTorch, which is asked in the same run.

mod common;

use anyhow::{Context, Result, ensure};
use common::{generator, run_python};
use mnist_kit::data::{Mnist, Split};
use mnist_kit::eval::{Bins, average_precisions, evaluate, f1_scores, grad_cam};
use mnist_kit::model::{
    Backbone, Cnn, DeepCnn, FastCnn, LeNet, Mlp, ResNet, StagedCnn, try_forward,
};
use mnist_kit::train::{Adam, AdamW, Moment, OptimizerConfig, Schedule, Sgd, Silent, Unit, fit};
use mnist_kit::transform::{Affine, Compose, Interpolation, affine};
use mnist_kit::weights::{load_weights, save_weights};
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn};

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
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let digits = Mnist::generated(5, 400, 40)?;
    let transform = Compose::new().to_tensor().normalize(0.1307, 0.3081);
    let images = transform.apply(digits.test.images())?;
    let mut ours = Vec::new();
    let mut train =
        |name: &str, model: Box<dyn nn::ModuleT>, vs: &nn::VarStore, num_images| -> Result<()> {
            let batches =
                digits.train.head(num_images).batches(40)?.transform(&transform).shuffle(1);
            fit(&*model, vs, &batches).epochs(2).report(Silent).run()?;
            save_weights(vs, folder.path().join(format!("{name}.safetensors")))?;
            ours.push((name.to_string(), try_forward(&*model, &images, false)?));
            Ok(())
        };
    let vs = nn::VarStore::new(Device::Cpu);
    train("Mlp", Box::new(Mlp::new(vs.root(), 100)?), &vs, 400)?;
    let vs = nn::VarStore::new(Device::Cpu);
    train("ResNet", Box::new(ResNet::new(vs.root())), &vs, 80)?;
    Tensor::write_safetensors(&[("images", &images)], folder.path().join("images.safetensors"))?;
    if oracle("logits_of_rust_weights", folder.path()) {
        let theirs = read(&folder.path().join("logits.safetensors"))?;
        for (name, logits) in &ours {
            assert_close(logits, &theirs[name], 1e-4)?;
        }
    }
    Ok(())
}

#[test]
fn rust_reads_what_pytorch_wrote() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if oracle("weights_for_rust", folder.path()) {
        let vs = nn::VarStore::new(Device::Cpu);
        let model = Mlp::new(vs.root(), 100)?;
        load_weights(&vs, folder.path().join("weights.safetensors"))?;
        let answer = read(&folder.path().join("answer.safetensors"))?;
        assert_close(&try_forward(&model, &answer["images"], false)?, &answer["logits"], 1e-5)?;
    }
    Ok(())
}

#[test]
fn every_optimizer_walks_as_pytorchs() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if !oracle("optimizers", folder.path()) {
        return Ok(());
    }
    let batch = read(&folder.path().join("batch.safetensors"))?;
    let optimizers: [(&str, OptimizerConfig); 6] = [
        ("sgd", Sgd::new(0.1).into()),
        ("momentum", Sgd::new(0.05).momentum(0.9).into()),
        ("momentum_l2", Sgd::new(0.05).momentum(0.9).weight_decay(1e-3).into()),
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
            let logits = try_forward(&model, &batch["images"], true)?;
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
fn every_schedule_runs_as_pytorchs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if !oracle("schedules", folder.path()) {
        return Ok(());
    }
    let answer = read(&folder.path().join("schedules.safetensors"))?;
    let losses = Vec::<f64>::try_from(&answer["losses"])?;
    for (name, schedule) in [
        ("step", Schedule::Step { every: 3, gamma: 0.5 }),
        ("cosine_by_epoch", Schedule::Cosine { unit: Unit::Epoch }),
        ("cosine_by_batch", Schedule::cosine()),
        ("one_cycle", Schedule::one_cycle()),
        ("reduce_on_plateau", Schedule::ReduceOnPlateau { factor: 0.2, patience: 1 }),
    ] {
        for (step, theirs) in Vec::<f64>::try_from(&answer[name])?.into_iter().enumerate() {
            let val_losses = &losses[..step / 5];
            let at = Moment { step, steps_per_epoch: 5, num_epochs: 12, val_losses };
            let ours = schedule.lr(0.1, &at);
            assert!((ours - theirs).abs() < 1e-9, "{name}, step {step}: {ours}, {theirs}");
        }
    }
    Ok(())
}

#[test]
fn the_same_seed_starts_the_same_model() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if !oracle("initialization", folder.path()) {
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

/// Builds the model from PyTorch's seed and from PyTorch's file, and compares logits, loss, gradients
/// and BatchNorm statistics.
fn compare<M: nn::ModuleT>(folder: &Path, name: &str, make: impl Fn(nn::Path) -> M) -> Result<()> {
    let weights = folder.join(format!("{name}.safetensors"));
    let answer = read(&folder.join(format!("{name}.answer.safetensors")))?;
    tch::manual_seed(4);
    let vs = nn::VarStore::new(Device::Cpu);
    let model = make(vs.root());
    for (variable, theirs) in read(&weights)? {
        assert_close(&vs.variables()[&variable], &theirs, 0.0).context(variable)?;
    }
    let vs = nn::VarStore::new(Device::Cpu);
    let loaded = make(vs.root());
    load_weights(&vs, &weights)?;
    let (images, labels) = (&answer["images"], &answer["labels"]);
    assert_close(&try_forward(&model, images, false)?, &answer["logits"], 1e-4)?;
    assert_close(&try_forward(&loaded, images, false)?, &answer["logits"], 1e-4)?;
    tch::manual_seed(6);
    let loss = try_forward(&loaded, images, true)?.cross_entropy_for_logits(labels);
    assert_close(&loss, &answer["loss"], 1e-4)?;
    loss.backward();
    for (variable, ours) in vs.variables() {
        if let Some(theirs) = answer.get(&format!("grad.{variable}")) {
            assert_close(&ours.grad(), theirs, 1e-4).context(variable)?;
        } else if let Some(theirs) = answer.get(&format!("buffer.{variable}")) {
            assert_close(&ours, theirs, 1e-4).context(variable)?;
        } else {
            ensure!(variable.ends_with("num_batches_tracked"), "PyTorch has no {variable}");
        }
    }
    Ok(())
}

#[test]
fn every_model_starts_answers_and_learns_as_pytorchs() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if oracle("models", folder.path()) {
        let folder = folder.path();
        compare(folder, "LeNet", |path| LeNet::new(path)).context("LeNet")?;
        compare(folder, "Cnn", |path| Cnn::new(path)).context("Cnn")?;
        compare(folder, "DeepCnn", |path| DeepCnn::new(path)).context("DeepCnn")?;
        compare(folder, "FastCnn", |path| FastCnn::new(path)).context("FastCnn")?;
        let channels = [vec![6, 7], vec![8, 9], vec![10]];
        let staged = |path: nn::Path| StagedCnn::new(path, &channels).unwrap();
        compare(folder, "StagedCnn", staged).context("StagedCnn")?;
        compare(folder, "ResNet", |path| ResNet::new(path)).context("ResNet")?;
    }
    Ok(())
}

#[test]
fn a_movement_is_torchvisions() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let images = Mnist::generated(5, 60, 10)?.train.images().to_kind(Kind::Float) / 255.0;
    // One property alone first, then all of them together.
    let movements: Vec<Affine> = (0..60)
        .map(|i| {
            let (step, all) = (f64::from(i) / 6.0 - 5.0, i >= 30);
            let part = |place: i32| if all || i % 5 == place { step } else { 0.0 };
            Affine {
                angle: 9.0 * part(0),
                translate: (part(1).round(), -part(1).round()),
                scale: 1.0 + part(2) / 20.0,
                shear: (5.0 * part(3), 2.0 * part(4)),
            }
        })
        .collect();
    let rows: Vec<f32> = movements
        .iter()
        .flat_map(|m| [m.angle, m.translate.0, m.translate.1, m.scale, m.shear.0, m.shear.1])
        .map(|value| value as f32)
        .collect();
    let rows = Tensor::from_slice(&rows).view([60, 6]);
    let given = [("images", &images), ("movements", &rows)];
    Tensor::write_safetensors(&given, folder.path().join("given.safetensors"))?;
    if oracle("affine", folder.path()) {
        let theirs = read(&folder.path().join("moved.safetensors"))?;
        let ours = affine(&images, &movements, Interpolation::Bilinear, 0.0)?;
        // Both count in float32: a place may differ by 1e-6 of the image, a pixel by 28 times that.
        assert_close(&ours, &theirs["bilinear"], 1e-4)?;
        // A place half-way between two pixels may be rounded either way, so single pixels may differ.
        let ours = affine(&images, &movements, Interpolation::Nearest, 0.0)?;
        let other = ours.ne_tensor(&theirs["nearest"]).to_kind(Kind::Float).mean(Kind::Float);
        ensure!(other.double_value(&[]) < 1e-3, "{} of the pixels differ", other.double_value(&[]));
    }
    Ok(())
}

#[test]
fn a_resize_and_a_crop_are_torchvisions() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let images = Mnist::generated(5, 10, 10)?.train.images().shallow_clone();
    let pixels = images.to_kind(Kind::Float) / 255.0;
    Tensor::write_safetensors(&[("images", &pixels)], folder.path().join("given.safetensors"))?;
    if oracle("resize", folder.path()) {
        for (name, theirs) in read(&folder.path().join("resized.safetensors"))? {
            let transform = Compose::new().to_tensor();
            let transform = match name.strip_prefix("crop ") {
                Some(side) => transform.center_crop(side.parse()?),
                None => transform.resize(name.parse()?, name.parse()?),
            };
            assert_close(&transform.apply(&images)?, &theirs, 1e-5).context(name)?;
        }
    }
    Ok(())
}

#[test]
fn calibration_and_multi_label_measures_are_torchmetrics() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if !oracle("calibration", folder.path()) {
        return Ok(());
    }
    let answer = read(&folder.path().join("calibration.safetensors"))?;
    let images = Tensor::zeros([500, 1, 1, 10], (Kind::Uint8, Device::Cpu));
    let split = Split::new("test", images, answer["labels"].shallow_clone(), 10)?;
    // A model whose answers are known: the evaluation gets the logits as they are.
    let known = Known(answer["logits"].shallow_clone());
    let evaluation = evaluate(&known, &split.batches(500)?)?;
    for bins in [5, 10, 15] {
        let ours = evaluation.reliability(Bins::EqualWidth(bins))?.ece();
        let theirs = answer[&format!("ece.{bins}")].double_value(&[]);
        assert!((ours - theirs).abs() < 1e-6, "{bins} bins: {ours}, {theirs}");
    }
    let brier = evaluation.brier()?;
    assert!((brier - answer["brier"].double_value(&[])).abs() < 1e-6, "{brier}");
    let temperature = evaluation.best_temperature()?;
    let theirs = answer["temperature"].double_value(&[]);
    assert!((temperature - theirs).abs() < 2e-3, "{temperature}, {theirs}");
    let cooled = evaluation.with_temperature(temperature)?;
    assert!(cooled.loss() < evaluation.loss());
    assert_eq!(cooled.accuracy(), evaluation.accuracy());

    let (scores, truths) = (&answer["scores"], &answer["truths"]);
    for (ours, name) in [
        (f1_scores(scores, truths, 0.52)?, "f1"),
        (average_precisions(scores, truths)?, "average_precision"),
    ] {
        assert_close(&Tensor::from_slice(&ours), &answer[name], 1e-6).context(name)?;
    }
    Ok(())
}

/// Gives the same logits whatever it is shown.
#[derive(Debug)]
struct Known(Tensor);

impl nn::Module for Known {
    fn forward(&self, _images: &Tensor) -> Tensor {
        self.0.shallow_clone()
    }
}

#[test]
fn grad_cam_is_captums() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if !oracle("grad_cam", folder.path()) {
        return Ok(());
    }
    let answer = read(&folder.path().join("answer.safetensors"))?;
    let images = &answer["images"];
    for (name, layers) in
        [("resnet18", ["layer2", "layer4.0"]), ("mobilenet_v2", ["features.10", "features.18"])]
    {
        let vs = nn::VarStore::new(Device::Cpu);
        let model = match name {
            "resnet18" => Backbone::resnet18(vs.root(), 10)?,
            _ => Backbone::mobilenet_v2(vs.root(), 10)?,
        };
        load_weights(&vs, folder.path().join(format!("{name}.safetensors")))?;
        for layer in layers {
            let (lower, upper) = model.split_after(layer)?;
            let ours = grad_cam(&lower, &upper, images, &[3, 7])?;
            let theirs = &answer[&format!("{name}.{layer}")];
            let scale = theirs.max().double_value(&[]).max(1e-12);
            assert_close(&(ours / scale), &(theirs / scale), 1e-4)
                .with_context(|| format!("{name}, {layer}"))?;
        }
        let (lower, upper) = model.split_after(layers[0])?;
        ensure!(grad_cam(&lower, &upper, images, &[3, 10]).is_err());
        ensure!(grad_cam(&lower, &upper, images, &[3]).is_err());
    }
    Ok(())
}
