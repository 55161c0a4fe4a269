use crate::common::message;
use anyhow::Result;
use mnist_kit::train::{EpochRecord, History, RunRecord, runs_table};
use serde_json::json;
use std::path::Path;

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
        RunRecord::load(name.path())?;
    }
    let resnet = RunRecord::load(folder.join("resnet_42.json"))?;
    assert_eq!(
        runs_table(&[resnet])?.rows()[0],
        ["resnet", "42", "99.40 %", "99.55 %, 8", "10863"]
    );
    Ok(())
}
