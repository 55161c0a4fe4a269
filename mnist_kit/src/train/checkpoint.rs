//! A training run on disk, from which it can go on.

use super::{EpochRecord, History, Optimizer};
use crate::Result;
use crate::files;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor, nn};

/// One safetensors file that holds the model (`model.…`), the optimiser (`optimizer.…`), the history
/// and the settings of the run; replaced as a whole after each epoch.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub path: PathBuf,
    /// What the run depends on, in words; another run does not go on from this file.
    pub settings: String,
}

impl Checkpoint {
    pub fn save(&self, vs: &nn::VarStore, optimizer: &Optimizer, history: &History) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in vs.variables() {
            tensors.insert(format!("model.{name}"), tensor.f_detach()?);
        }
        for (name, tensor) in optimizer.state()? {
            tensors.insert(format!("optimizer.{name}"), tensor);
        }
        tensors.insert("history".to_string(), rows(history)?);
        tensors.insert("settings".to_string(), Tensor::f_from_slice(self.settings.as_bytes())?);
        let tensors = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.f_to_device(Device::Cpu)?.f_contiguous()?)))
            .collect::<Result<Vec<_>>>()?;
        files::replace(&self.path, |aside| Ok(Tensor::write_safetensors(&tensors, aside)?))
    }

    /// Puts model, optimiser and history where the run left them; does nothing where there is no file.
    pub fn load(
        &self,
        vs: &nn::VarStore,
        optimizer: &mut Optimizer,
        history: &mut History,
    ) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        self.load_file(vs, optimizer, history)
            .with_context(|| format!("cannot go on from the checkpoint {}", self.path.display()))
    }

    fn load_file(
        &self,
        vs: &nn::VarStore,
        optimizer: &mut Optimizer,
        history: &mut History,
    ) -> Result<()> {
        let mut model = BTreeMap::new();
        let mut state = BTreeMap::new();
        let mut others = BTreeMap::new();
        for (name, tensor) in Tensor::read_safetensors(&self.path)? {
            if let Some(name) = name.strip_prefix("model.") {
                model.insert(name.to_string(), tensor);
            } else if let Some(name) = name.strip_prefix("optimizer.") {
                state.insert(name.to_string(), tensor);
            } else {
                others.insert(name, tensor);
            }
        }
        let settings =
            others.remove("settings").context("it is no checkpoint: it has no settings")?;
        let settings = String::from_utf8_lossy(&Vec::<u8>::try_from(settings)?).into_owned();
        ensure!(
            settings == self.settings,
            "it belongs to another run; remove it or name another file\n  there: {settings}\n  here:  {}",
            self.settings
        );
        crate::weights::set_variables(vs, model)?;
        optimizer.set_state(&state)?;
        for record in records(&others.remove("history").context("it has no history")?)? {
            history.push(record);
        }
        Ok(())
    }
}

/// A row for each epoch; what was not measured is NaN.
fn rows(history: &History) -> Result<Tensor> {
    let values: Vec<f64> = history
        .epochs()
        .iter()
        .flat_map(|record| {
            let EpochRecord { epoch, train_loss, train_accuracy, seconds, .. } = *record;
            let test_loss = record.test_loss.unwrap_or(f64::NAN);
            let test_accuracy = record.test_accuracy.unwrap_or(f64::NAN);
            [epoch as f64, train_loss, train_accuracy, test_loss, test_accuracy, seconds]
        })
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([-1, 6])?)
}

fn records(rows: &Tensor) -> Result<Vec<EpochRecord>> {
    ensure!(
        rows.kind() == Kind::Double && rows.size().get(1) == Some(&6),
        "its history is {:?} {:?}, expected Double [epochs, 6]",
        rows.kind(),
        rows.size()
    );
    let measured = |value: f64| Some(value).filter(|value| !value.is_nan());
    Ok(Vec::<Vec<f64>>::try_from(rows)?
        .into_iter()
        .map(|row| EpochRecord {
            epoch: row[0] as usize,
            train_loss: row[1],
            train_accuracy: row[2],
            test_loss: measured(row[3]),
            test_accuracy: measured(row[4]),
            seconds: row[5],
        })
        .collect())
}
