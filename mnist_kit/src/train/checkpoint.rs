//! A training run on disk, from which it can be resumed.

use super::identity::Identity;
use super::{History, Optimizer};
use crate::weights::set_variables;
use crate::{Result, files};
use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor, nn};

/// Largest difference between the probe's logits then and now, relative to the largest logit:
/// another processor or number of threads rounds differently, another function differs by far more.
const PROBE_TOLERANCE: f64 = 1e-2;

/// A safetensors file with the model (`model.…`), the optimizer (`optimizer.…`), the history and the
/// run's identity as JSON, the probe's logits, and a checksum.
///
/// It is replaced as a whole after each epoch. The file before it stays as `<name>.previous`, and
/// serves where the newest one is damaged. A lock file beside them keeps other runs away.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
    identity: Identity,
    /// Held until the run ends.
    _lock: File,
}

/// The parts of a run that a checkpoint stores and restores.
pub(super) struct State<'a> {
    pub vs: &'a nn::VarStore,
    pub optimizer: &'a mut Optimizer,
    pub history: &'a mut History,
}

impl Checkpoint {
    /// Takes the lock of a checkpoint.
    pub fn open(path: PathBuf, identity: Identity) -> Result<Checkpoint> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let lock_path = with_suffix(&path, ".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.with_context(|| format!("cannot write {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Checkpoint { path, identity, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another run is using the checkpoint {}; wait for its end or name another file",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
            }
        }
    }

    /// Writes the state of the run; `probe` is what [`load`](Checkpoint::load) will compare.
    pub fn save(
        &self,
        vs: &nn::VarStore,
        optimizer: &Optimizer,
        history: &History,
        probe: Tensor,
    ) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in vs.variables() {
            tensors.insert(format!("model.{name}"), tensor.f_detach()?);
        }
        for (name, tensor) in optimizer.state()? {
            tensors.insert(format!("optimizer.{name}"), tensor);
        }
        tensors.insert("history".to_string(), text_tensor(&history.to_json()?)?);
        tensors.insert("identity".to_string(), text_tensor(&self.identity.to_json()?)?);
        tensors.insert("probe".to_string(), probe);
        for tensor in tensors.values_mut() {
            *tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        }
        let checksum = Tensor::f_from_slice(&checksum(&tensors)?)?;
        tensors.insert("checksum".to_string(), checksum);
        let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
        files::replace_keeping(&self.path, &self.previous(), |aside| {
            Ok(Tensor::write_safetensors(&tensors, aside)?)
        })
    }

    /// Restores the run from the newest undamaged file; does nothing where there is none.
    ///
    /// `probe` computes the logits of a few fixed images with the restored weights. A file that
    /// belongs to another run is refused, and the state is then as it was.
    pub fn load(&self, state: State, probe: impl Fn() -> Result<Tensor>) -> Result<()> {
        let mut damages = Vec::new();
        for path in [self.path.clone(), self.previous()].into_iter().filter(|path| path.exists()) {
            match Stored::read(&path) {
                Ok(stored) => {
                    if let Some(damage) = damages.first() {
                        println!("{damage}; resuming from {} instead", path.display());
                    }
                    return self
                        .restore(stored, state, probe)
                        .with_context(|| format!("cannot resume from {}", path.display()));
                }
                Err(error) => damages.push(format!("{} is damaged: {error:#}", path.display())),
            }
        }
        ensure!(
            damages.is_empty(),
            "{}; remove the file to start the run anew",
            damages.join(", and ")
        );
        Ok(())
    }

    fn restore(
        &self,
        stored: Stored,
        state: State,
        probe: impl Fn() -> Result<Tensor>,
    ) -> Result<()> {
        self.identity.expect(&stored.identity)?;
        let before: BTreeMap<String, Tensor> = (state.vs.variables().into_iter())
            .map(|(name, tensor)| Ok((name, tensor.f_detach_copy()?)))
            .collect::<Result<_>>()?;
        set_variables(state.vs, stored.model)?;
        let restored = probe()
            .and_then(|logits| expect_same_logits(&stored.probe, &logits))
            .and_then(|()| state.optimizer.set_state(&stored.optimizer));
        if let Err(error) = restored {
            set_variables(state.vs, before)?;
            return Err(error);
        }
        for record in stored.history.epochs() {
            state.history.push(record.clone());
        }
        Ok(())
    }

    fn previous(&self) -> PathBuf {
        with_suffix(&self.path, ".previous")
    }
}

/// The content of a checkpoint, read and checked but not yet applied.
struct Stored {
    model: BTreeMap<String, Tensor>,
    optimizer: BTreeMap<String, Tensor>,
    history: History,
    identity: String,
    probe: Tensor,
}

impl Stored {
    fn read(path: &Path) -> Result<Stored> {
        let mut tensors: BTreeMap<String, Tensor> =
            Tensor::read_safetensors(path)?.into_iter().collect();
        let stored = take(&mut tensors, "checksum")?;
        let expected = Tensor::f_from_slice(&checksum(&tensors)?)?;
        ensure!(
            stored.kind() == Kind::Uint8 && stored == expected,
            "its content does not match its checksum"
        );
        let history = History::from_json(&text_of(take(&mut tensors, "history")?)?)?;
        let identity = text_of(take(&mut tensors, "identity")?)?;
        let probe = take(&mut tensors, "probe")?;
        let mut parts = [("model.", BTreeMap::new()), ("optimizer.", BTreeMap::new())];
        for (name, tensor) in tensors {
            for (prefix, part) in &mut parts {
                if let Some(name) = name.strip_prefix(*prefix) {
                    part.insert(name.to_string(), tensor.shallow_clone());
                }
            }
        }
        let [(_, model), (_, optimizer)] = parts;
        Ok(Stored { model, optimizer, history, identity, probe })
    }
}

fn take(tensors: &mut BTreeMap<String, Tensor>, name: &str) -> Result<Tensor> {
    tensors.remove(name).with_context(|| format!("it is not a checkpoint: it has no {name}"))
}

fn text_tensor(text: &str) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(text.as_bytes())?)
}

fn text_of(tensor: Tensor) -> Result<String> {
    Ok(String::from_utf8(Vec::<u8>::try_from(tensor)?)?)
}

/// SHA-256 of the names, dtypes, shapes and bytes of all tensors.
fn checksum(tensors: &BTreeMap<String, Tensor>) -> Result<[u8; 32]> {
    let mut digest = Sha256::new();
    for (name, tensor) in tensors {
        digest.update(format!("{name} {:?} {:?}\n", tensor.kind(), tensor.size()));
        digest.update(crate::data::bytes_of(tensor)?);
    }
    Ok(digest.finalize().into())
}

/// Compares the probe's logits of the file with those of the restored model.
fn expect_same_logits(stored: &Tensor, logits: &Tensor) -> Result<()> {
    let close = stored.size() == logits.size() && {
        let largest = stored.f_abs()?.f_max()?.f_double_value(&[])?;
        let difference = stored.f_sub(logits)?.f_abs()?.f_max()?.f_double_value(&[])?;
        difference <= PROBE_TOLERANCE * (1.0 + largest)
    };
    ensure!(
        close,
        "it belongs to another model: the same weights give other logits here than in that run; \
         remove it or name another file"
    );
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
