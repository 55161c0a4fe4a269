//! A training run on disk, from which it can be resumed.

use super::identity::Identity;
use super::{History, Optimizer};
use crate::check::plain;
use crate::weights::set_variables;
use crate::{Result, files};
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor, nn};

/// Largest difference between the probe's logits then and now, relative to the largest logit:
/// another processor or number of threads rounds differently, another function differs by far more.
const PROBE_TOLERANCE: f64 = 1e-2;

/// A safetensors file with the model (`model.…`), the optimizer (`optimizer.…`), the history, the
/// run's identity and what `keep_best` has saved as JSON, the probe's logits, and a checksum.
///
/// It is replaced as a whole after each epoch. The file before it stays as `<name>.previous`, and
/// serves where the newest one is damaged. A lock file beside them keeps other runs away.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
    identity: Identity,
    /// Set if the file at `path` is damaged, so that it must not become the previous one.
    damaged: bool,
    /// Held until the run ends.
    _lock: Lock,
}

/// The parts of a run that a checkpoint stores and restores.
pub(super) struct State<'a> {
    pub vs: &'a nn::VarStore,
    pub optimizer: &'a mut Optimizer,
    pub history: &'a mut History,
    pub best: &'a mut Option<BestWeights>,
}

/// The weights that `keep_best` has saved last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BestWeights {
    epoch: usize,
    sha256: String,
}

impl BestWeights {
    /// The present weights, those of this epoch.
    pub fn of(vs: &nn::VarStore, epoch: usize) -> Result<BestWeights> {
        Ok(BestWeights { epoch, sha256: hex(checksum(&on_cpu(vs.variables())?)?) })
    }

    /// The epoch after which the model had these weights.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Returns whether the file at `path` holds these weights.
    pub fn are_at(&self, path: &Path) -> bool {
        let found = Tensor::read_safetensors(path)
            .ok()
            .and_then(|tensors| checksum(&tensors.into_iter().collect()).ok());
        found.map(hex).as_ref() == Some(&self.sha256)
    }
}

impl Checkpoint {
    /// Takes the lock of a checkpoint.
    pub fn open(path: PathBuf, identity: Identity) -> Result<Checkpoint> {
        let lock = Lock::take(with_suffix(&path, ".lock"))
            .with_context(|| format!("cannot use the checkpoint {}", path.display()))?;
        Ok(Checkpoint { path, identity, damaged: false, _lock: lock })
    }

    /// Writes the state of the run; `probe` is what [`load`](Checkpoint::load) will compare.
    ///
    /// # Errors
    /// When the state is not finite, or the file cannot be written. The files are then as they were.
    pub fn save(&mut self, state: State, probe: Option<Tensor>) -> Result<()> {
        state.optimizer.expect_finite(state.vs)?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in state.vs.variables() {
            tensors.insert(format!("model.{name}"), tensor);
        }
        for (name, tensor) in state.optimizer.state()? {
            tensors.insert(format!("optimizer.{name}"), tensor);
        }
        tensors.insert("history".to_string(), text_tensor(&state.history.to_json()?)?);
        tensors.insert("identity".to_string(), text_tensor(&self.identity.to_json()?)?);
        tensors.insert("best".to_string(), text_tensor(&serde_json::to_string(state.best)?)?);
        tensors.extend(probe.map(|probe| ("probe".to_string(), probe)));
        let mut tensors = on_cpu(tensors)?;
        let checksum = Tensor::f_from_slice(&checksum(&tensors)?)?;
        tensors.insert("checksum".to_string(), checksum);
        let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
        let write = |aside: &Path| Ok(Tensor::write_safetensors(&tensors, aside)?);
        if self.damaged {
            files::replace(&self.path, write)?;
        } else {
            files::replace_keeping(&self.path, &self.previous(), write)?;
        }
        self.damaged = false;
        Ok(())
    }

    /// Restores the run from the newest undamaged file; does nothing where there is none.
    ///
    /// `probe` computes the logits of a few fixed images with the restored weights. A file that
    /// belongs to another run is refused, and the state is then as it was.
    pub fn load(&mut self, state: State, probe: impl Fn() -> Result<Tensor>) -> Result<()> {
        match File::open(&self.path) {
            Ok(_) => {}
            // Saving keeps a file at `path` at every moment: where there is none, the run starts anew.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // A file that cannot be opened need not be damaged, so no older one takes its place.
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot open the checkpoint {}", self.path.display())
                });
            }
        }
        let (path, stored) = match plain(Stored::read(&self.path)) {
            Ok(stored) => (self.path.clone(), stored),
            Err(damage) => {
                let damage = format!("{} is damaged: {damage:#}", self.path.display());
                let previous = self.previous();
                ensure!(previous.exists(), "{damage}; remove the file to start the run anew");
                let stored = plain(Stored::read(&previous)).with_context(|| {
                    format!("{damage}; the checkpoint before it, {}, too", previous.display())
                })?;
                println!("{damage}; resuming from {} instead", previous.display());
                self.damaged = true;
                (previous, stored)
            }
        };
        self.restore(stored, state, probe)
            .with_context(|| format!("cannot resume from {}", path.display()))
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
        let restored = set_variables(state.vs, stored.model)
            .and_then(|()| match &stored.probe {
                Some(logits) => expect_same_logits(logits, &probe()?),
                None => Ok(()),
            })
            .and_then(|()| state.optimizer.set_state(&stored.optimizer));
        if let Err(error) = restored {
            set_variables(state.vs, before)?;
            return Err(error);
        }
        *state.best = stored.best;
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
    best: Option<BestWeights>,
    /// Missing where the model is random in evaluation mode.
    probe: Option<Tensor>,
}

impl Stored {
    fn read(path: &Path) -> Result<Stored> {
        let mut tensors: BTreeMap<String, Tensor> = Tensor::read_safetensors(path)
            .context("it is not a safetensors file")?
            .into_iter()
            .collect();
        ensure!(
            !(tensors.contains_key("settings") && tensors.contains_key("history")),
            "it was written by an older version of mnist_kit, whose checkpoints had no checksum"
        );
        let stored = take(&mut tensors, "checksum")?;
        let expected = Tensor::f_from_slice(&checksum(&tensors)?)?;
        ensure!(
            stored.kind() == Kind::Uint8 && stored == expected,
            "its content does not match its checksum"
        );
        let history = History::from_json(&text_of(take(&mut tensors, "history")?)?)?;
        let identity = text_of(take(&mut tensors, "identity")?)?;
        let best = serde_json::from_str(&text_of(take(&mut tensors, "best")?)?)?;
        let probe = tensors.remove("probe");
        let mut parts = [("model.", BTreeMap::new()), ("optimizer.", BTreeMap::new())];
        for (name, tensor) in tensors {
            for (prefix, part) in &mut parts {
                if let Some(name) = name.strip_prefix(*prefix) {
                    part.insert(name.to_string(), tensor.shallow_clone());
                }
            }
        }
        let [(_, model), (_, optimizer)] = parts;
        Ok(Stored { model, optimizer, history, identity, best, probe })
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

/// SHA-256 of the names, dtypes, shapes and values of all tensors, which are contiguous and on the
/// CPU.
fn checksum(tensors: &BTreeMap<String, Tensor>) -> Result<[u8; 32]> {
    let mut digest = Sha256::new();
    for (name, tensor) in tensors {
        digest.update(format!("{name} {:?} {:?}\n", tensor.kind(), tensor.size()));
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        digest.update(bytes);
    }
    Ok(digest.finalize().into())
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tensors in the order of their names, contiguous and on the CPU.
fn on_cpu(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<BTreeMap<String, Tensor>> {
    let on_cpu = |tensor: Tensor| -> Result<Tensor> {
        Ok(tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?)
    };
    tensors.into_iter().map(|(name, tensor)| Ok((name, on_cpu(tensor)?))).collect()
}

/// Compares the probe's logits of the file with those of the restored model.
fn expect_same_logits(stored: &Tensor, logits: &Tensor) -> Result<()> {
    let close = stored.size() == logits.size() && {
        let largest = stored.f_abs()?.f_max()?.f_double_value(&[])?.max(1e-6);
        let difference = stored.f_sub(logits)?.f_abs()?.f_max()?.f_double_value(&[])?;
        difference <= PROBE_TOLERANCE * largest
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

/// Keeps other runs away from a checkpoint as long as it lives.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: Option<File>,
}

impl Lock {
    fn take(path: PathBuf) -> Result<Lock> {
        files::prepare_folder_of(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            match file.try_lock() {
                // The run before may have removed the file after it was opened here.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => return Ok(Lock { path, file: Some(file) }),
                Err(TryLockError::WouldBlock) => {
                    bail!("another run is using it; wait for its end or name another file")
                }
                // Network file systems may have no locks.
                Err(TryLockError::Error(error)) => {
                    println!(
                        "{}: this file system has no locks ({error}); let no other run use the \
                         checkpoint.",
                        path.display()
                    );
                    return Ok(Lock { path, file: None });
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still locked, so that no other run holds the file that goes away.
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns whether an open file is still the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: std::io::Result<fs::Metadata>| {
        metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()))
    };
    place(file.metadata()) == place(fs::metadata(path))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}
