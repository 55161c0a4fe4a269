use crate::common::{generator, message};
use crate::{digits, mlp};
use anyhow::Result;
use mnist_kit::data::{Mnist, Split};
use mnist_kit::model::{Logits, Mlp};
use mnist_kit::train::{BatchRecord, EpochRecord, Progress, Report, Schedule, Sgd, Silent, fit};
use mnist_kit::transform::Compose;
use tch::{Device, Kind, Tensor, nn};

/// Counts the batches of a run.
struct Count(usize);

impl Report for &mut Count {
    fn batch(&mut self, _record: &BatchRecord, _progress: &Progress) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn a_run_that_cannot_work_says_why() -> Result<()> {
    let _alone = generator();
    let (train_batches, _) = digits(3, 50)?;
    let (vs, model) = mlp()?;
    let empty = nn::VarStore::new(Device::Cpu);
    let wrong = message(fit(&model, &empty, &train_batches).run());
    assert!(wrong.contains("build the model before the optimizer"), "{wrong}");
    let bytes = Mnist::generated(3, 100, 20)?.train.batches(50)?;
    let wrong = message(fit(&model, &vs, &bytes).report(Silent).run());
    assert!(wrong.contains("put to_tensor into the transform"), "{wrong}");
    let nothing = Mnist::generated(3, 100, 20)?.train.head(0).batches(10)?;
    assert!(message(fit(&model, &vs, &nothing).run()).contains("no batch to train on"));
    let wrong = message(fit(&model, &vs, &train_batches).validation(&nothing).run());
    assert!(wrong.contains("the validation batches have no images"), "{wrong}");
    let wrong = message(fit(&model, &vs, &train_batches).early_stopping(0).run());
    assert!(wrong.contains("early_stopping(0)"), "{wrong}");
    Ok(())
}

#[test]
fn a_choice_needs_a_validation_set() -> Result<()> {
    let _alone = generator();
    let (train_batches, test_batches) = digits(3, 50)?;
    let (vs, model) = mlp()?;
    let run = || fit(&model, &vs, &train_batches).test(&test_batches).report(Silent);
    let plateau = Schedule::ReduceOnPlateau { factor: 0.1, patience: 1 };
    for (name, run) in [
        ("keep_best", run().keep_best("best.safetensors")),
        ("early_stopping", run().early_stopping(1)),
        ("ReduceOnPlateau", run().schedule(plateau)),
    ] {
        let wrong = message(run.run());
        assert!(wrong.contains(&format!("nothing to decide by for {name}")), "{wrong}");
    }
    Ok(())
}

#[test]
fn validation_and_test_set_are_measured_side_by_side() -> Result<()> {
    let _alone = generator();
    let (train_batches, test_batches) = digits(3, 50)?;
    let (_, val_batches) = digits(4, 50)?;
    let (vs, model) = mlp()?;
    let run = fit(&model, &vs, &train_batches).validation(&val_batches).test(&test_batches);
    let last = run.report(Silent).run()?.last()?;
    assert!(last.val_loss.is_some() && last.test_loss.is_some());
    assert_ne!(last.val_loss, last.test_loss);
    Ok(())
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_within_100_batches() -> Result<()> {
    let _alone = generator();
    let digits = Mnist::generated(3, 400, 10)?;
    let batches = digits.train.batches(1)?.transform(&Compose::new().to_tensor()).shuffle(1);
    let (vs, model) = mlp()?;
    let mut count = Count(0);
    let run = fit(&model, &vs, &batches).optimizer(Sgd::new(1e20)).report(&mut count);
    let error = message(run.run());
    assert!(count.0 <= 100, "{} batches: {error}", count.0);
    for part in ["epoch 1: batch ", "the loss is ", "learning rate 1", "smaller learning rate"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    Ok(())
}

#[test]
fn a_reporter_that_meets_nan_does_not_hide_where_it_began() -> Result<()> {
    struct Impatient;
    impl Report for Impatient {
        fn batch(&mut self, _record: &BatchRecord, progress: &Progress) -> Result<()> {
            progress.mean_loss().map(|_| ())
        }
    }
    let _alone = generator();
    let (train_batches, _) = digits(3, 10)?;
    let (vs, model) = mlp()?;
    let run = fit(&model, &vs, &train_batches).optimizer(Sgd::new(1e30)).report(Impatient);
    let error = message(run.run());
    assert!(error.contains("epoch 1: batch 2: the loss is NaN at learning rate 1"), "{error}");
    Ok(())
}

/// Gives NaN in evaluation mode, for more images than the run looks at before it starts.
#[derive(Debug)]
struct NanInEvaluation(Mlp);

impl nn::ModuleT for NanInEvaluation {
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        let logits = self.0.forward_t(images, train);
        if train || images.size()[0] < 10 { logits } else { logits * f64::NAN }
    }
}

#[test]
fn a_validation_or_test_loss_that_is_not_finite_stops_the_run() -> Result<()> {
    let _alone = generator();
    let (train_batches, others) = digits(3, 50)?;
    let (vs, model) = mlp()?;
    let model = NanInEvaluation(model);
    let error = message(fit(&model, &vs, &train_batches).test(&others).report(Silent).run());
    assert!(error.contains("epoch 1: at learning rate 0.001: the test loss is NaN"), "{error}");
    let run = fit(&model, &vs, &train_batches).validation(&others).report(Silent);
    let error = message(run.run());
    assert!(
        error.contains("epoch 1: at learning rate 0.001: the validation loss is NaN"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_label_without_a_class_is_refused_before_the_first_step() -> Result<()> {
    let _alone = generator();
    let split = |highest: i64| {
        let images = Tensor::zeros([200, 1, 28, 28], (Kind::Uint8, Device::Cpu));
        let mut labels = vec![0; 199];
        labels.push(highest);
        Split::new("file", images, Tensor::from_slice(&labels), highest + 1)
    };
    let transform = Compose::new().to_tensor();
    let right = split(9)?.batches(1)?.transform(&transform);
    let wrong = split(10)?.batches(1)?.transform(&transform);
    let (vs, model) = mlp()?;
    let before = vs.variables()["layers.2.bias"].copy();
    for (train, test) in [(&wrong, &right), (&right, &wrong)] {
        let mut count = Count(0);
        let run = fit(&model, &vs, train).test(test).report(&mut count);
        let error = message(run.run());
        assert!(error.contains("file: label 10 is not among the model's 10 classes"), "{error}");
        assert_eq!(count.0, 0);
    }
    assert_eq!(before, vs.variables()["layers.2.bias"]);
    Ok(())
}

#[test]
fn a_metric_refuses_the_labels_that_training_refuses() {
    let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    for wrong in [-100i64, -1, 3] {
        let labels = Tensor::from_slice(&[0, wrong]);
        let logits = Logits { logits: logits.copy(), labels };
        assert!(message(logits.loss()).contains("is not among the model's 3 classes"));
    }
}

#[test]
fn an_error_of_the_reporter_ends_the_run() -> Result<()> {
    struct Stop;
    impl Report for Stop {
        fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> Result<()> {
            anyhow::bail!("enough after epoch {}", record.epoch)
        }
    }
    let _alone = generator();
    let (train_batches, _) = digits(3, 50)?;
    let (vs, model) = mlp()?;
    let error = message(fit(&model, &vs, &train_batches).epochs(3).report(Stop).run());
    assert!(error.contains("enough after epoch 1"), "{error}");
    Ok(())
}

#[test]
fn a_history_of_generated_digits_says_so() -> Result<()> {
    let _alone = generator();
    let (train_batches, _) = digits(3, 50)?;
    let (vs, model) = mlp()?;
    let history = fit(&model, &vs, &train_batches).report(Silent).run()?;
    assert!(history.to_string().contains("generated digits (not MNIST)"));
    Ok(())
}
