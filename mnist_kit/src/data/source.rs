//! The source of a data set.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

/// The source of a data set; tables and figures write it.
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
    /// The folder of an earlier download.
    Cache(PathBuf),
    /// A download; the base URL of the mirror.
    Downloaded(String),
    /// Tensors in tch's `vision::dataset::Dataset`.
    Tensors,
    /// Drawn by [`Mnist::generated`](crate::data::Mnist::generated).
    Generated {
        /// The seed that the digits were drawn from.
        seed: u64,
        /// The reason why MNIST was not loaded, if the digits stand in for it.
        reason: Option<String>,
    },
    /// Quick mode: the first images of another source.
    Slice(Box<Source>),
}

impl Source {
    /// Returns true if the digits were drawn by the kit and are not MNIST.
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

    /// The note for tables and figures if the images are not all of a real data set.
    ///
    /// ```
    /// use mnist_kit::data::Source;
    ///
    /// let digits = Source::Generated { seed: 1, reason: None };
    /// assert_eq!(digits.note().as_deref(), Some("generated digits (not MNIST)"));
    /// assert_eq!(Source::Slice(Box::new(Source::Folder("mnist".into()))).note().as_deref(), Some("quick mode"));
    /// assert_eq!(Source::Folder("mnist".into()).note(), None);
    /// ```
    pub fn note(&self) -> Option<String> {
        match self {
            Source::Generated { .. } => Some(self.to_string()),
            Source::Slice(whole) => Some(match whole.note() {
                Some(note) => format!("quick mode, {note}"),
                None => "quick mode".to_string(),
            }),
            _ => None,
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
            Source::Tensors => write!(f, "tensors of tch's Dataset"),
            Source::Generated { .. } => write!(f, "generated digits (not MNIST)"),
            Source::Slice(whole) => write!(f, "quick mode: a slice of {whole}"),
        }
    }
}

/// Shortens the user's home folder to `~`, so that notebooks can be shared.
fn without_home(path: &Path) -> PathBuf {
    env::home_dir()
        .filter(|home| home.is_absolute())
        .and_then(|home| Some(Path::new("~").join(path.strip_prefix(home).ok()?)))
        .unwrap_or_else(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_folder_is_not_spelled_out() {
        let home = env::home_dir().expect("a home folder");
        let text = |path: PathBuf| Source::Cache(path).to_string();
        assert_eq!(text(home.join("some/cache")), "cache ~/some/cache");
        assert_eq!(text("elsewhere/cache".into()), "cache elsewhere/cache");
    }
}
