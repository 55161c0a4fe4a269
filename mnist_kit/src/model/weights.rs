//! Weights in and out, as safetensors under PyTorch's names.

use crate::Result;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Tensor, nn};

/// Writes every variable of the store to a safetensors file, which PyTorch reads with
/// `safetensors.torch.load_file`.
///
/// The file is written aside and renamed: there is never half a file under `path`.
///
/// # Errors
/// When the folder cannot be written.
pub fn save_weights(vs: &nn::VarStore, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    // Sorted, so that the same weights give the same bytes.
    let named: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let tensors = named
        .into_iter()
        .map(|(name, tensor)| {
            Ok((name, tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?))
        })
        .collect::<Result<Vec<_>>>()?;
    crate::files::replace(path, |aside| Ok(Tensor::write_safetensors(&tensors, aside)?))
}

/// Reads a safetensors file into the variables of a store, whose model has been built.
///
/// Values are converted to the variables' dtype and device. Nothing is changed unless every
/// variable finds its tensor.
///
/// # Errors
/// When the file cannot be read, or its entries are not exactly the store's: missing, extra and
/// wrongly shaped names are all listed.
pub fn load_weights(vs: &nn::VarStore, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let found = Tensor::read_safetensors(path).with_context(|| {
        format!("cannot read weights from {}: expected a safetensors file", path.display())
    })?;
    set_variables(vs, found.into_iter().collect())
        .with_context(|| format!("{} does not fit the model", path.display()))
}

/// Gives every variable of a store the tensor of its name, or changes nothing.
pub(crate) fn set_variables(vs: &nn::VarStore, mut found: BTreeMap<String, Tensor>) -> Result<()> {
    let mut problems = Vec::new();
    let mut pairs = Vec::new();
    for (name, variable) in vs.variables().into_iter().collect::<BTreeMap<_, _>>() {
        match found.remove(&name) {
            None => problems.push(format!("missing {name} {:?}", variable.size())),
            Some(tensor) if tensor.size() != variable.size() => problems.push(format!(
                "{name} has shape {:?}, expected {:?}",
                tensor.size(),
                variable.size()
            )),
            Some(tensor) => pairs.push((variable, tensor)),
        }
    }
    problems.extend(found.iter().map(|(name, tensor)| format!("extra {name} {:?}", tensor.size())));
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    ensure!(!pairs.is_empty(), "the store is empty: build the model before loading its weights");
    let _no_grad = tch::no_grad_guard();
    for (mut variable, tensor) in pairs {
        variable.f_copy_(&tensor)?;
    }
    Ok(())
}
