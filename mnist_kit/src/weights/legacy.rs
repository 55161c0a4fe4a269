//! Reader of the `.pth` files that PyTorch wrote before version 1.6, such as torchvision's weights of
//! MobileNetV2: pickles in a row, and behind them the numbers of each storage.
//!
//! The pickles are run by the same machine, within the same bounds, as those of newer files.

use super::pickle::{MAX_PROGRAM, Machine, Value, tensors};
use crate::Result;
use anyhow::{Context, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// The pickle of the number that such a file begins with.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The version of the format, in the second pickle.
const VERSION: i64 = 1001;

/// Reads the tensors of a state dict, by name. The tensors are views, as those of newer files.
pub(super) fn read_state_dict(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(MAX_PROGRAM).read_to_end(&mut head)?;
    let rest = head.strip_prefix(MAGIC).context("it does not begin as such a file does")?;
    let (version, rest) = Machine::run(rest)?;
    ensure!(matches!(version, Value::Int(VERSION)), "its version is not {VERSION}");
    // Byte order and sizes of numbers. PyTorch wrote these files on machines like this one.
    let (_, rest) = Machine::run(rest)?;
    let (entries, rest) = Machine::run(rest)?;
    let Value::Dict(entries) = entries else {
        bail!("it holds something else than a state dict; save model.state_dict()");
    };
    let (keys, rest) = Machine::run_list_of_texts(rest)?;
    let mut kinds: HashMap<Rc<str>, Kind> = HashMap::new();
    for view in entries.borrow().iter().filter_map(|(_, view)| view.as_ref()) {
        kinds.insert(view.storage.key.clone(), view.storage.kind);
    }
    file.seek(SeekFrom::Start((head.len() - rest.len()) as u64))?;
    let mut file = BufReader::new(file);
    let mut storages: HashMap<Rc<str>, Tensor> = HashMap::new();
    for key in keys {
        let kind = kinds.get(&key).with_context(|| format!("no tensor uses its storage {key}"))?;
        let read = read_storage(&mut file, *kind).with_context(|| format!("storage {key}"))?;
        ensure!(storages.insert(key.clone(), read).is_none(), "its storage {key} occurs twice");
    }
    tensors(&entries, |key| Ok(storages.get(key).map(Tensor::shallow_clone)))
}

/// Reads a count and that many numbers, as a Uint8 tensor.
fn read_storage(file: &mut BufReader<File>, kind: Kind) -> Result<Tensor> {
    let mut count = [0; 8];
    file.read_exact(&mut count).context("the file ends before it")?;
    let count = i64::from_le_bytes(count);
    let bytes = u64::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(kind.elt_size_in_bytes() as u64));
    let bytes = bytes.with_context(|| format!("{count} numbers"))?;
    let mut content = Vec::new();
    file.by_ref().take(bytes).read_to_end(&mut content)?;
    ensure!(
        content.len() as u64 == bytes,
        "the file ends after {} of its {bytes} bytes",
        content.len()
    );
    Ok(Tensor::f_from_slice(&content)?)
}
