//! Settings for loading data, and the published files of each data set.

use super::download::{Checksum, RemoteFile, TimeLimits};
use super::set::{DataSet, EmnistSplit};
use crate::Result;
use anyhow::{Context, bail};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The public mirrors of MNIST, in the order in which they are tried: PyTorch's and Google's.
///
/// Source: `torchvision.datasets.MNIST.mirrors` and <https://github.com/cvdfoundation/mnist>.
pub const MIRRORS: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
];

/// The server of torchvision's weights.
///
/// Source: `torchvision.models.ResNet18_Weights`.
pub const WEIGHTS_MIRROR: &str = "https://download.pytorch.org/models/";

/// Upper bound for the size of an archive of one file; the largest has 26 MB.
const MAX_ARCHIVE: u64 = 100_000_000;

/// Upper bound for the size of EMNIST's archive of all splits, which has 562 MB.
const MAX_EMNIST: u64 = 1_000_000_000;

/// Settings for [`Mnist::load_with`](crate::data::Mnist::load_with) and
/// [`Mnist::load_set`](crate::data::Mnist::load_set).
///
/// [`Settings::from_env`] reads these environment variables:
///
/// | variable | field | if unset |
/// |---|---|---|
/// | `MNIST_KIT_DATA` | `folder` of [`mnist`](Settings::mnist) | no folder |
/// | `MNIST_KIT_MIRRORS`, comma separated | `mirrors` of [`mnist`](Settings::mnist) | [`MIRRORS`] |
/// | `MNIST_KIT_FASHION`, `_KMNIST`, `_QMNIST`, `_EMNIST` | `folder` of that set | no folder |
/// | `MNIST_KIT_FASHION_MIRRORS`, … | `mirrors` of that set | its publisher |
/// | `MNIST_KIT_CACHE` | [`cache_dir`](Settings::cache_dir) | `mnist_kit` in `$XDG_CACHE_HOME` or `~/.cache` |
/// | `MNIST_KIT_WEIGHTS` | [`weights_dir`](Settings::weights_dir) | no folder |
/// | `MNIST_KIT_WEIGHTS_MIRRORS`, comma separated | [`weights_mirrors`](Settings::weights_mirrors) | [`WEIGHTS_MIRROR`] |
/// | `MNIST_KIT_ALLOW_HTTP=1` | mirrors may begin with `http:` | such a mirror is an error |
/// | `MNIST_KIT_OFFLINE=1` | [`offline`](Settings::offline) | the network may be used |
/// | `MNIST_KIT_QUICK=1` | [`quick`](Settings::quick) | all images |
///
/// An empty variable counts as unset. All default mirrors speak https. A redirect from https to http
/// is refused, whatever the settings are.
///
/// ```
/// use mnist_kit::data::Settings;
///
/// let settings = Settings { offline: true, ..Settings::default() };
/// assert_eq!(settings.mnist.mirrors.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The source of MNIST.
    pub mnist: Location,
    /// The source of Fashion-MNIST. The published sums are MD5, which detects damage, but not a
    /// forged file.
    pub fashion: Location,
    /// The source of KMNIST; MD5, as for [`fashion`](Settings::fashion).
    pub kmnist: Location,
    /// The source of QMNIST.
    pub qmnist: Location,
    /// The source of EMNIST: one archive of 562 MB with all six splits.
    pub emnist: Location,
    /// The folder for downloads, with a subfolder for each data set and one for weights. `None` if
    /// the user has no home folder.
    pub cache_dir: Option<PathBuf>,
    /// A folder with files of weights, searched before the cache, see
    /// [`Backbone::load_imagenet`](crate::model::Backbone::load_imagenet).
    pub weights_dir: Option<PathBuf>,
    /// Base URLs of weights, in the order in which they are tried.
    pub weights_mirrors: Vec<String>,
    /// Never use the network.
    pub offline: bool,
    /// Keep the first 2,000 training and 1,000 test images only.
    pub quick: bool,
    /// Limits on the duration of a download.
    pub time_limits: TimeLimits,
}

/// The source of one published data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// A folder with its four IDX files, gzipped or not. If given, nothing else is tried.
    pub folder: Option<PathBuf>,
    /// Base URLs below which the files are published, in the order in which they are tried.
    pub mirrors: Vec<String>,
    /// The published files: training images and labels, then test images and labels; or the one
    /// archive that has them all.
    pub files: Vec<RemoteFile>,
}

impl Location {
    /// Archives on one mirror: at most `bytes` each, with their names and MD5 sums.
    fn published(mirror: &str, bytes: u64, files: &[(&str, &str)]) -> Location {
        let file = |&(name, md5): &(&str, &str)| RemoteFile {
            name: name.to_string(),
            suffix: String::new(),
            bytes: 1..=bytes,
            checksum: Checksum::Md5OfDownload(md5.to_string()),
        };
        Location {
            folder: None,
            mirrors: vec![mirror.to_string()],
            files: files.iter().map(file).collect(),
        }
    }
}

impl Default for Settings {
    /// No folders, the user's cache, the public mirrors, all images.
    fn default() -> Settings {
        Settings {
            mnist: Location {
                folder: None,
                mirrors: MIRRORS.map(String::from).to_vec(),
                files: mnist_files(),
            },
            // Sums of the relatives are those of `torchvision.datasets.mnist`. Its mirrors of
            // Fashion-MNIST and KMNIST speak http; these are their publishers' over https.
            fashion: Location::published(
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                MAX_ARCHIVE,
                &[
                    ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                    ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
                    ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
                    ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
                ],
            ),
            kmnist: Location::published(
                "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                MAX_ARCHIVE,
                &[
                    ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
                    ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
                    ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
                    ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
                ],
            ),
            qmnist: Location::published(
                "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
                MAX_ARCHIVE,
                &[
                    ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
                    ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
                    ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
                    ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
                ],
            ),
            emnist: Location::published(
                "https://biometrics.nist.gov/cs_links/EMNIST/",
                MAX_EMNIST,
                &[("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")],
            ),
            cache_dir: user_cache(|name| env::var_os(name), env::home_dir()),
            weights_dir: None,
            weights_mirrors: vec![WEIGHTS_MIRROR.to_string()],
            offline: false,
            quick: false,
            time_limits: TimeLimits::default(),
        }
    }
}

/// The kit's folder in the user's cache, by the XDG Base Directory Specification.
fn user_cache(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    // The specification says to ignore relative paths.
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    variable("XDG_CACHE_HOME")
        .and_then(|folder| absolute(folder.into()))
        .or_else(|| Some(home.and_then(absolute)?.join(".cache")))
        .map(|cache| cache.join("mnist_kit"))
}

impl Settings {
    /// The defaults, changed by the environment variables above.
    ///
    /// # Errors
    /// When a switch is neither `1` nor `0`, or a mirror speaks http without permission; the message
    /// names the variable.
    pub fn from_env() -> Result<Settings> {
        Settings::from_variables(|name| env::var_os(name))
    }

    /// The source of this data set.
    pub fn location(&self, set: DataSet) -> &Location {
        match set {
            DataSet::Mnist => &self.mnist,
            DataSet::Fashion => &self.fashion,
            DataSet::Kmnist => &self.kmnist,
            DataSet::Qmnist => &self.qmnist,
            DataSet::Emnist(_) => &self.emnist,
        }
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
        let allow_http = switch("MNIST_KIT_ALLOW_HTTP")?;
        let list = |name: &str| -> Result<Option<Vec<String>>> {
            let Some(list) = text(name)? else { return Ok(None) };
            let urls: Vec<String> = list
                .split(',')
                .map(|url| url.trim().to_string())
                .filter(|url| !url.is_empty())
                .collect();
            let plain = urls.iter().find(|url| url.to_ascii_lowercase().starts_with("http:"));
            if let Some(url) = plain.filter(|_| !allow_http) {
                bail!(
                    "{name}: {url} is not encrypted, so others can change what it sends; use \
                     https, or allow it with MNIST_KIT_ALLOW_HTTP=1"
                );
            }
            Ok(Some(urls))
        };
        let location = |set: DataSet, default: Location| -> Result<Location> {
            let (folder, mirrors) = set.variables();
            Ok(Location {
                folder: get(folder).map(PathBuf::from),
                mirrors: list(mirrors)?.unwrap_or(default.mirrors),
                ..default
            })
        };
        let default = Settings::default();
        Ok(Settings {
            mnist: location(DataSet::Mnist, default.mnist)?,
            fashion: location(DataSet::Fashion, default.fashion)?,
            kmnist: location(DataSet::Kmnist, default.kmnist)?,
            qmnist: location(DataSet::Qmnist, default.qmnist)?,
            emnist: location(DataSet::Emnist(EmnistSplit::Letters), default.emnist)?,
            cache_dir: get("MNIST_KIT_CACHE").map(PathBuf::from).or(default.cache_dir),
            weights_dir: get("MNIST_KIT_WEIGHTS").map(PathBuf::from),
            weights_mirrors: list("MNIST_KIT_WEIGHTS_MIRRORS")?.unwrap_or(default.weights_mirrors),
            offline: switch("MNIST_KIT_OFFLINE")?,
            quick: switch("MNIST_KIT_QUICK")?,
            time_limits: default.time_limits,
        })
    }
}

/// MNIST's files with the SHA-256 of their decompressed content, because the bytes of the archives
/// differ between mirrors. The sums were taken of files that have the published MD5 sums
/// (6bbc9ace…, a25bea73…, 2646ac64…, 27ae3e4e…).
fn mnist_files() -> Vec<RemoteFile> {
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
        checksum: Checksum::Sha256OfContent(sha256.to_string()),
    })
    .to_vec()
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
            ("MNIST_KIT_KMNIST", "kana"),
            ("MNIST_KIT_EMNIST_MIRRORS", "http://d.example/"),
            ("MNIST_KIT_WEIGHTS", "data/weights"),
            ("MNIST_KIT_WEIGHTS_MIRRORS", "http://c.example/"),
            ("MNIST_KIT_ALLOW_HTTP", "1"),
            ("MNIST_KIT_OFFLINE", "1"),
            ("MNIST_KIT_QUICK", "true"),
        ])
        .unwrap();
        let expected = Settings {
            mnist: Location {
                folder: Some("data/mnist".into()),
                mirrors: vec!["http://a.example/mnist".into(), "http://b.example/".into()],
                ..Settings::default().mnist
            },
            kmnist: Location { folder: Some("kana".into()), ..Settings::default().kmnist },
            emnist: Location {
                mirrors: vec!["http://d.example/".into()],
                ..Settings::default().emnist
            },
            cache_dir: Some("cache".into()),
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

    #[test]
    fn a_mirror_that_is_not_encrypted_needs_permission() {
        for name in ["MNIST_KIT_MIRRORS", "MNIST_KIT_EMNIST_MIRRORS", "MNIST_KIT_WEIGHTS_MIRRORS"] {
            let mirrors = (name, "https://a.example/, HTTP://b.example/");
            let message = settings(&[mirrors]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name}: HTTP://b.example/ is not")), "{message}");
            assert!(message.contains("MNIST_KIT_ALLOW_HTTP=1"), "{message}");
            assert!(settings(&[mirrors, ("MNIST_KIT_ALLOW_HTTP", "1")]).is_ok());
        }
    }

    #[test]
    fn the_cache_lies_where_the_xdg_specification_says() {
        let cache = |xdg: Option<&str>, home: Option<&str>| {
            user_cache(|_| xdg.map(OsString::from), home.map(PathBuf::from))
        };
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(cache(None, Some("/home/a")), path("/home/a/.cache/mnist_kit"));
        assert_eq!(cache(Some("/fast"), Some("/home/a")), path("/fast/mnist_kit"));
        assert_eq!(cache(Some("not/absolute"), Some("/home/a")), path("/home/a/.cache/mnist_kit"));
        assert_eq!(cache(Some(""), None), None);
    }

    #[test]
    fn every_set_has_its_files_and_sums() {
        let settings = Settings::default();
        for (set, files) in [
            (DataSet::Mnist, 4),
            (DataSet::Fashion, 4),
            (DataSet::Kmnist, 4),
            (DataSet::Qmnist, 4),
            (DataSet::Emnist(EmnistSplit::Letters), 1),
        ] {
            let location = settings.location(set);
            assert_eq!(location.files.len(), files, "{set}");
            assert!(location.mirrors.iter().all(|url| url.starts_with("https://")), "{set}");
            for file in &location.files {
                let (sum, digits) = match &file.checksum {
                    Checksum::Sha256OfContent(sum) => (sum, 64),
                    Checksum::Md5OfDownload(sum) => (sum, 32),
                };
                assert_eq!(sum.len(), digits, "{set}: {}", file.name);
            }
        }
    }
}
