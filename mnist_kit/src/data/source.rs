//! Where a data set came from.

use directories::BaseDirs;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a data set came from; as text it goes into tables and figures.
///
/// ```
/// use mnist_kit::data::Source;
///
/// let source = Source::Slice(Box::new(Source::Folder("../data/mnist".into())));
/// assert_eq!(source.to_string(), "quick mode: a slice of folder ../data/mnist");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A folder of four IDX files.
    Folder(PathBuf),
    /// A folder of parquet files, as the Hugging Face distribution has them.
    Parquet(PathBuf),
    /// The files an earlier download left in this folder.
    Cache(PathBuf),
    /// Fetched just now; the base URL of the mirror.
    Downloaded(String),
    /// Drawn by [`Mnist::generated`](crate::data::Mnist::generated).
    Generated {
        /// Decides every jitter.
        seed: u64,
        /// Why it is not MNIST, where that was not asked for.
        reason: Option<String>,
    },
    /// Quick mode: the first images of another source.
    Slice(Box<Source>),
}

impl Source {
    /// Whether the digits were drawn by the kit: they are then not MNIST.
    ///
    /// ```
    /// use mnist_kit::data::Source;
    ///
    /// assert!(Source::Slice(Box::new(Source::Generated { seed: 1, reason: None })).is_generated());
    /// assert!(!Source::Folder("mnist".into()).is_generated());
    /// ```
    pub fn is_generated(&self) -> bool {
        match self {
            Source::Generated { .. } => true,
            Source::Slice(whole) => whole.is_generated(),
            _ => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Folder(path) => write!(f, "folder {}", path.display()),
            Source::Parquet(path) => write!(f, "parquet files in {}", path.display()),
            Source::Cache(path) => write!(f, "cache {}", without_home(path).display()),
            Source::Downloaded(mirror) => write!(f, "downloaded from {mirror}"),
            Source::Generated { .. } => write!(f, "generated digits (not MNIST)"),
            Source::Slice(whole) => write!(f, "quick mode: a slice of {whole}"),
        }
    }
}

/// The path with `~` for the user's home folder, so that notebooks can be shared.
fn without_home(path: &Path) -> PathBuf {
    BaseDirs::new()
        .and_then(|dirs| Some(Path::new("~").join(path.strip_prefix(dirs.home_dir()).ok()?)))
        .unwrap_or_else(|| path.to_path_buf())
}
