//! Runs that a seed decides.

mod common;

use anyhow::Result;
use common::generator;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::eval::evaluate;
use mnist_kit::model::{Mlp, MlpConfig};
use mnist_kit::train::{Adam, Silent, fit};
use mnist_kit::transform::{Compose, RandomRotation};
use tch::{Device, nn};

fn refused<T>(result: Result<T>) -> String {
    format!("{:#}", result.err().expect("an error"))
}

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
    let other = refused(run(4, Some("run"), &train_batches.clone().shuffle(2)));
    assert!(other.contains("belongs to another run"), "{other}");
    std::fs::write(folder.path().join("run"), "not a checkpoint")?;
    assert!(
        refused(run(4, Some("run"), &train_batches)).contains("cannot go on from the checkpoint")
    );
    Ok(())
}
