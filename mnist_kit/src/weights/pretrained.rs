//! ImageNet weights: where to find them, and how they get into a backbone.

use super::load_pretrained;
use crate::data::{Checksum, RemoteFile, Settings, download};
use crate::model::Backbone;
use crate::{Interrupted, Result};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use tch::nn;

impl Backbone {
    /// Loads ImageNet weights into everything but the head, and returns the path they came from: in
    /// the folder `MNIST_KIT_WEIGHTS`, else in the user's cache, else downloaded from torchvision.
    ///
    /// In the folder, a file with torchvision's name must be torchvision's file. Another file whose
    /// name begins with the architecture (`resnet18…`, `.pth` or `.safetensors`) is taken as your
    /// own, and the result says that it was not checked. [`Settings`] lists the environment
    /// variables.
    ///
    /// # Errors
    /// If there are no weights, or they do not fit; the store is unchanged then.
    ///
    /// ```no_run
    /// use mnist_kit::model::Backbone;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10)?;
    /// println!("weights from {}", model.load_imagenet(&vs)?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn load_imagenet(&self, vs: &nn::VarStore) -> Result<String> {
        self.load_imagenet_with(vs, &Settings::from_env()?)
    }

    /// Loads ImageNet weights like [`load_imagenet`](Backbone::load_imagenet), with `settings` in
    /// place of the environment variables.
    ///
    /// # Errors
    /// As for [`load_imagenet`](Backbone::load_imagenet).
    pub fn load_imagenet_with(&self, vs: &nn::VarStore, settings: &Settings) -> Result<String> {
        let source = published(self)
            .and_then(|published| find(&published, settings))
            .with_context(|| format!("no ImageNet weights for {}", self.name()))?;
        let (Source::Published(path) | Source::Own(path)) = &source;
        load_pretrained(vs, path, &[self.head_name()])?;
        Ok(match source {
            Source::Published(path) => path.display().to_string(),
            Source::Own(path) => format!("{} (your own file, not checked)", path.display()),
        })
    }
}

/// A file of weights: torchvision's, which has been checked, or one of the user's own.
enum Source {
    Published(PathBuf),
    Own(PathBuf),
}

/// The file that torchvision publishes for an architecture.
///
/// The size of MobileNetV2's is known as torchvision states it, 13.555 MiB, and its SHA-256 by the
/// eight digits in its name, which are all that torchvision checks.
fn published(model: &Backbone) -> Result<RemoteFile> {
    let (name, bytes, sha256) = match model.name() {
        "ResNet18" => (
            "resnet18-f37072fd.pth",
            46_830_571..=46_830_571,
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        ),
        "MobileNetV2" => ("mobilenet_v2-b0353104.pth", 14_212_924..=14_213_972, "b0353104"),
        other => bail!("torchvision's file for {other} is unknown"),
    };
    Ok(RemoteFile {
        name: name.to_string(),
        suffix: String::new(),
        bytes,
        checksum: Checksum::Sha256OfContent(sha256.to_string()),
    })
}

fn find(published: &RemoteFile, settings: &Settings) -> Result<Source> {
    let mut reasons = Vec::new();
    if let Some(folder) = &settings.weights_dir {
        match in_folder(folder, published)? {
            Some(source) => return Ok(source),
            None => reasons.push(format!(
                "{}: no {}….pth or .safetensors",
                folder.display(),
                architecture(published)
            )),
        }
    }
    match in_cache(published, settings) {
        Ok(path) => return Ok(Source::Published(path)),
        Err(reason) if reason.is::<Interrupted>() => return Err(reason),
        Err(reason) => reasons.push(format!("{reason:#}")),
    }
    bail!("{}; set MNIST_KIT_WEIGHTS to a folder with {}", reasons.join("; "), published.name)
}

/// The beginning of the published name: `resnet18`, `mobilenet_v2`.
fn architecture(published: &RemoteFile) -> &str {
    published.name.split('-').next().unwrap_or(&published.name)
}

/// The published file, checked, or else the first other one of the architecture; `None` if there is
/// neither.
fn in_folder(folder: &Path, published: &RemoteFile) -> Result<Option<Source>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    let exact = folder.join(&published.name);
    if paths.contains(&exact) {
        published.open(&exact).context(
            "a file in MNIST_KIT_WEIGHTS has the name of torchvision's but is another; if it is \
             yours, rename it",
        )?;
        return Ok(Some(Source::Published(exact)));
    }
    let fits = |path: &PathBuf| {
        let extension = path.extension().is_some_and(|e| e == "pth" || e == "safetensors");
        let name = path.file_name().map(|name| name.to_string_lossy());
        extension && name.is_some_and(|name| name.starts_with(architecture(published)))
    };
    Ok(paths.into_iter().find(fits).map(Source::Own))
}

fn in_cache(published: &RemoteFile, settings: &Settings) -> Result<PathBuf> {
    let cache = settings.cache_dir.as_ref().context("this user has no cache folder")?;
    let folder = cache.join("weights");
    let path = folder.join(&published.name);
    if settings.offline {
        published
            .open(&path)
            .context("the network is switched off, and the cache does not have them")?;
    } else {
        let files = std::slice::from_ref(published);
        download(files, &folder, &settings.weights_mirrors, &settings.time_limits)?;
    }
    Ok(path)
}
