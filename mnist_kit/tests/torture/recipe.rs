//! The JSON file that the program writes beside weights: which model, of which sizes, on which pixels.

#[path = "../../cli/src/saved.rs"]
#[allow(dead_code, reason = "only the reader is tried here")]
mod saved;

use crate::{Dice, Part};
use saved::Recipe;
use serde_json::json;

const WEIGHTS: &str = "weights.safetensors";
const NAME: &str = "weights.json";

pub const PART: Part = Part {
    name: "recipe",
    mebibytes: 64,
    bombs,
    change,
    read: |path| Recipe::read(&path.with_file_name(WEIGHTS)).map(drop),
};

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let model = *dice.pick(&["mlp", "lenet", "cnn", "deep-cnn", "resnet", "vgg"]);
    let mut recipe = json!({"model": model, "hidden": 100, "width": 16, "mean": 0.5, "std": 0.5});
    dice.change_json(&mut recipe);
    let mut text = recipe.to_string().into_bytes();
    if dice.one_in(3) {
        dice.change_bytes(&mut text);
    }
    (NAME.to_string(), text)
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let normalized = |std: &str| format!(r#"{{"model": "cnn", "mean": 0, "std": {std}}}"#);
    [
        "[".repeat(1_000_000),
        "{\"model\":".repeat(200_000),
        normalized("0"),
        normalized("-1"),
        normalized("1e400"),
        normalized(&"9".repeat(1_000_000)),
        format!(r#"{{"model": "{}", "mean": 0, "std": 1}}"#, "n".repeat(1_000_000)),
    ]
    .map(|text| (NAME.to_string(), text.into_bytes()))
    .to_vec()
}
