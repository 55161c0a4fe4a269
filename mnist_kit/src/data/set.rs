//! The published data sets, and how each stores its images and labels.

use crate::Result;
use anyhow::{Context, bail, ensure};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use tch::{Kind, Tensor};

/// A published data set: MNIST or one of its relatives.
///
/// ```
/// use mnist_kit::data::{DataSet, EmnistSplit};
///
/// assert_eq!(DataSet::Fashion.class_names()[3], "Dress");
/// assert_eq!(DataSet::Emnist(EmnistSplit::Letters).class_names().len(), 26);
/// assert_eq!(DataSet::Emnist(EmnistSplit::Letters).to_string(), "EMNIST letters");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataSet {
    /// Handwritten digits: 60,000 training and 10,000 test images.
    Mnist,
    /// Fashion-MNIST: ten kinds of clothing, with MNIST's sizes.
    Fashion,
    /// Kuzushiji-MNIST: ten hiragana from old Japanese books, with MNIST's sizes.
    Kmnist,
    /// QMNIST: MNIST's training images, and 60,000 test images of which the first 10,000 are
    /// MNIST's.
    Qmnist,
    /// EMNIST: letters and digits from the same source as MNIST, in six splits.
    Emnist(EmnistSplit),
}

/// A split of EMNIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmnistSplit {
    /// 62 classes: digits, upper-case letters, lower-case letters; 814,255 images.
    ByClass,
    /// 47 classes: as `ByClass`, but letters whose two cases look alike share a class.
    ByMerge,
    /// The classes of `ByMerge`, equally frequent; 131,600 images.
    Balanced,
    /// 26 classes, one for both cases of a letter; 145,600 images.
    Letters,
    /// Ten digits, equally frequent; 280,000 images.
    Digits,
    /// Ten digits with MNIST's sizes.
    Mnist,
}

const DIGITS: &str = "0123456789";

/// The lower-case letters that have a class of their own in `ByMerge` and `Balanced`.
const UNMERGED: &str = "abdefghnqrt";

impl DataSet {
    /// The names of the classes, ordered by label.
    ///
    /// Names are torchvision's, except that digits are "0" to "9". EMNIST's letters are lower case
    /// and start at label 0, where the published files start at 1.
    pub fn class_names(self) -> Vec<String> {
        let words = |words: [&str; 10]| words.map(String::from).to_vec();
        let letters = |texts: &[&str]| texts.concat().chars().map(String::from).collect();
        let upper: String = ('A'..='Z').collect();
        let lower: String = ('a'..='z').collect();
        match self {
            DataSet::Fashion => words([
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ]),
            DataSet::Kmnist => words(["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]),
            DataSet::Emnist(EmnistSplit::ByClass) => letters(&[DIGITS, &upper, &lower]),
            DataSet::Emnist(EmnistSplit::ByMerge | EmnistSplit::Balanced) => {
                letters(&[DIGITS, &upper, UNMERGED])
            }
            DataSet::Emnist(EmnistSplit::Letters) => letters(&[&lower]),
            DataSet::Mnist
            | DataSet::Qmnist
            | DataSet::Emnist(EmnistSplit::Digits | EmnistSplit::Mnist) => letters(&[DIGITS]),
        }
    }

    /// The folder of its files in the cache.
    pub(super) fn folder_name(self) -> &'static str {
        match self {
            DataSet::Mnist => "mnist",
            DataSet::Fashion => "fashion",
            DataSet::Kmnist => "kmnist",
            DataSet::Qmnist => "qmnist",
            DataSet::Emnist(_) => "emnist",
        }
    }

    /// The environment variables that name a folder with its files, and its mirrors.
    pub(super) fn variables(self) -> (&'static str, &'static str) {
        match self {
            DataSet::Mnist => ("MNIST_KIT_DATA", "MNIST_KIT_MIRRORS"),
            DataSet::Fashion => ("MNIST_KIT_FASHION", "MNIST_KIT_FASHION_MIRRORS"),
            DataSet::Kmnist => ("MNIST_KIT_KMNIST", "MNIST_KIT_KMNIST_MIRRORS"),
            DataSet::Qmnist => ("MNIST_KIT_QMNIST", "MNIST_KIT_QMNIST_MIRRORS"),
            DataSet::Emnist(_) => ("MNIST_KIT_EMNIST", "MNIST_KIT_EMNIST_MIRRORS"),
        }
    }
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataSet::Mnist => write!(f, "MNIST"),
            DataSet::Fashion => write!(f, "Fashion-MNIST"),
            DataSet::Kmnist => write!(f, "KMNIST"),
            DataSet::Qmnist => write!(f, "QMNIST"),
            DataSet::Emnist(split) => write!(f, "EMNIST {split}"),
        }
    }
}

impl EmnistSplit {
    /// Every split.
    pub const ALL: [EmnistSplit; 6] = [
        EmnistSplit::ByClass,
        EmnistSplit::ByMerge,
        EmnistSplit::Balanced,
        EmnistSplit::Letters,
        EmnistSplit::Digits,
        EmnistSplit::Mnist,
    ];

    /// The start of the names of its files.
    pub(super) fn prefix(self) -> String {
        format!("emnist-{self}-")
    }
}

impl fmt::Display for EmnistSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EmnistSplit::ByClass => "byclass",
            EmnistSplit::ByMerge => "bymerge",
            EmnistSplit::Balanced => "balanced",
            EmnistSplit::Letters => "letters",
            EmnistSplit::Digits => "digits",
            EmnistSplit::Mnist => "mnist",
        })
    }
}

/// The file in which a folder names its classes.
pub(super) const CLASSES_FILE: &str = "classes.txt";

/// The largest such file that is read.
const MAX_CLASSES_BYTES: u64 = 1 << 20;

/// The rules for reading the files of a data set.
#[derive(Debug)]
pub(super) struct Conventions {
    pub names: Vec<String>,
    /// The stored label of the first class.
    first_label: i64,
    /// True if the rows of a stored image are the columns of the picture.
    transposed: bool,
    /// The reason for the range of labels, for messages.
    reason: String,
}

impl Conventions {
    /// The conventions of a published set.
    pub fn of(set: DataSet) -> Conventions {
        let names = set.class_names();
        Conventions {
            reason: format!("{set} has {} classes", names.len()),
            names,
            first_label: i64::from(set == DataSet::Emnist(EmnistSplit::Letters)),
            transposed: matches!(set, DataSet::Emnist(_)),
        }
    }

    /// The conventions of a set in a folder, which may name other classes in `classes.txt`.
    pub fn in_folder(set: DataSet, folder: &Path) -> Result<Conventions> {
        let conventions = Conventions::of(set);
        let names = read_class_names(&folder.join(CLASSES_FILE)).context(CLASSES_FILE)?;
        Ok(match names {
            Some(names) => Conventions {
                reason: format!("{CLASSES_FILE} names {} classes", names.len()),
                names,
                ..conventions
            },
            None => Conventions {
                reason: format!(
                    "{}; for other classes, add a file {CLASSES_FILE} with one name a line, in \
                     the order of the labels",
                    conventions.reason
                ),
                ..conventions
            },
        })
    }

    /// The same conventions with other names, which `place` lists.
    #[cfg(feature = "parquet")]
    pub fn with_names(self, names: Vec<String>, place: &str) -> Conventions {
        Conventions { reason: format!("{place} names {} classes", names.len()), names, ..self }
    }

    /// The first and the last label that a file may contain.
    fn range(&self) -> (i64, i64) {
        (self.first_label, self.first_label + self.names.len() as i64 - 1)
    }

    /// Checks one label.
    #[cfg(feature = "parquet")]
    pub fn check(&self, label: i64) -> Result<()> {
        let (first, last) = self.range();
        ensure!(
            (first..=last).contains(&label),
            "label {label}, expected {first} to {last}: {}",
            self.reason
        );
        Ok(())
    }

    /// Turns images upright.
    pub fn images(&self, images: Tensor) -> Result<Tensor> {
        Ok(if self.transposed { images.f_transpose(2, 3)?.f_contiguous()? } else { images })
    }

    /// Checks labels and counts them from 0; `file` is the name of their file.
    pub fn labels(&self, labels: Tensor, file: &str) -> Result<Tensor> {
        let (first, last) = self.range();
        if let Some((index, label)) = label_outside(&labels, first, last)? {
            bail!(
                "{file}: label {label} at index {index}, expected {first} to {last}: {}",
                self.reason
            );
        }
        Ok(if first == 0 { labels } else { labels.f_sub_scalar(first)? })
    }
}

/// Index and value of the first label outside of `first..=last`.
pub(super) fn label_outside(labels: &Tensor, first: i64, last: i64) -> Result<Option<(i64, i64)>> {
    if labels.numel() == 0 {
        return Ok(None);
    }
    let outside = labels.f_lt(first)?.f_logical_or(&labels.f_gt(last)?)?;
    if !bool::try_from(outside.f_any()?)? {
        return Ok(None);
    }
    let index = outside.f_to_kind(Kind::Int64)?.f_argmax(0, false)?.f_int64_value(&[])?;
    Ok(Some((index, labels.f_int64_value(&[index])?)))
}

/// The names in a file, one a line, or `None` where there is no such file.
fn read_class_names(path: &Path) -> Result<Option<Vec<String>>> {
    let file = match File::open(path) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(MAX_CLASSES_BYTES + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MAX_CLASSES_BYTES, "longer than {MAX_CLASSES_BYTES} bytes");
    // Editors on Windows put a byte order mark in front.
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
    ensure!(!names.is_empty(), "empty, expected one name a line");
    if let Some(line) = names.iter().position(String::is_empty) {
        bail!("line {} is empty, expected one name a line", line + 1);
    }
    Ok(Some(names))
}
