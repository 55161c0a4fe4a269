//! The settings that decide the course of a run, by which a checkpoint knows its run.

use super::{Loss, OptimizerConfig, Schedule};
use crate::Result;
use crate::data::BatchesDescription;
use anyhow::{Context, bail};
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
    pub model: BTreeMap<String, Variable>,
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

/// A variable of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Variable {
    pub shape: Vec<i64>,
    pub dtype: String,
    pub trainable: bool,
}

impl Variable {
    /// The variables of a store, by name.
    pub fn all(vs: &nn::VarStore) -> BTreeMap<String, Variable> {
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
        let mut differences = Vec::new();
        compare("", &there, &here, &mut differences);
        if !differences.is_empty() {
            bail!(
                "it belongs to another run; remove it or name another file\n  {}",
                differences.join("\n  ")
            );
        }
        Ok(())
    }
}

/// Collects the paths of two JSON values at which they differ.
fn compare(path: &str, there: &Value, here: &Value, differences: &mut Vec<String>) {
    const MOST: usize = 5;
    match (there, here) {
        (Value::Object(there), Value::Object(here)) => {
            let names = there.keys().chain(here.keys().filter(|name| !there.contains_key(*name)));
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let get = |object: &serde_json::Map<String, Value>| {
                    object.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(&path, &get(there), &get(here), differences);
            }
        }
        _ if there == here => {}
        _ if differences.len() < MOST => {
            differences.push(format!("{path}: {there} in the file, {here} here"));
        }
        _ if differences.len() == MOST => differences.push("and more".to_string()),
        _ => {}
    }
}
