use crate::common::message;
use anyhow::{Context, Result};
use mnist_kit::data::Mnist;
use mnist_kit::eval::{TestRecord, evaluate};
use mnist_kit::model::Mlp;
use mnist_kit::train::{EpochRecord, History, RunRecord, SpeedRecord, SpeedRun, runs_table};
use mnist_kit::transform::Compose;
use serde_json::{Value, json};
use std::path::Path;
use tch::{Device, nn};

fn run(model: &str, seed: u64, accuracies: &[f64]) -> RunRecord {
    let mut history = History::new();
    let mut log = String::new();
    for (index, &accuracy) in accuracies.iter().enumerate() {
        let epoch = index + 1;
        history.push(EpochRecord {
            epoch,
            train_loss: 0.1 + 0.2,
            test_accuracy: Some(accuracy),
            seconds: 2.5,
            ..EpochRecord::default()
        });
        log += &format!("Epoch {epoch}/{}\n", accuracies.len());
    }
    RunRecord {
        model: model.to_string(),
        seed,
        settings: [("lr".to_string(), json!(1e-3)), ("schedule".to_string(), json!("constant"))]
            .into_iter()
            .collect(),
        commit: "da218d6".to_string(),
        device: "CPU".to_string(),
        threads: 2,
        date: "2026-11-28".to_string(),
        history,
        log,
        test: None,
    }
}

#[test]
fn a_record_comes_back_as_it_was() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("records").join("cnn_777.json");
    let saved = run("cnn", 777, &[0.98, 0.99]);
    saved.save(&path)?;
    let loaded = RunRecord::load(&path)?;
    assert_eq!(loaded, saved);
    assert_eq!(loaded.settings["lr"], 1e-3);
    let shown = loaded.table().to_string();
    let title = "cnn, seed 777: CPU, 2 threads, commit da218d6, 2026-11-28\n";
    assert!(shown.starts_with(title) && shown.contains("99.00 %"), "{shown}");
    Ok(())
}

#[test]
fn a_damaged_or_renamed_record_is_refused_with_what_is_wrong() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let good = folder.path().join("cnn_777.json");
    run("cnn", 777, &[0.98, 0.99]).save(&good)?;
    let text = std::fs::read_to_string(&good)?;
    let refused = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        let said = message(RunRecord::load(&path));
        assert!(said.contains(name), "the message names the file: {said}");
        Ok(said)
    };
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    for (text, expected) in [
        (text[..text.len() / 2].to_string(), "EOF while parsing"),
        (changed("\"seed\": 777", "\"seed\": 778"), "has to be named cnn_778.json"),
        (changed("\"model\": \"cnn\"", "\"model\": \"lenet\""), "named lenet_777.json"),
        (changed("\"epoch\": 1", "\"epoch\": 5"), "epoch 5 stands in place 1"),
        (changed("0.98", "98.0"), "epoch 1: test_accuracy is 98, expected 0 to 1"),
        (changed("\"threads\": 2", "\"threads\": 0"), "threads is 0, expected 1 or more"),
        (changed("\"da218d6\"", "\"\""), "its commit is empty"),
        (changed("\"commit\"", "\"comit\""), "unknown field `comit`"),
    ] {
        let said = refused("cnn_777.json", &text)?;
        assert!(said.contains(expected), "{said}");
    }
    let said = refused("mlp_42.json", &text)?;
    assert!(said.contains("has to be named cnn_777.json"), "{said}");
    Ok(())
}

#[test]
fn the_results_of_a_test_are_kept_and_checked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cnn_777.json");
    let digits = Mnist::generated(7, 10, 50)?;
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 16)?;
    let batches = digits.test.batches(25)?.transform(&Compose::new().to_tensor());
    let evaluation = evaluate(&model, &batches)?;
    let mut record = run("cnn", 777, &[0.98]);
    assert!(message(record.test()).contains("cnn with seed 777 keeps no test results"));
    record.test = Some(TestRecord::of(&evaluation, 2)?);
    record.save(&path)?;
    let loaded = RunRecord::load(&path)?;
    assert_eq!(loaded, record);
    assert_eq!(loaded.test()?.confusion_matrix()?, evaluation.confusion_matrix()?);
    let expected = evaluation.mistakes()?.most_confident(2)?;
    for (found, expected) in loaded.test()?.surest_mistakes()?.iter().zip(&expected) {
        assert_eq!(found.image, expected.image);
        assert_eq!(found.image, digits.test.get(found.index)?.0);
        assert_eq!(found.probabilities, expected.probabilities);
        assert_eq!((found.truth, found.predicted), (expected.truth, expected.predicted));
    }

    let good: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    for (place, value, expected) in [
        ("/test/confusion/3", json!([1, 2]), "a row of 2 counts for 10 classes"),
        ("/test/confusion/3/3", json!(u64::MAX), "counts that are too large"),
        ("/test/class_names", json!(["0"]), "1 names for 10 classes"),
        ("/test/surest_mistakes/0/truth", json!(10), "class 10 predicted as"),
        ("/test/surest_mistakes/1/probabilities", json!([1.0]), "with 1 probabilities"),
        ("/test/surest_mistakes/0/pixels", json!("#"), "the pixels are not base64"),
        ("/test/surest_mistakes/0/pixels", json!("AAAA"), "3 pixels for an image of [1, 28, 28]"),
        ("/test/surest_mistakes/0/shape", json!([-1, 28, -28]), "an image of [-1, 28, -28]"),
    ] {
        let mut wrong = good.clone();
        *wrong.pointer_mut(place).context("there is such a value")? = value;
        std::fs::write(&path, wrong.to_string())?;
        let said = message(RunRecord::load(&path));
        assert!(said.contains(expected), "{place}: {said}");
    }
    Ok(())
}

#[test]
fn what_would_be_refused_is_not_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cnn_777.json");
    let said = message(run("cnn", 1, &[0.98]).save(&path));
    assert!(said.contains("has to be named cnn_1.json"), "{said}");
    let said = message(run("cnn", 777, &[]).save(&path));
    assert!(said.contains("it has no epochs"), "{said}");
    let said = message(run("cnn", 777, &[f64::NAN]).save(&path));
    assert!(said.contains("test_accuracy is NaN"), "{said}");
    assert!(!path.exists());
    Ok(())
}

#[test]
fn the_seeds_of_one_model_are_loaded_in_order() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let save = |model: &str, seed: u64| {
        run(model, seed, &[0.98]).save(folder.path().join(format!("{model}_{seed}.json")))
    };
    for (model, seed) in [("cnn", 1000), ("cnn", 999), ("deep_cnn", 777), ("cnn_wide", 1)] {
        save(model, seed)?;
    }
    std::fs::write(folder.path().join("cnn_notes.json"), "{}")?;
    let runs = RunRecord::load_seeds(folder.path(), "cnn")?;
    assert_eq!(runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [999, 1000]);
    let said = message(RunRecord::load_seeds(folder.path(), "res_net"));
    assert!(said.contains("found no file res_net_<seed>.json"), "{said}");
    assert!(said.contains("mnist res-net --record"), "{said}");
    let said = message(RunRecord::load_seeds(Path::new("nowhere"), "cnn"));
    assert!(said.contains("cannot read the folder nowhere"), "{said}");
    Ok(())
}

#[test]
fn a_table_of_runs_ends_with_mean_and_standard_deviation() -> Result<()> {
    let runs = [run("cnn", 1, &[0.99, 0.98]), run("cnn", 2, &[0.97, 0.99]), run("cnn", 3, &[1.0])];
    let table = runs_table(&runs)?;
    assert_eq!(table.rows()[0], ["cnn", "1", "98.00 %", "99.00 %, 1", "5"]);
    // statistics.stdev([98, 99, 100]) in Python is 1.
    let last = ["mean ± standard deviation", "–", "99.00 ± 1.00 %", "–", "4"];
    assert_eq!(table.rows()[3], last);
    assert_eq!(runs_table(&runs[..1])?.rows().len(), 1, "one run has no spread");
    let models = [run("cnn", 1, &[0.9]), run("lenet", 1, &[0.8])];
    assert_eq!(runs_table(&models)?.rows().len(), 2, "two models have no common mean");

    assert!(message(runs_table(&[])).contains("no runs"));
    let mut untested = run("cnn", 4, &[]);
    untested.history.push(EpochRecord { epoch: 1, ..EpochRecord::default() });
    let said = message(runs_table(&[untested]));
    assert!(
        said.contains("the run of cnn with seed 4") && said.contains("test accuracy"),
        "{said}"
    );
    Ok(())
}

#[test]
fn the_records_of_the_lessons_are_readable() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../notebooks/records");
    let names: Vec<_> = std::fs::read_dir(&folder)?.collect::<std::io::Result<_>>()?;
    assert!(!names.is_empty());
    for name in names {
        if name.file_name() == "fast_comparison.json" {
            SpeedRecord::load(name.path())?;
        } else {
            RunRecord::load(name.path())?;
        }
    }
    let resnet = RunRecord::load(folder.join("resnet_42.json"))?;
    assert_eq!(
        runs_table(&[resnet])?.rows()[0],
        ["resnet", "42", "99.40 %", "99.55 %, 8", "10863"]
    );
    Ok(())
}

#[test]
fn a_comparison_with_an_impossible_number_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("fast_comparison.json");
    let run = |seconds, training_seconds, test_accuracy| SpeedRun {
        program: "mnist_kit".to_string(),
        seed: 1,
        test_accuracy,
        seconds,
        training_seconds,
    };
    let record = |runs| SpeedRecord {
        settings: Default::default(),
        versions: "torch 2.13.0".to_string(),
        commit: "da218d6".to_string(),
        device: "CPU".to_string(),
        threads: 2,
        date: "2026-11-28".to_string(),
        runs,
    };
    let good = record(vec![run(2.0, 1.0, 0.99), run(3.0, 1.0, 0.98), run(9.0, 2.0, 0.97)]);
    good.save(&path)?;
    assert_eq!(SpeedRecord::load(&path)?, good);
    let table = good.table()?;
    let row = ["mnist_kit", "3", "98.00 ± 1.00 %", "97.00 %", "3.00 (2.00–9.00)", "1.00"];
    assert_eq!(table.rows()[0], row);
    assert!(message(good.median_seconds("PyTorch")).contains("there are runs of mnist_kit"));
    for (runs, said) in [
        (vec![], "it has no runs"),
        (vec![run(2.0, 3.0, 0.99)], "3 of 2 seconds were for the training"),
        (vec![run(2.0, 1.0, 1.01)], "the test accuracy is 1.01, expected 0 to 1"),
    ] {
        let refused = message(record(runs).save(&path));
        assert!(refused.contains(said), "{refused}");
    }
    std::fs::write(&path, "{}")?;
    assert!(message(SpeedRecord::load(&path)).contains("`make bench-fast` writes one"));
    Ok(())
}
