//! Weights in and out, under PyTorch's names.

mod pickle;
mod pretrained;

use self::pickle::{ZIP_MAGIC, read_state_dict};
use crate::Result;
use crate::model::is_part_of;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
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

/// Reads a file of weights into the variables of a store, whose model has been built: safetensors, or
/// a state dict that `torch.save` has written (`.pth`). Which of the two is seen from the content.
///
/// Nothing that a `.pth` file contains is executed; a file that holds more than tensors is refused.
/// Values are converted to the variables' dtype and device. Nothing is changed unless every
/// variable finds its tensor.
///
/// # Errors
/// When the file cannot be read, or its entries are not exactly the store's: missing, extra and
/// wrongly shaped names are all listed.
pub fn load_weights(vs: &nn::VarStore, path: impl AsRef<Path>) -> Result<()> {
    load_pretrained(vs, path, &[])
}

/// [`load_weights`] for a part of the model: variables whose names begin with one of `except` keep
/// their values, and entries of such names in the file are left out. For a backbone under a new head.
///
/// ```
/// use mnist_kit::model::linear;
/// use mnist_kit::weights::{load_pretrained, save_weights};
/// use tch::{Device, nn};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("weights.safetensors");
/// let network = |classes| {
///     let vs = nn::VarStore::new(Device::Cpu);
///     linear(vs.root() / "body", 8, 4);
///     linear(vs.root() / "fc", 4, classes);
///     vs
/// };
/// save_weights(&network(1000), &path)?;
/// let vs = network(10);
/// load_pretrained(&vs, &path, &["fc"])?;
/// assert!(load_pretrained(&vs, &path, &[]).is_err());
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// As [`load_weights`].
pub fn load_pretrained(vs: &nn::VarStore, path: impl AsRef<Path>, except: &[&str]) -> Result<()> {
    let path = path.as_ref();
    let found = read_tensors(path)
        .with_context(|| format!("cannot read weights from {}", path.display()))?;
    set_variables_except(vs, found, except)
        .with_context(|| format!("{} does not fit the model", path.display()))
}

/// The tensors of a safetensors or `.pth` file, by name.
fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut start = Vec::new();
    File::open(path)?.take(ZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    if start == ZIP_MAGIC {
        return read_state_dict(path);
    }
    let tensors = Tensor::read_safetensors(path).context(
        "it is neither a safetensors file nor a .pth file of PyTorch 1.6 or newer (an older one \
         becomes new by torch.load and torch.save)",
    )?;
    Ok(tensors.into_iter().collect())
}

/// Gives every variable of a store the tensor of its name, or changes nothing.
pub(crate) fn set_variables(vs: &nn::VarStore, found: BTreeMap<String, Tensor>) -> Result<()> {
    set_variables_except(vs, found, &[])
}

fn set_variables_except(
    vs: &nn::VarStore,
    mut found: BTreeMap<String, Tensor>,
    except: &[&str],
) -> Result<()> {
    let wanted = |name: &String| !except.iter().any(|prefix| is_part_of(name, prefix));
    found.retain(|name, _| wanted(name));
    let mut problems = Vec::new();
    let mut pairs = Vec::new();
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    for (name, variable) in variables.into_iter().filter(|(name, _)| wanted(name)) {
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
