//! Weights learned on ImageNet: where they are found, and how they get into a backbone.

use super::load_pretrained;
use crate::Result;
use crate::data::{Checksum, RemoteFile, Settings, download};
use crate::model::Backbone;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use tch::nn;

/// No published file of weights that lessons use is larger.
const MAX_BYTES: u64 = 200_000_000;

impl Backbone {
    /// Loads weights learned on ImageNet into everything but the head, and says where they came from:
    /// the folder `MNIST_KIT_WEIGHTS`, else the user's cache, else torchvision's published file.
    ///
    /// [`Settings`] lists the environment variables.
    ///
    /// # Errors
    /// When they are nowhere to be had, or do not fit; the store is unchanged then.
    ///
    /// ```no_run
    /// use mnist_kit::model::Backbone;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10);
    /// println!("weights from {}", model.load_imagenet(&vs)?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn load_imagenet(&self, vs: &nn::VarStore) -> Result<String> {
        self.load_imagenet_with(vs, &Settings::from_env()?)
    }

    /// [`load_imagenet`](Backbone::load_imagenet) with settings of one's own.
    ///
    /// # Errors
    /// As there.
    pub fn load_imagenet_with(&self, vs: &nn::VarStore, settings: &Settings) -> Result<String> {
        let published = self.published();
        let path = find(&published, settings)
            .with_context(|| format!("no ImageNet weights for {}", self.name()))?;
        load_pretrained(vs, &path, &[self.head_name()])?;
        Ok(path.display().to_string())
    }

    /// The file that torchvision publishes; its name carries the first digits of its SHA-256.
    fn published(&self) -> RemoteFile {
        let name = self.published_weights();
        let sha256 = name.rsplit(['-', '.']).nth(1).unwrap_or_default();
        RemoteFile {
            name: name.to_string(),
            suffix: String::new(),
            bytes: 1..=MAX_BYTES,
            checksum: Checksum::Sha256OfContent(sha256.to_string()),
        }
    }
}

fn find(published: &RemoteFile, settings: &Settings) -> Result<PathBuf> {
    let mut reasons = Vec::new();
    if let Some(folder) = &settings.weights_dir {
        match in_folder(folder, &published.name) {
            Ok(path) => return Ok(path),
            Err(reason) => reasons.push(format!("{reason:#}")),
        }
    }
    match in_cache(published, settings) {
        Ok(path) => return Ok(path),
        Err(reason) => reasons.push(format!("{reason:#}")),
    }
    bail!("{}; name a folder that has {} in MNIST_KIT_WEIGHTS", reasons.join("; "), published.name)
}

/// The published file, or another one whose name begins as its name does (`resnet18…`).
fn in_folder(folder: &Path, name: &str) -> Result<PathBuf> {
    let stem = name.split('-').next().unwrap_or(name);
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    let fits = |path: &&PathBuf| {
        let extension = path.extension().is_some_and(|e| e == "pth" || e == "safetensors");
        let begins = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(stem));
        extension && begins
    };
    let exact = paths.iter().find(|path| path.file_name().is_some_and(|n| n == name));
    exact
        .or_else(|| paths.iter().find(fits))
        .cloned()
        .with_context(|| format!("{}: no {stem}….pth or .safetensors", folder.display()))
}

fn in_cache(published: &RemoteFile, settings: &Settings) -> Result<PathBuf> {
    let cache = settings.cache_dir.as_ref().context("this user has no cache folder")?;
    let folder = cache.join("weights");
    let path = folder.join(&published.name);
    if settings.offline {
        published.open(&path).context("the network is switched off, and the cache has none")?;
    } else {
        let files = std::slice::from_ref(published);
        download(files, &folder, &settings.weights_mirrors, &settings.time_limits)?;
    }
    Ok(path)
}
