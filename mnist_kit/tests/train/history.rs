use crate::common::message;
use anyhow::Result;
use mnist_kit::train::{EpochRecord, History, Measure, Progress};
use proptest::prelude::*;
use tch::Tensor;

fn record(epoch: usize) -> EpochRecord {
    EpochRecord {
        epoch,
        train_loss: 0.1 + 0.2,
        train_accuracy: 0.97021,
        seconds: 1.25,
        ..EpochRecord::default()
    }
}

#[test]
fn the_table_shows_only_what_was_measured() {
    let mut history = History::new();
    history.push(record(1));
    let text = history.to_string();
    assert!(text.starts_with("epoch  train loss  train accuracy  seconds\n"), "{text}");
    assert!(text.contains("97.02 %") && !text.contains('–'), "{text}");
    history.push(EpochRecord { val_loss: Some(0.5), val_accuracy: Some(1.0), ..record(2) });
    let text = history.to_string();
    let header = "epoch  train loss  train accuracy  validation loss  validation accuracy  seconds";
    assert!(text.starts_with(header), "{text}");
    assert!(text.contains("100.00 %") && text.contains('–'), "{text}");
}

#[test]
fn csv_has_raw_numbers_and_the_names_of_the_fields() {
    let mut history = History::new();
    history.push(EpochRecord { test_loss: Some(1.0 / 3.0), ..record(1) });
    assert_eq!(
        history.to_csv(),
        "epoch,train_loss,train_accuracy,val_loss,val_accuracy,test_loss,test_accuracy,seconds\n\
         1,0.30000000000000004,0.97021,,,0.3333333333333333,,1.25\n"
    );
}

#[test]
fn a_history_is_saved_by_extension() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut history = History::new();
    history.push(record(1));
    let path = folder.path().join("runs").join("one.json");
    history.save(&path)?;
    assert_eq!(History::from_json(&std::fs::read_to_string(&path)?)?, history);
    let path = folder.path().join("one.CSV");
    history.save(&path)?;
    assert_eq!(std::fs::read_to_string(&path)?, history.to_csv());
    for name in ["one.xlsx", "one"] {
        let wrong = message(history.save(folder.path().join(name)));
        assert!(wrong.contains("has to end in .json or .csv"), "{wrong}");
    }
    Ok(())
}

#[test]
fn a_number_that_is_none_is_not_taken_for_one_that_was_not_measured() {
    let mut history = History::new();
    history.push(EpochRecord { val_loss: Some(f64::NAN), ..record(1) });
    let wrong = message(history.to_json());
    assert!(wrong.contains("epoch 1: val_loss is NaN, expected a finite number"), "{wrong}");
}

#[test]
fn a_crafted_history_is_refused() {
    let epochs = |text: &str| format!("{{\"epochs\": [{text}]}}");
    let good = r#"{"epoch":1,"train_loss":0.5,"train_accuracy":0.5,"seconds":1}"#;
    assert!(History::from_json(&epochs(good)).is_ok());
    let with = |from: &str, to: &str| epochs(&good.replace(from, to));
    for (text, expected) in [
        (with("\"epoch\":1", "\"epoch\":0"), "epoch 0 stands in place 1"),
        (with("\"epoch\":1", "\"epoch\":-1"), "invalid value"),
        (with("\"epoch\":1", "\"epoch\":99999999999999999999"), "invalid"),
        (
            with("\"train_accuracy\":0.5", "\"train_accuracy\":97"),
            "train_accuracy is 97, expected 0 to 1",
        ),
        (with("\"train_loss\":0.5", "\"train_loss\":1e999"), "out of range"),
        (with("\"train_loss\":0.5", "\"train_loss\":null"), "invalid type"),
        (with("\"seconds\":1", "\"seconds\":-1"), "seconds is -1, expected a finite number"),
        (epochs(&format!("{good},{good}")), "epoch 1 stands in place 2"),
        ("[]".to_string(), "not a history in JSON"),
    ] {
        let wrong = message(History::from_json(&text));
        assert!(wrong.contains(expected), "{text}: {wrong}");
    }
}

#[test]
fn the_best_epoch_is_chosen_by_validation() {
    let mut history = History::new();
    assert!(message(history.best()).contains("validation(…)"));
    assert!(message(history.val_accuracy()).contains("train first"));
    for (epoch, val, test) in [(1, 0.5, 0.9), (2, 0.7, 0.6), (3, 0.7, 0.95), (4, 0.6, 0.1)] {
        let (val_accuracy, test_accuracy) = (Some(val), Some(test));
        history.push(EpochRecord { val_accuracy, test_accuracy, ..record(epoch) });
    }
    assert_eq!(history.best().unwrap().epoch, 2, "the first of equals");
    assert_eq!(history.best_on_test().unwrap().epoch, 3);
    assert_eq!(history.val_accuracy().unwrap(), 0.6);
    assert_eq!(history.curve(Measure::ValAccuracy)[1], (2.0, 70.0));
    assert_eq!(history.curve(Measure::TrainLoss)[0], (1.0, 0.1 + 0.2));
    assert_eq!(history.curve(Measure::TestLoss), []);
}

#[test]
fn progress_weighs_every_image_and_notices_divergence() -> Result<()> {
    let mut progress = Progress::new();
    assert!(message(progress.mean_loss()).contains("there was no batch yet"));
    let logits = Tensor::from_slice2(&[[1.0f32, 0.0], [1.0, 0.0], [1.0, 0.0]]);
    progress.batch(&Tensor::from(1.0f32), &logits, &Tensor::from_slice(&[0i64, 0, 1]))?;
    progress.batch(&Tensor::from(3.0f32), &logits.narrow(0, 0, 1), &Tensor::from_slice(&[0i64]))?;
    assert_eq!((progress.mean_loss()?, progress.accuracy()?), (2.0, 0.75));
    assert_eq!((progress.accuracy_percent()?, progress.last_loss()?), (75.0, 3.0));
    assert!(
        message(progress.batch(&Tensor::from(0.0f32), &logits, &Tensor::from_slice(&[0i64])))
            .contains("expected Int64 [3]")
    );
    assert_eq!(progress.batches(), 2, "a refused batch is not counted");
    progress.batch(&Tensor::from(f32::NAN), &logits, &Tensor::from_slice(&[0i64, 0, 0]))?;
    assert!(message(progress.mean_loss()).contains("training diverged"));
    Ok(())
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0f64..1.0, Just(0.0), Just(1.0), Just(f64::MIN_POSITIVE), 0.0f64..1e-300]
}

proptest! {
    #[test]
    fn a_history_comes_back_from_json_bit_for_bit(
        rows in proptest::collection::vec((number(), number(), proptest::option::of(number())), 0..20),
    ) {
        let mut history = History::new();
        for (index, (loss, accuracy, measured)) in rows.into_iter().enumerate() {
            history.push(EpochRecord {
                epoch: index + 1,
                train_loss: loss,
                train_accuracy: accuracy,
                val_loss: measured,
                test_accuracy: measured,
                seconds: loss,
                ..EpochRecord::default()
            });
        }
        prop_assert_eq!(History::from_json(&history.to_json().unwrap()).unwrap(), history);
    }
}
