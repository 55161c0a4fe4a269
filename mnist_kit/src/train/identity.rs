//! The settings that decide the course of a run, by which a checkpoint knows its run.

use super::{Loss, OptimizerConfig, Schedule};
use crate::Result;
use crate::data::BatchesDescription;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tch::nn;

/// Everything that decides the course of a run, except for what the model computes, which the
/// checkpoint's probe compares.
///
/// Two runs with the same identity and the same number of finished epochs go on along the same
/// curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub model: ModelDescription,
    pub optimizer: OptimizerConfig,
    pub rates: Vec<(String, f64)>,
    pub loss: Loss,
    pub schedule: Schedule,
    /// Number of epochs, for a schedule whose course depends on it.
    pub num_epochs: Option<usize>,
    pub mixed_precision: bool,
    pub train: BatchesDescription,
    pub validation: Option<BatchesDescription>,
    pub test: Option<BatchesDescription>,
}

/// The structure of a model: its `Debug` text, for what its variables do not tell, and its
/// variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ModelDescription {
    debug: String,
    variables: BTreeMap<String, Variable>,
}

impl ModelDescription {
    pub fn of(model: &(impl nn::ModuleT + ?Sized), vs: &nn::VarStore) -> ModelDescription {
        ModelDescription {
            debug: without_values(&format!("{model:?}")),
            variables: Variable::all(vs),
        }
    }
}

/// A variable of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Variable {
    shape: Vec<i64>,
    dtype: String,
    trainable: bool,
}

impl Variable {
    /// The variables of a store, by name.
    fn all(vs: &nn::VarStore) -> BTreeMap<String, Variable> {
        let variables = vs.variables().into_iter();
        variables
            .map(|(name, tensor)| {
                let dtype = format!("{:?}", tensor.kind());
                let trainable = tensor.requires_grad();
                (name, Variable { shape: tensor.size(), dtype, trainable })
            })
            .collect()
    }
}

impl Identity {
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Refuses the identity of another run, naming the settings that differ.
    pub fn expect(&self, stored: &str) -> Result<()> {
        let there: Value = serde_json::from_str(stored).context("its settings are not JSON")?;
        let here = serde_json::to_value(self)?;
        let different = differences(&there, &here);
        const SHOWN: usize = 10;
        let more = different.len().saturating_sub(SHOWN);
        let mut lines: Vec<String> = different.into_iter().take(SHOWN).collect();
        lines.extend((more > 0).then(|| format!("and {more} more")));
        ensure!(
            lines.is_empty(),
            "it belongs to another run; remove it or name another file. These settings differ:\n  \
             {}",
            lines.join("\n  ")
        );
        Ok(())
    }
}

/// Removes from a `Debug` text what changes without a change of the model: the values that tch
/// prints of small tensors, such as the biases of a first layer, and addresses.
fn without_values(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['[', '0']) {
        result.push_str(&rest[..at]);
        let found = &rest[at..];
        let number = |item: &str| item.trim().parse::<f64>().is_ok();
        let list = found.strip_prefix('[').and_then(|list| list.split_once(']'));
        if let Some((_, after)) = list.filter(|(items, _)| items.split(',').all(number)) {
            result.push_str("[…]");
            rest = after;
        } else if let Some(address) = found.strip_prefix("0x") {
            result.push_str("0x…");
            rest = address.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        } else {
            result.push_str(&found[..1]);
            rest = &found[1..];
        }
    }
    result + rest
}

/// Lists the settings in which the run in a file differs from this one, one line each.
fn differences(there: &Value, here: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare(String::new(), there, here, &mut lines);
    lines
}

fn compare(path: String, there: &Value, here: &Value, lines: &mut Vec<String>) {
    if there == here {
        return;
    }
    let inside = |name: &str| {
        if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
    };
    match (there, here) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                let value = |map: &serde_json::Map<String, Value>| {
                    map.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(inside(name), &value(a), &value(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(format!("{path}[{i}]"), a, b, lines);
            }
        }
        (Value::String(a), Value::String(b)) => {
            let (a, b) = around_first_difference(a, b);
            lines.push(format!("{path}: {a} in the file, {b} here"));
        }
        _ => lines.push(format!("{path}: {} in the file, {} here", short(there), short(here))),
    }
}

/// A value as text; what would fill a line is cut.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    cut(&text, 0)
}

/// The parts of two texts around the first character in which they differ.
fn around_first_difference(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let from = if a.chars().count().max(b.chars().count()) > LONGEST {
        same.saturating_sub(LONGEST / 3)
    } else {
        0
    };
    (cut(a, from), cut(b, from))
}

/// The most characters shown of one value.
const LONGEST: usize = 48;

fn cut(text: &str, from: usize) -> String {
    let start = if from > 0 { "…" } else { "" };
    let shown: String = text.chars().skip(from).take(LONGEST).collect();
    let end = if text.chars().count() > from + LONGEST { "…" } else { "" };
    format!("{start}{shown}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_debug_text_keeps_settings_and_loses_values_and_addresses() {
        let text = "Net { bias: Tensor([0.5, -1e-3, NaN]), steps: [7], shape: Tensor[[10, 784], \
                    Float], dropout: 0.25, f: 0x55d0, names: [\"a\"], empty: [] }";
        let expected = "Net { bias: Tensor([…]), steps: […], shape: Tensor[[…], Float], dropout: \
                        0.25, f: 0x…, names: [\"a\"], empty: [] }";
        assert_eq!(without_values(text), expected);
    }

    #[test]
    fn only_the_fields_that_differ_are_named() {
        let there = json!({"loss": "a", "optimizer": {"lr": 0.1, "eps": 1e-8}, "test": null});
        let here = json!({"loss": "a", "optimizer": {"lr": 0.2, "eps": 1e-8}, "test": {"n": [1]}});
        assert_eq!(
            differences(&there, &here),
            ["optimizer.lr: 0.1 in the file, 0.2 here", "test: none in the file, {\"n\":[1]} here"]
        );
        let (a, b) = (format!("{}relu{0}", "x".repeat(90)), format!("{}tanh{0}", "x".repeat(90)));
        let line = &differences(&json!({ "model": a }), &json!({ "model": b }))[0];
        assert!(line.contains("relu") && line.contains("tanh") && line.len() < 140, "{line}");
        assert_eq!(differences(&here, &here), Vec::<String>::new());
    }
}
