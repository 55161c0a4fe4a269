//! What decides where the data comes from; the one place that reads the environment.

use super::download::{RemoteFile, TimeLimits};
use crate::Result;
use anyhow::{Context, bail};
use directories::ProjectDirs;
use std::ffi::OsString;
use std::path::PathBuf;

/// The public mirrors of MNIST, in the order in which they are tried: PyTorch's and Google's (the CVDF's).
///
/// Source: `torchvision.datasets.MNIST.mirrors` and <https://github.com/cvdfoundation/mnist>.
pub const MIRRORS: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
];

/// Where torchvision's weights are published.
///
/// Source: `torchvision.models.ResNet18_Weights`.
pub const WEIGHTS_MIRROR: &str = "https://download.pytorch.org/models/";

/// What [`Mnist::load_with`](crate::data::Mnist::load_with) does; [`Settings::from_env`] reads these variables:
///
/// | variable | what it sets | unset |
/// |---|---|---|
/// | `MNIST_KIT_DATA` | [`data_dir`](Settings::data_dir) | no folder |
/// | `MNIST_KIT_CACHE` | [`cache_dir`](Settings::cache_dir) | the user's cache folder, `~/.cache/mnist_kit` on Linux |
/// | `MNIST_KIT_MIRRORS` | [`mirrors`](Settings::mirrors), comma separated | [`MIRRORS`] |
/// | `MNIST_KIT_WEIGHTS` | [`weights_dir`](Settings::weights_dir) | no folder |
/// | `MNIST_KIT_WEIGHTS_MIRRORS` | [`weights_mirrors`](Settings::weights_mirrors), comma separated | [`WEIGHTS_MIRROR`] |
/// | `MNIST_KIT_OFFLINE=1` | [`offline`](Settings::offline) | the network may be used |
/// | `MNIST_KIT_QUICK=1` | [`quick`](Settings::quick) | all images |
///
/// A variable that is set to nothing counts as unset.
///
/// ```
/// use mnist_kit::data::Settings;
///
/// let settings = Settings { offline: true, ..Settings::default() };
/// assert_eq!(settings.mirrors.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A folder of four IDX files, gzipped or not. Where it is given, nothing else is tried.
    pub data_dir: Option<PathBuf>,
    /// The folder that keeps downloads; the files lie in its subfolder `mnist`. `None`: this user has none.
    pub cache_dir: Option<PathBuf>,
    /// Base URLs that are tried in this order; `<name>.gz` is fetched from below them.
    pub mirrors: Vec<String>,
    /// A folder with files of weights, looked into before the cache, see
    /// [`Backbone::load_imagenet`](crate::model::Backbone::load_imagenet).
    pub weights_dir: Option<PathBuf>,
    /// Base URLs below which weights are fetched, in this order.
    pub weights_mirrors: Vec<String>,
    /// Never use the network.
    pub offline: bool,
    /// Keep the first 2,000 training and 1,000 test images only.
    pub quick: bool,
    /// How long a download may take.
    pub time_limits: TimeLimits,
    /// The published files: training images and labels, then test images and labels.
    pub files: [RemoteFile; 4],
}

impl Default for Settings {
    /// No folder, the user's cache, the public mirrors of MNIST, all images.
    fn default() -> Settings {
        Settings {
            data_dir: None,
            cache_dir: ProjectDirs::from("", "", "mnist_kit")
                .map(|dirs| dirs.cache_dir().to_path_buf()),
            mirrors: MIRRORS.map(String::from).to_vec(),
            weights_dir: None,
            weights_mirrors: vec![WEIGHTS_MIRROR.to_string()],
            offline: false,
            quick: false,
            time_limits: TimeLimits::default(),
            files: mnist_files(),
        }
    }
}

impl Settings {
    /// The defaults, changed by the environment variables above.
    ///
    /// # Errors
    /// When a variable has a value that it cannot have; the message names it.
    pub fn from_env() -> Result<Settings> {
        Settings::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Settings> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| {
            get(name)
                .map(|value| value.into_string().ok().with_context(|| format!("{name}: not UTF-8")))
                .transpose()
        };
        let switch = |name: &str| match text(name)?.as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => bail!("{name}={other}: expected 1 or 0"),
        };
        let list = |name: &str| -> Result<Option<Vec<String>>> {
            let urls = |list: String| {
                list.split(',')
                    .map(|url| url.trim().to_string())
                    .filter(|url| !url.is_empty())
                    .collect()
            };
            Ok(text(name)?.map(urls))
        };
        let default = Settings::default();
        Ok(Settings {
            data_dir: get("MNIST_KIT_DATA").map(PathBuf::from),
            cache_dir: get("MNIST_KIT_CACHE").map(PathBuf::from).or(default.cache_dir),
            mirrors: list("MNIST_KIT_MIRRORS")?.unwrap_or(default.mirrors),
            weights_dir: get("MNIST_KIT_WEIGHTS").map(PathBuf::from),
            weights_mirrors: list("MNIST_KIT_WEIGHTS_MIRRORS")?.unwrap_or(default.weights_mirrors),
            offline: switch("MNIST_KIT_OFFLINE")?,
            quick: switch("MNIST_KIT_QUICK")?,
            ..Settings::default()
        })
    }
}

/// MNIST's files with the SHA-256 of their decompressed content; gzip bytes differ between mirrors. The sums were taken of files
/// whose MD5 sums are the published ones (6bbc9ace…, a25bea73…, 2646ac64…, 27ae3e4e…).
fn mnist_files() -> [RemoteFile; 4] {
    [
        (
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        (
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        (
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ]
    .map(|(name, bytes, sha256)| RemoteFile {
        name: name.to_string(),
        suffix: ".gz".to_string(),
        bytes: bytes..=bytes,
        sha256: sha256.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_variables(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn without_variables_the_defaults_hold() {
        assert_eq!(settings(&[]).unwrap(), Settings::default());
        assert_eq!(
            settings(&[("MNIST_KIT_DATA", ""), ("MNIST_KIT_QUICK", "0")]).unwrap(),
            Settings::default()
        );
    }

    #[test]
    fn every_variable_sets_its_field() {
        let found = settings(&[
            ("MNIST_KIT_DATA", "data/mnist"),
            ("MNIST_KIT_CACHE", "cache"),
            ("MNIST_KIT_MIRRORS", "http://a.example/mnist, http://b.example/,"),
            ("MNIST_KIT_WEIGHTS", "data/weights"),
            ("MNIST_KIT_WEIGHTS_MIRRORS", "http://c.example/"),
            ("MNIST_KIT_OFFLINE", "1"),
            ("MNIST_KIT_QUICK", "true"),
        ])
        .unwrap();
        let expected = Settings {
            data_dir: Some("data/mnist".into()),
            cache_dir: Some("cache".into()),
            mirrors: vec!["http://a.example/mnist".to_string(), "http://b.example/".to_string()],
            weights_dir: Some("data/weights".into()),
            weights_mirrors: vec!["http://c.example/".to_string()],
            offline: true,
            quick: true,
            ..Settings::default()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_switch_that_is_neither_on_nor_off_is_an_error() {
        let message = settings(&[("MNIST_KIT_QUICK", "yes please")]).unwrap_err().to_string();
        assert_eq!(message, "MNIST_KIT_QUICK=yes please: expected 1 or 0");
    }
}
