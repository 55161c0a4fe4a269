//! Weights in and out, under PyTorch's names.

mod legacy;
mod pickle;
mod pretrained;

pub use pretrained::ImagenetWeights;

use self::pickle::ZIP_MAGIC;
use crate::Result;
use crate::check::plain;
use crate::files::replace;
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
/// The file is written under another name and renamed, so `path` never holds half a file.
///
/// # Errors
/// If the folder is not writable.
pub fn save_weights(vs: &nn::VarStore, path: impl AsRef<Path>) -> Result<()> {
    plain(save(vs, path.as_ref()))
}

fn save(vs: &nn::VarStore, path: &Path) -> Result<()> {
    // Sorted, so that the same weights give the same bytes.
    let named: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let tensors = named
        .into_iter()
        .map(|(name, tensor)| {
            Ok((name, tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?))
        })
        .collect::<Result<Vec<_>>>()?;
    replace(path, |aside| Ok(Tensor::write_safetensors(&tensors, aside)?))
}

/// Reads a file of weights into the variables of a store: safetensors, or a state dict written by
/// `torch.save` (`.pth`, also in the format before PyTorch 1.6). The format is recognized by the content.
///
/// Build the model before loading its weights. Nothing in a `.pth` file is executed, and one that
/// holds more than tensors is refused. Values are converted to the variables' dtype and device.
/// Either every variable receives its tensor, or none is changed.
///
/// # Errors
/// If the file cannot be read, or its entries are not exactly the store's; the message lists
/// missing and extra names and different shapes.
pub fn load_weights(vs: &nn::VarStore, path: impl AsRef<Path>) -> Result<()> {
    load_pretrained(vs, path, &[])
}

/// Reads a file of weights like [`load_weights`], except for the names under the prefixes `except`:
/// these variables keep their values, and such entries of the file are ignored.
///
/// This loads a backbone under a new head.
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
/// As for [`load_weights`].
pub fn load_pretrained(vs: &nn::VarStore, path: impl AsRef<Path>, except: &[&str]) -> Result<()> {
    plain(load(vs, path.as_ref(), except))
}

fn load(vs: &nn::VarStore, path: &Path, except: &[&str]) -> Result<()> {
    let found = read_tensors(path)
        .with_context(|| format!("cannot read weights from {}", path.display()))?;
    set_variables_except(vs, found, except)
        .with_context(|| format!("{} does not fit the model", path.display()))
}

/// Reads the tensors of a safetensors or `.pth` file, by name.
fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut start = Vec::new();
    File::open(path)?.take(legacy::MAGIC.len() as u64).read_to_end(&mut start)?;
    if start.starts_with(ZIP_MAGIC) {
        return pickle::read_state_dict(path);
    }
    if start == legacy::MAGIC {
        return legacy::read_state_dict(path);
    }
    let tensors = Tensor::read_safetensors(path)
        .context("it is neither a safetensors file nor a .pth file that torch.save wrote")?;
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
    let (mut missing, mut misshapen, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    for (name, variable) in variables.into_iter().filter(|(name, _)| wanted(name)) {
        let expected = variable.size();
        match found.remove(&name) {
            None => missing.push(format!("missing {name} {expected:?}")),
            Some(tensor) if tensor.size() != expected => misshapen
                .push(format!("{name} has shape {:?}, expected {expected:?}", tensor.size())),
            Some(tensor) => pairs.push((variable, tensor)),
        }
    }
    let extra: Vec<String> =
        found.iter().map(|(name, tensor)| format!("extra {name} {:?}", tensor.size())).collect();
    let problems: Vec<String> = [misshapen, missing, extra]
        .iter()
        .filter(|list| !list.is_empty())
        .map(|list| shortened(list))
        .collect();
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    ensure!(!pairs.is_empty(), "the store is empty: build the model before loading its weights");
    let _no_grad = tch::no_grad_guard();
    for (mut variable, tensor) in pairs {
        variable.f_copy_(&tensor)?;
    }
    Ok(())
}

/// Joins the first few of a list of problems, and counts the others.
fn shortened(problems: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = problems.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if problems.len() > SHOWN {
        text.push_str(&format!("; and {} more", problems.len() - SHOWN));
    }
    text
}
