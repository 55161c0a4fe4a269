//! A data set in a folder of four IDX files.

use super::idx::{images_from, labels_from, open};
use super::set::{Conventions, DataSet, EmnistSplit};
use crate::Result;
use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// Images and labels of the training set, then of the test set.
pub(super) type Pairs = [(Tensor, Tensor); 2];

/// Reads the four IDX files of a folder, and the names of the classes.
///
/// The files are those of `set`, or, if it is `None`, of the set that their names tell.
pub(super) fn read_folder(folder: &Path, set: Option<DataSet>) -> Result<(Pairs, Vec<String>)> {
    let files = IdxFiles::list(folder, set)?;
    let set = set.unwrap_or(files.set()?);
    let conventions = Conventions::in_folder(set, folder)?;
    let read = |split: Split| -> Result<(Tensor, Tensor)> {
        let (images, name) = files.find(split, "images")?;
        let images = conventions.images(images_from(open(&images)?, &name)?)?;
        let (labels, name) = files.find(split, "labels")?;
        let labels = conventions.labels(labels_from(open(&labels)?, &name)?, &name)?;
        Ok((images, labels))
    };
    Ok(([read(Split::Train)?, read(Split::Test)?], conventions.names))
}

/// The file names of a split say `train`, or `t10k` or `test`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Split {
    Train,
    Test,
}

/// The meaning of a file name like `emnist-letters-train-images-idx3-ubyte.gz`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct IdxName<'a> {
    /// `emnist-letters-`
    prefix: &'a str,
    /// `train`
    split: Split,
    /// `images`
    kind: &'a str,
}

impl IdxName<'_> {
    /// The meaning of a name, `None` for other files.
    fn parse(name: &str) -> Option<IdxName<'_>> {
        let stem = name.strip_suffix(".gz").unwrap_or(name);
        let stem = ["idx3-ubyte", "idx1-ubyte", "idx2-int"]
            .iter()
            .find_map(|end| stem.strip_suffix(end)?.strip_suffix(['-', '.']))?;
        let (before, kind) = stem.rsplit_once('-')?;
        let start = before.rfind('-').map_or(0, |dash| dash + 1);
        let (prefix, split) = before.split_at(start);
        let split = match split {
            "train" => Split::Train,
            "t10k" | "test" => Split::Test,
            _ => return None,
        };
        ["images", "labels"].contains(&kind).then_some(IdxName { prefix, split, kind })
    }

    /// The set that the prefix tells. The names of MNIST, Fashion-MNIST and KMNIST have none.
    fn set(&self) -> DataSet {
        let emnist = EmnistSplit::ALL.into_iter().find(|split| split.prefix() == self.prefix);
        match (emnist, self.prefix) {
            (Some(split), _) => DataSet::Emnist(split),
            (None, "qmnist-") => DataSet::Qmnist,
            (None, _) => DataSet::Mnist,
        }
    }
}

/// The IDX files of a folder by name.
struct IdxFiles<'a> {
    folder: &'a Path,
    names: Vec<String>,
}

impl IdxFiles<'_> {
    /// Lists the files of a folder. EMNIST's splits are often kept in one folder, so that only the
    /// one in question counts.
    fn list(folder: &Path, set: Option<DataSet>) -> Result<IdxFiles<'_>> {
        let entries = || -> std::io::Result<Vec<String>> {
            fs::read_dir(folder)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        let mut names = entries().context("cannot be listed")?;
        let emnist = set.filter(|set| matches!(set, DataSet::Emnist(_)));
        names.retain(|name| {
            IdxName::parse(name).is_some_and(|name| emnist.is_none_or(|set| name.set() == set))
        });
        names.sort();
        Ok(IdxFiles { folder, names })
    }

    /// The one set that all files belong to; MNIST if there is no file.
    fn set(&self) -> Result<DataSet> {
        let mut sets = self.names.iter().filter_map(|name| Some(IdxName::parse(name)?.set()));
        let set = sets.next().unwrap_or(DataSet::Mnist);
        ensure!(sets.all(|other| other == set), IdxFiles::several(&self.names));
        Ok(set)
    }

    /// Path and name of the one file of this split and kind (`images` or `labels`).
    fn find(&self, split: Split, kind: &str) -> Result<(PathBuf, String)> {
        let matching: Vec<String> = self
            .names
            .iter()
            .filter(|name| {
                IdxName::parse(name).is_some_and(|name| name.split == split && name.kind == kind)
            })
            // An archive beside its unpacked file is ignored.
            .filter(|name| {
                name.strip_suffix(".gz").is_none_or(|bare| !self.names.contains(&bare.to_string()))
            })
            .cloned()
            .collect();
        match &matching[..] {
            [name] => Ok((self.folder.join(name), name.clone())),
            [] => {
                let (words, start) = match split {
                    Split::Train => ("training", "train"),
                    Split::Test => ("test", "t10k"),
                };
                let dimensions = if kind == "images" { 3 } else { 1 };
                let found = match &self.names[..] {
                    [] => ", but there is no IDX file at all".to_string(),
                    names => format!(", and found only {}", names.join(", ")),
                };
                bail!(
                    "no {words} {kind}; expected a file {start}-{kind}-idx{dimensions}-ubyte, \
                     with or without .gz{found}"
                )
            }
            several => bail!(IdxFiles::several(several)),
        }
    }

    fn several(names: &[String]) -> String {
        format!("more than one data set: {}; keep each in a folder of its own", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_family_are_understood() {
        let (train, test) = (Split::Train, Split::Test);
        for (name, expected) in [
            ("train-images-idx3-ubyte", Some(("", train, "images"))),
            ("t10k-labels-idx1-ubyte.gz", Some(("", test, "labels"))),
            ("t10k-images.idx3-ubyte", Some(("", test, "images"))),
            ("test-labels.idx1-ubyte.gz", Some(("", test, "labels"))),
            ("emnist-letters-train-images-idx3-ubyte", Some(("emnist-letters-", train, "images"))),
            ("qmnist-test-labels-idx2-int.gz", Some(("qmnist-", test, "labels"))),
            ("readme.txt", None),
            ("images-idx3-ubyte", None),
            ("train-masks-idx3-ubyte", None),
            ("emnist-letters-mapping.txt", None),
            ("", None),
        ] {
            let expected = expected.map(|(prefix, split, kind)| IdxName { prefix, split, kind });
            assert_eq!(IdxName::parse(name), expected, "{name}");
        }
    }

    #[test]
    fn a_prefix_tells_the_set() {
        let set = |name| IdxName::parse(name).unwrap().set();
        assert_eq!(set("train-images-idx3-ubyte"), DataSet::Mnist);
        assert_eq!(set("mine-train-images-idx3-ubyte"), DataSet::Mnist);
        assert_eq!(set("qmnist-train-images-idx3-ubyte"), DataSet::Qmnist);
        assert_eq!(
            set("emnist-balanced-test-labels-idx1-ubyte.gz"),
            DataSet::Emnist(EmnistSplit::Balanced)
        );
    }
}
