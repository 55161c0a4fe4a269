//! Checkpoints: changed bytes, and changed content with the checksum that belongs to it.

use crate::{Dice, Part};
use anyhow::Result;
use mnist_kit::data::Mnist;
use mnist_kit::model::Mlp;
use mnist_kit::train::{Silent, fit};
use mnist_kit::transform::Compose;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor, nn};

const NAME: &str = "run.safetensors";

pub const PART: Part = Part {
    name: "checkpoint",
    mebibytes: 64,
    bombs,
    change,
    read: |path| {
        let _ = std::fs::remove_file(path.with_extension("safetensors.previous"));
        run(path)
    },
};

/// A run of one epoch, which resumes from the checkpoint that is there.
fn run(path: &Path) -> Result<()> {
    thread_local!(static DIGITS: Mnist = Mnist::generated(1, 20, 10).unwrap());
    let batches = DIGITS.with(|digits| digits.train.batches(20))?;
    let batches = batches.transform(&Compose::new().to_tensor());
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 2)?;
    let resumed = fit(&model, &vs, &batches).checkpoint(path).report(Silent).run();
    match resumed {
        // The file was read: it asked for an epoch more, from weights as large as 1e30.
        Err(error) if format!("{error:#}").contains("training diverged") => Ok(()),
        other => other.map(drop),
    }
}

/// The file of a run that has ended.
fn whole() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        run(&path).unwrap();
        std::fs::read(path).unwrap()
    })
}

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let mut file = if dice.one_in(3) { whole().to_vec() } else { changed(dice) };
    if dice.one_in(3) {
        dice.change_bytes(&mut file);
    }
    (NAME.to_string(), file)
}

/// A checkpoint with other content, whose checksum is right.
fn changed(dice: &mut Dice) -> Vec<u8> {
    let folder = tempfile::tempdir_in(shm()).unwrap();
    let path = folder.path().join(NAME);
    std::fs::write(&path, whole()).unwrap();
    let mut tensors: BTreeMap<String, Tensor> =
        Tensor::read_safetensors(&path).unwrap().into_iter().collect();
    tensors.remove("checksum");
    for _ in 0..1 + dice.below(2) {
        let Some(name) = tensors.keys().nth(dice.below(tensors.len())).cloned() else { break };
        change_tensor(&mut tensors, name, dice);
    }
    let checksum = Tensor::from_slice(&checksum(&tensors));
    tensors.insert("checksum".to_string(), checksum);
    let tensors: Vec<_> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, &path).unwrap();
    std::fs::read(path).unwrap()
}

fn shm() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}

fn change_tensor(tensors: &mut BTreeMap<String, Tensor>, name: String, dice: &mut Dice) {
    let tensor = tensors[&name].shallow_clone();
    let is_text = matches!(&name[..], "history" | "identity" | "best");
    if let (true, Ok(text)) = (is_text && !dice.one_in(8), Vec::<u8>::try_from(&tensor)) {
        let mut text = match serde_json::from_slice(&text) {
            Ok(mut document) => {
                dice.change_json(&mut document);
                document.to_string().into_bytes()
            }
            Err(_) => text,
        };
        if dice.one_in(8) {
            dice.change_bytes(&mut text);
        }
        tensors.insert(name, Tensor::from_slice(&text));
        return;
    }
    let kinds = [Kind::Float, Kind::Double, Kind::Int64, Kind::Bool, Kind::Half, Kind::Uint8];
    let new = match dice.below(6) {
        0 => {
            tensors.remove(&name);
            return;
        }
        1 => tensor.to_kind(*dice.pick(&kinds)),
        2 => tensor.flatten(0, -1),
        3 => Tensor::zeros([0, dice.below(5) as i64], (Kind::Float, Device::Cpu)),
        4 if tensor.is_floating_point() => {
            // Half precision ends at 65,504.
            let large = if tensor.kind() == Kind::Half { 6e4 } else { 1e30 };
            tensor.full_like(*dice.pick(&[f64::NAN, f64::INFINITY, -1.0, large]))
        }
        _ => {
            let other = format!("model.{}", dice.number());
            tensors.insert(other, tensor);
            return;
        }
    };
    tensors.insert(name, new.contiguous());
}

/// The checksum that a checkpoint has to have.
fn checksum(tensors: &BTreeMap<String, Tensor>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (name, tensor) in tensors {
        digest.update(format!("{name} {:?} {:?}\n", tensor.kind(), tensor.size()));
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        digest.update(bytes);
    }
    digest.finalize().into()
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let file = |header: &str, data: &[u8]| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    let empty = |shape: &str| {
        format!(r#"{{"checksum":{{"dtype":"U8","shape":{shape},"data_offsets":[0,0]}}}}"#)
    };
    [file(&empty("[0,9223372036854775807]"), &[]), file(&empty("[0]"), &[]), whole()[..99].to_vec()]
        .into_iter()
        .map(|content| (NAME.to_string(), content))
        .collect()
}
