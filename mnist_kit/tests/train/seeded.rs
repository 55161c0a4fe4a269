//! Runs that a seed decides.

use crate::common::{generator, message};
use anyhow::Result;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::eval::evaluate;
use mnist_kit::model::{Mlp, MlpConfig};
use mnist_kit::train::{Adam, AdamW, Loss, Schedule, Silent, fit};
use mnist_kit::transform::{Compose, RandomRotation};
use mnist_kit::weights::load_weights;
use tch::{Device, nn};

#[test]
fn training_learns_and_repeats() -> Result<()> {
    let _alone = generator();
    let digits = Mnist::generated(3, 1_000, 200)?;
    let transform = Compose::new().to_tensor();
    let train_batches = digits.train.batches(50)?.transform(&transform).shuffle(1);
    let test_batches = digits.test.batches(100)?.transform(&transform);
    let run = || -> Result<_> {
        tch::manual_seed(9);
        let vs = nn::VarStore::new(Device::Cpu);
        let model = Mlp::new(vs.root(), 32)?;
        let before = evaluate(&model, &test_batches)?.accuracy();
        let history = fit(&model, &vs, &train_batches)
            .optimizer(Adam::new(3e-3))
            .epochs(4)
            .test(&test_batches)
            .report(Silent)
            .run()?;
        let evaluation = evaluate(&model, &test_batches)?;
        let last = history.last()?;
        assert_eq!(last.test_accuracy, Some(evaluation.accuracy()));
        assert!(evaluation.accuracy() > before + 0.3, "{before} → {}", evaluation.accuracy());
        assert!(last.train_loss < history.epochs()[0].train_loss);
        Ok((last.train_loss, evaluation.accuracy()))
    };
    assert_eq!(run()?, run()?, "the same seed gives the same run");
    Ok(())
}

#[test]
fn a_schedule_sets_the_rate_of_every_step_and_goes_on_from_a_checkpoint() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let digits = Mnist::generated(3, 100, 50)?;
    let transform = Compose::new().to_tensor();
    let train_batches = digits.train.batches(50)?.transform(&transform).shuffle(1);
    let test_batches = digits.test.batches(50)?.transform(&transform);
    let run = |num_epochs: usize, schedule: Schedule, checkpoint: Option<&str>| -> Result<_> {
        tch::manual_seed(9);
        let vs = nn::VarStore::new(Device::Cpu);
        let model = MlpConfig::default().build(vs.root())?;
        let mut fit = fit(&model, &vs, &train_batches).epochs(num_epochs).report(Silent);
        fit = fit.schedule(schedule).validation(&test_batches);
        if let Some(name) = checkpoint {
            fit = fit.checkpoint(folder.path().join(name));
        }
        fit.run()?;
        Ok(vs.variables())
    };
    // A rate of 0 from the third epoch on: two epochs are as good as four.
    let stop = Schedule::Step { every: 2, gamma: 1e-30 };
    assert_eq!(run(2, stop, None)?, run(4, stop, None)?);
    assert_ne!(run(4, Schedule::Constant, None)?, run(4, stop, None)?);

    let plateau = Schedule::ReduceOnPlateau { factor: 0.1, patience: 0 };
    run(2, plateau, Some("plateau"))?;
    assert_eq!(run(4, plateau, Some("plateau"))?, run(4, plateau, None)?);
    // One cycle over four epochs begins otherwise than one over two.
    run(2, Schedule::one_cycle(), Some("cycle"))?;
    let other = message(run(4, Schedule::one_cycle(), Some("cycle")));
    assert!(other.contains("belongs to another run"), "{other}");
    for wrong in [
        Schedule::Step { every: 0, gamma: 0.5 },
        Schedule::OneCycle { warm_up: 1.0 },
        Schedule::ReduceOnPlateau { factor: 1.0, patience: 1 },
    ] {
        assert!(message(run(1, wrong, None)).contains("schedule "));
    }
    Ok(())
}

#[test]
fn a_run_goes_on_from_its_checkpoint_along_the_same_curve() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let digits = Mnist::generated(3, 300, 100)?;
    let transform = Compose::new().then(RandomRotation::new(10.0)).to_tensor();
    let train_batches = digits.train.batches(50)?.transform(&transform).shuffle(1);
    let test_batches = digits.test.batches(100)?.transform(&Compose::new().to_tensor());
    let run = |num_epochs: usize, checkpoint: Option<&str>, batches: &Batches| -> Result<_> {
        tch::manual_seed(9);
        let vs = nn::VarStore::new(Device::Cpu);
        let model = MlpConfig::default().dropout(0.5).build(vs.root())?;
        let mut fit =
            fit(&model, &vs, batches).epochs(num_epochs).test(&test_batches).report(Silent);
        if let Some(name) = checkpoint {
            fit = fit.checkpoint(folder.path().join(name));
        }
        let history = fit.run()?;
        let curve: Vec<_> =
            history.epochs().iter().map(|e| (e.epoch, e.train_loss, e.test_accuracy)).collect();
        Ok((curve, vs.variables()))
    };
    let (curve, weights) = run(4, None, &train_batches)?;
    assert_eq!(run(2, Some("run"), &train_batches)?.0, curve[..2]);
    let (resumed, resumed_weights) = run(4, Some("run"), &train_batches)?;
    assert_eq!(resumed, curve);
    assert_eq!(weights, resumed_weights);
    assert_eq!(run(4, Some("run"), &train_batches)?.0, curve, "nothing is left to do");
    let other = message(run(4, Some("run"), &train_batches.clone().shuffle(2)));
    assert!(other.contains("belongs to another run"), "{other}");
    let others = digits.train.select(&[0; 300])?.batches(50)?.transform(&transform).shuffle(1);
    let other = message(run(4, Some("run"), &others));
    assert!(other.contains("belongs to another run"), "{other}");
    std::fs::remove_file(folder.path().join("run.previous"))?;
    std::fs::write(folder.path().join("run"), "not a checkpoint")?;
    assert!(message(run(4, Some("run"), &train_batches)).contains("is damaged"));
    Ok(())
}

#[test]
fn a_run_keeps_its_best_epoch_and_stops_when_it_no_longer_improves() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let best = folder.path().join("best.safetensors");
    let digits = Mnist::generated(3, 200, 100)?;
    let transform = Compose::new().to_tensor();
    let train_batches = digits.train.batches(50)?.transform(&transform).shuffle(1);
    let test_batches = digits.test.batches(100)?.transform(&transform);
    tch::manual_seed(9);
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 20)?;
    let history = fit(&model, &vs, &train_batches)
        .optimizer(Adam::new(1e-2))
        .epochs(200)
        .validation(&test_batches)
        .keep_best(&best)
        .early_stopping(3)
        .report(Silent)
        .run()?;
    let best_epoch = history.best()?;
    assert_eq!(history.epochs().len(), best_epoch.epoch + 3, "three epochs after the best");
    let untested = fit(&model, &vs, &train_batches).early_stopping(3).report(Silent).run();
    assert!(message(untested).contains("without validation batches"));
    load_weights(&vs, &best)?;
    assert_eq!(Some(evaluate(&model, &test_batches)?.accuracy()), best_epoch.val_accuracy);
    Ok(())
}

#[test]
fn a_part_of_the_model_learns_at_a_rate_of_its_own() -> Result<()> {
    let _alone = generator();
    let digits = Mnist::generated(3, 50, 10)?;
    let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
    let run = |lr: f64, rates: &[(&str, f64)], loss: Loss| -> Result<_> {
        tch::manual_seed(9);
        let vs = nn::VarStore::new(Device::Cpu);
        let model = Mlp::new(vs.root(), 20)?;
        let mut fit = fit(&model, &vs, &batches).optimizer(AdamW::new(lr)).loss(loss);
        for (prefix, factor) in rates {
            fit = fit.rate(prefix, *factor);
        }
        fit.report(Silent).run()?;
        Ok(vs.variables())
    };
    let plain = Loss::default();
    let slow = run(1e-3, &[], plain)?;
    let fast = run(1e-2, &[], plain)?;
    let mixed = run(1e-3, &[("layers.2", 10.0)], plain)?;
    assert_eq!(mixed["layers.0.weight"], slow["layers.0.weight"]);
    let difference = (&mixed["layers.2.weight"] - &fast["layers.2.weight"]).abs().max();
    assert!(difference.double_value(&[]) < 1e-7);
    assert!(message(run(1e-3, &[("head", 10.0)], plain)).contains("no parameter is called head"));
    let smooth = run(1e-3, &[], Loss::CrossEntropy { label_smoothing: 0.1 })?;
    assert_ne!(smooth["layers.0.weight"], slow["layers.0.weight"]);
    assert_ne!(
        run(1e-3, &[], Loss::BinaryCrossEntropy)?["layers.2.weight"],
        slow["layers.2.weight"]
    );
    let wrong = Loss::CrossEntropy { label_smoothing: 1.0 };
    assert!(message(run(1e-3, &[], wrong)).contains("label smoothing 1"));
    Ok(())
}
