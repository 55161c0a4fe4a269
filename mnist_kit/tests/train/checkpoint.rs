use crate::common::{generator, message};
use crate::{digits, mlp};
use anyhow::Result;
use mnist_kit::data::Batches;
use mnist_kit::eval::evaluate;
use mnist_kit::model::MlpConfig;
use mnist_kit::train::{AdamW, EpochRecord, History, Loss, Report, Schedule, Sgd, Silent, fit};
use mnist_kit::transform::Compose;
use mnist_kit::weights::load_weights;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor, nn};

/// A checkpoint's path in a folder of its own.
fn place() -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("runs").join("run.safetensors");
    Ok((folder, path))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// A run of the small network with this checkpoint.
fn run(path: &Path, epochs: usize) -> Result<History> {
    let (train, _) = digits(3, 50)?;
    let (vs, model) = mlp()?;
    fit(&model, &vs, &train).epochs(epochs).checkpoint(path).report(Silent).run()
}

fn losses(history: &History) -> Vec<f64> {
    history.epochs().iter().map(|record| record.train_loss).collect()
}

#[test]
fn infinite_weights_do_not_replace_a_good_checkpoint() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    // One batch in an epoch: its loss is finite, and then comes an enormous step.
    let (train, _) = digits(3, 100)?;
    let run = |epochs| {
        let (vs, model) = mlp()?;
        fit(&model, &vs, &train)
            .optimizer(Sgd::new(1e-2))
            .schedule(Schedule::Step { every: 1, gamma: 1e60 })
            .epochs(epochs)
            .checkpoint(&path)
            .report(Silent)
            .run()
    };
    let error = message(run(2));
    assert!(error.contains("epoch 2: the variable layers."), "{error}");
    assert!(error.contains("is no longer finite"), "{error}");
    assert_eq!(run(1)?.epochs().len(), 1, "the checkpoint of epoch 1 is still good");
    Ok(())
}

#[test]
fn an_infinite_optimizer_state_does_not_replace_a_good_checkpoint() -> Result<()> {
    /// A network whose gradients overflow when they are squared.
    #[derive(Debug)]
    struct Steep(Tensor);
    impl nn::Module for Steep {
        fn forward(&self, images: &Tensor) -> Tensor {
            let logits = &self.0 * 1e25;
            logits.unsqueeze(0).expand([images.size()[0], 10], false)
        }
    }
    let _alone = generator();
    let (_folder, path) = place()?;
    // All 100 images at once have equally many of each class, and a gradient of 0.
    let (train, _) = digits(3, 50)?;
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Steep(vs.root().zeros("weight", &[10]));
    let error = message(fit(&model, &vs, &train).checkpoint(&path).report(Silent).run());
    assert!(error.contains("weight is no longer finite"), "{error}");
    assert!(!path.exists());
    Ok(())
}

#[test]
fn another_data_set_with_the_same_counts_is_refused() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let run = |train: u64, validation: u64, test: u64| {
        let (vs, model) = mlp()?;
        let (train, _) = digits(train, 50)?;
        let (_, validation) = digits(validation, 50)?;
        let (_, test) = digits(test, 50)?;
        let run = fit(&model, &vs, &train).validation(&validation).test(&test).epochs(2);
        run.checkpoint(&path).report(Silent).run()
    };
    run(3, 4, 5)?;
    run(3, 4, 5)?;
    for (name, others) in
        [("train", run(6, 4, 5)), ("validation", run(3, 6, 5)), ("test", run(3, 4, 6))]
    {
        let error = message(others);
        assert!(error.contains("it belongs to another run"), "{error}");
        let differ: Vec<&str> = error.lines().skip(1).map(str::trim).collect();
        assert!(differ.iter().all(|line| line.starts_with(&format!("{name}."))), "{error}");
        assert!(!differ.is_empty(), "{error}");
    }
    Ok(())
}

#[test]
fn each_setting_that_differs_is_named() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let (train, _) = digits(3, 50)?;
    run(&path, 1)?;
    let (vs, model) = mlp()?;
    let same = |train| fit(&model, &vs, train).checkpoint(&path).epochs(2).report(Silent);
    let smooth = Loss::CrossEntropy { label_smoothing: 0.1 };
    let step = Schedule::Step { every: 1, gamma: 0.5 };
    let shuffled = train.clone().shuffle(2);
    let normalized = train.clone().transform(&Compose::new().to_tensor().normalize(0.5, 0.5));
    for (field, other) in [
        ("optimizer", same(&train).optimizer(AdamW::new(1e-3))),
        (
            "loss.cross_entropy.label_smoothing: 0.0 in the file, 0.1 here",
            same(&train).loss(smooth),
        ),
        ("schedule", same(&train).schedule(step)),
        ("rates: [] in the file, [[\"layers\",2.0]] here", same(&train).rate("layers", 2.0)),
        ("train.shuffle_seed: 1 in the file, 2 here", same(&shuffled)),
        ("train.transform", same(&normalized)),
        ("validation: none in the file, ", same(&train).validation(&train)),
    ] {
        let error = message(other.run());
        assert!(error.contains(&format!("\n  {field}")), "{field}: {error}");
        // AdamW differs from Adam in its kind and in its weight decay.
        let lines = if field == "optimizer" { 3 } else { 2 };
        assert_eq!(error.lines().count(), lines, "{error}");
    }
    let wide = nn::VarStore::new(Device::Cpu);
    let model = MlpConfig::default().hidden([9]).build(wide.root())?;
    let error = message(fit(&model, &wide, &train).checkpoint(&path).report(Silent).run());
    assert!(
        error.contains("model.variables.layers.0.bias.shape[0]: 8 in the file, 9 here"),
        "{error}"
    );
    Ok(())
}

#[test]
fn another_function_with_the_same_shapes_is_refused() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let (train, _) = digits(3, 50)?;
    let run = |tanh: bool, epochs| {
        tch::manual_seed(if tanh { 10 } else { 9 });
        let vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let model = nn::seq()
            .add(nn::linear(&root / "a", 784, 20, Default::default()))
            .add_fn(move |x| if tanh { x.tanh() } else { x.relu() })
            .add(nn::linear(&root / "b", 20, 10, Default::default()));
        let model = nn::func(move |x| nn::Module::forward(&model, &x.flatten(1, -1)));
        let before = vs.variables()["a.weight"].copy();
        let run = fit(&model, &vs, &train).epochs(epochs).checkpoint(&path).report(Silent).run();
        Ok::<_, anyhow::Error>((run, before == vs.variables()["a.weight"]))
    };
    run(false, 1)?.0?;
    run(false, 2)?.0?;
    let (refused, unchanged) = run(true, 3)?;
    let error = message(refused);
    assert!(error.contains("it belongs to another model"), "{error}");
    assert!(unchanged, "the model stays as it was");
    run(false, 3)?.0?;
    Ok(())
}

#[test]
fn a_flipped_bit_is_refused() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    run(&path, 1)?;
    let good = std::fs::read(&path)?;
    for i in 0..40 {
        let (place, bit) = (i * (good.len() - 1) / 39, i % 8);
        let mut bytes = good.clone();
        bytes[place] ^= 1 << bit;
        std::fs::write(&path, &bytes)?;
        let error = message(run(&path, 1));
        assert!(error.contains("damaged"), "bit {bit} of byte {place}: {error}");
        assert!(!error.contains("Exception raised"), "{error}");
    }
    Ok(())
}

#[test]
fn the_generation_before_serves_when_the_newest_is_damaged() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let (_other, elsewhere) = place()?;
    let whole = losses(&run(&elsewhere, 4)?);
    run(&path, 2)?;
    for damage in [&b"damaged"[..], b""] {
        std::fs::write(&path, damage)?;
        assert_eq!(losses(&run(&path, 2)?), whole[..2], "resumed after epoch 1");
        // The damaged file has not become the previous one.
        std::fs::write(&path, damage)?;
        assert_eq!(losses(&run(&path, 2)?), whole[..2]);
    }
    assert_eq!(losses(&run(&path, 4)?), whole);
    std::fs::write(&path, "damaged")?;
    std::fs::write(beside(&path, ".previous"), "damaged too")?;
    let error = message(run(&path, 4));
    assert!(error.contains("the checkpoint before it"), "{error}");
    Ok(())
}

#[test]
fn only_checkpoints_are_resumed_from() -> Result<()> {
    let _alone = generator();
    let (folder, path) = place()?;
    std::fs::create_dir_all(path.parent().unwrap())?;
    let (vs, _) = mlp()?;
    mnist_kit::weights::save_weights(&vs, &path)?;
    let error = message(run(&path, 1));
    assert!(error.contains("it is not a checkpoint"), "{error}");
    load_weights(&vs, &path)?;
    let old = [("settings", Tensor::from_slice(b"x")), ("history", Tensor::from_slice(&[1.0]))];
    Tensor::write_safetensors(&old, &path)?;
    assert!(message(run(&path, 1)).contains("it was written by an older version of mnist_kit"));
    // A folder in the file's place.
    assert!(run(folder.path(), 1).is_err());
    Ok(())
}

#[test]
fn a_checkpoint_that_cannot_be_opened_is_neither_replaced_nor_called_damaged() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    run(&path, 2)?;
    std::fs::remove_file(&path)?;
    std::os::unix::fs::symlink(&path, &path)?;
    let error = message(run(&path, 2));
    assert!(error.contains("cannot open the checkpoint"), "{error}");
    assert!(!error.contains("damaged"), "{error}");
    assert!(std::fs::read_link(&path)? == path && beside(&path, ".previous").exists());
    Ok(())
}

#[test]
fn a_removed_checkpoint_starts_anew() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let whole = losses(&run(&path, 3)?);
    std::fs::remove_file(&path)?;
    assert_eq!(losses(&run(&path, 1)?), whole[..1]);
    Ok(())
}

#[test]
fn keep_best_added_to_a_resumed_run_has_the_best_weights_or_says_what_to_do() -> Result<()> {
    let _alone = generator();
    let (folder, path) = place()?;
    let best = folder.path().join("best.safetensors");
    let (train, validation) = digits(3, 50)?;
    let run = |path: &Path, lr: f64, epochs, keep: bool| {
        let (vs, model) = mlp()?;
        let mut run = fit(&model, &vs, &train).optimizer(Sgd::new(lr)).validation(&validation);
        if keep {
            run = run.keep_best(&best);
        }
        run.epochs(epochs).checkpoint(path).report(Silent).run()
    };
    // With a rate of 0 the first epoch stays the best, and its weights are those of every epoch.
    run(&path, 0.0, 2, false)?;
    let error = message(run(&path, 0.0, 3, true));
    assert!(error.contains("does not hold the weights of epoch 1, the best one so far"), "{error}");
    assert!(!best.exists());
    // The first epoch is the last one, too.
    let other = beside(&path, ".other");
    run(&other, 0.0, 1, false)?;
    run(&other, 0.0, 1, true)?;
    let accuracy = || -> Result<Option<f64>> {
        let (vs, model) = mlp()?;
        load_weights(&vs, &best)?;
        Ok(Some(evaluate(&model, &validation)?.accuracy()))
    };
    let expected = run(&other, 0.0, 3, true)?.best()?.val_accuracy;
    assert_eq!(accuracy()?, expected);
    // The file of another run is not taken for this run's.
    let (vs, _) = mlp()?;
    vs.variables()["layers.0.bias"].shallow_clone().detach().fill_(1.0).size();
    mnist_kit::weights::save_weights(&vs, &best)?;
    let error = message(run(&other, 0.0, 4, true));
    assert!(error.contains("does not hold the weights of epoch 1"), "{error}");
    Ok(())
}

#[test]
fn a_resumed_run_keeps_the_same_best_epoch() -> Result<()> {
    let _alone = generator();
    let (folder, path) = place()?;
    let (train, validation) = digits(3, 20)?;
    let run = |name: &str, epochs: &[usize]| -> Result<Vec<u8>> {
        let best = folder.path().join(name);
        for &epochs in epochs {
            let (vs, model) = mlp()?;
            let run = fit(&model, &vs, &train).optimizer(Sgd::new(0.1)).validation(&validation);
            let run = run.keep_best(&best).checkpoint(beside(&path, name));
            run.epochs(epochs).report(Silent).run()?;
        }
        Ok(std::fs::read(&best)?)
    };
    assert_eq!(run("whole", &[8])?, run("parts", &[1, 2, 3, 4, 5, 6, 7, 8])?);
    Ok(())
}

/// Starts a second run on the same checkpoint after each epoch.
struct Second<'a> {
    path: &'a Path,
    train: &'a Batches,
    outcomes: Vec<String>,
}

impl Report for &mut Second<'_> {
    fn epoch(&mut self, _record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        let (vs, model) = mlp()?;
        let run = fit(&model, &vs, self.train).epochs(2).checkpoint(self.path).report(Silent).run();
        self.outcomes.push(run.map_or_else(|error| format!("{error:#}"), |_| "it ran".to_string()));
        Ok(())
    }
}

#[test]
fn a_second_run_on_the_same_checkpoint_is_refused() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let (train, _) = digits(3, 50)?;
    let mut second = Second { path: &path, train: &train, outcomes: Vec::new() };
    let (vs, model) = mlp()?;
    fit(&model, &vs, &train).checkpoint(&path).report(&mut second).run()?;
    assert!(second.outcomes[0].contains("another run is using it"), "{:?}", second.outcomes);
    assert_eq!(second.outcomes.len(), 1);
    assert!(!beside(&path, ".lock").exists(), "nothing is left of the lock");
    run(&path, 2)?;
    Ok(())
}

#[test]
fn only_the_two_generations_are_left() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    run(&path, 3)?;
    let mut names: Vec<String> = std::fs::read_dir(path.parent().unwrap())?
        .map(|entry| Ok(entry?.file_name().into_string().unwrap()))
        .collect::<Result<_>>()?;
    names.sort();
    assert_eq!(names, ["run.safetensors", "run.safetensors.previous"]);
    Ok(())
}

#[test]
fn a_model_whose_first_biases_are_few_is_resumed() -> Result<()> {
    // tch prints the values of small tensors in `Debug`: they must not count as structure.
    let _alone = generator();
    let (_folder, path) = place()?;
    let (train, _) = digits(3, 50)?;
    for (seed, epochs) in [(1, 1), (2, 2)] {
        tch::manual_seed(seed);
        let vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let model = nn::seq()
            .add_fn(|x| x.flatten(1, -1))
            .add(nn::linear(&root / "a", 784, 3, Default::default()))
            .add(nn::linear(&root / "b", 3, 10, Default::default()));
        fit(&model, &vs, &train).epochs(epochs).checkpoint(&path).report(Silent).run()?;
    }
    Ok(())
}

#[test]
fn a_model_that_is_random_in_evaluation_mode_is_resumed() -> Result<()> {
    let _alone = generator();
    let (_folder, path) = place()?;
    let (train, _) = digits(3, 50)?;
    let transform = Compose::new().to_tensor();
    let train = train.transform(&transform);
    for epochs in [1, 2] {
        let (vs, model) = mlp()?;
        let model = nn::func_t(move |x, train| {
            nn::ModuleT::forward_t(&model, &x.dropout(0.5, true), train)
        });
        fit(&model, &vs, &train).epochs(epochs).checkpoint(&path).report(Silent).run()?;
    }
    Ok(())
}
