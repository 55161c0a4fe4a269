//! The JSON files of runs: records and histories.

use crate::{Dice, Part};
use anyhow::Context;
use mnist_kit::train::{History, RunRecord, runs_table};
use serde_json::{Value, json};

const RECORD: &str = "cnn_777.json";

pub const PART: Part = Part {
    name: "json",
    mebibytes: 64,
    bombs,
    change,
    read: |path| {
        if path.ends_with(RECORD) {
            let record = RunRecord::load(path)?;
            // What has been read can be shown.
            if let Ok(test) = record.test() {
                let _ = (test.confusion_matrix()?.table(), test.surest_mistakes()?);
            }
            let _ = (record.table().to_string(), runs_table(&[record.clone(), record]));
            return Ok(());
        }
        let history = std::fs::read_to_string(path).context("cannot be read");
        let history = history.and_then(|text| History::from_json(&text));
        let _ = history.with_context(|| path.display().to_string())?.table().to_string();
        Ok(())
    },
};

fn history() -> Value {
    let epoch = |epoch: u64| {
        json!({
            "epoch": epoch, "train_loss": 0.5, "train_accuracy": 0.9, "val_loss": 0.6,
            "val_accuracy": 0.8, "test_loss": null, "test_accuracy": 0.7, "seconds": 1.5,
        })
    };
    json!({"epochs": [epoch(1), epoch(2), epoch(3)]})
}

fn record() -> Value {
    json!({
        "model": "cnn", "seed": 777, "settings": {"lr": 0.1, "epochs": 3}, "commit": "da218d6",
        "device": "CPU", "threads": 2, "date": "2026-11-28", "history": history(),
        "log": "Epoch 1/3: loss 0.5\n",
        "test": {
            "confusion": [[3, 1], [0, 4]], "class_names": ["0", "1"], "note": null,
            "surest_mistakes": [{
                "index": 5, "truth": 0, "predicted": 1, "probabilities": [0.25, 0.75],
                "shape": [1, 2, 2], "pixels": "AAECAw==",
            }],
        },
    })
}

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let (name, mut document) =
        if dice.one_in(2) { (RECORD, record()) } else { ("history.json", history()) };
    if !dice.one_in(10) {
        dice.change_json(&mut document);
    }
    let mut text = document.to_string().into_bytes();
    if dice.one_in(4) {
        dice.change_bytes(&mut text);
    }
    (name.to_string(), text)
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let with = |old: &str, new: &str| record().to_string().replace(old, new).into_bytes();
    [
        "[".repeat(1_000_000).into_bytes(),
        "{\"epochs\":".repeat(200_000).into_bytes(),
        with("\"seed\":777", "\"seed\":1e400"),
        with("\"seed\":777", &format!("\"seed\":{}", "9".repeat(1_000_000))),
        with("\"epoch\":3", "\"epoch\":18446744073709551615"),
        with("\"train_loss\":0.5", "\"train_loss\":1e999"),
        with("cnn", &"n".repeat(1_000_000)),
    ]
    .into_iter()
    .map(|content| (RECORD.to_string(), content))
    .collect()
}
