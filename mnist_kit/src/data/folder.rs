//! Finding the four IDX files of a data set in a folder.

use super::idx::{read_images, read_labels};
use crate::Result;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// Images and labels of the training set, then of the test set.
pub(super) type Pairs = [(Tensor, Tensor); 2];

/// Reads the four IDX files of a folder.
pub(super) fn read_folder(folder: &Path) -> Result<Pairs> {
    let files = IdxFiles::list(folder)?;
    let [train, test] = [&["train"][..], &["t10k", "test"]];
    let read = |split: &[&str]| -> Result<(Tensor, Tensor)> {
        Ok((read_images(files.find(split, "images")?)?, read_labels(files.find(split, "labels")?)?))
    };
    Ok([read(train)?, read(test)?])
}

/// The IDX files of a folder by name.
struct IdxFiles<'a> {
    folder: &'a Path,
    names: Vec<String>,
}

impl IdxFiles<'_> {
    fn list(folder: &Path) -> Result<IdxFiles<'_>> {
        let entries = || -> std::io::Result<Vec<String>> {
            fs::read_dir(folder)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        let mut names =
            entries().with_context(|| format!("{}: cannot be listed", folder.display()))?;
        names.retain(|name| split_and_kind(name).is_some());
        names.sort();
        Ok(IdxFiles { folder, names })
    }

    /// The one file of this split (`train`, or `t10k` or `test`) and kind (`images` or `labels`).
    fn find(&self, splits: &[&str], kind: &str) -> Result<PathBuf> {
        let matching: Vec<&String> = self
            .names
            .iter()
            .filter(|name| {
                split_and_kind(name).is_some_and(|(found, found_kind)| {
                    splits.contains(&found) && kind == found_kind
                })
            })
            // Beside an unpacked file its own archive counts for nothing.
            .filter(|name| {
                name.strip_suffix(".gz").is_none_or(|bare| !self.names.contains(&bare.to_string()))
            })
            .collect();
        let folder = self.folder.display();
        match &matching[..] {
            [name] => Ok(self.folder.join(name)),
            [] => bail!(
                "{folder}: no {} {kind}; expected a file {}-{kind}-idx{}-ubyte, with or without .gz{}",
                if splits == ["train"] { "training" } else { "test" },
                splits[0],
                if kind == "images" { 3 } else { 1 },
                match &self.names[..] {
                    [] => ", but there is no IDX file at all".to_string(),
                    names => format!(", and found only {}", names.join(", ")),
                }
            ),
            several => bail!(
                "{folder}: more than one data set: {}; keep each in a folder of its own",
                several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// What a name like `emnist-letters-train-images-idx3-ubyte.gz` says: (`train`, `images`). Nothing for other files.
fn split_and_kind(name: &str) -> Option<(&str, &str)> {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = ["-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte"]
        .iter()
        .find_map(|end| stem.strip_suffix(end))?;
    let (before, kind) = stem.rsplit_once('-')?;
    let split = before.rsplit_once('-').map_or(before, |(_, split)| split);
    (["train", "t10k", "test"].contains(&split) && ["images", "labels"].contains(&kind))
        .then_some((split, kind))
}

#[cfg(test)]
mod tests {
    use super::split_and_kind;

    #[test]
    fn names_of_the_family_are_understood() {
        for (name, expected) in [
            ("train-images-idx3-ubyte", Some(("train", "images"))),
            ("t10k-labels-idx1-ubyte.gz", Some(("t10k", "labels"))),
            ("t10k-images.idx3-ubyte", Some(("t10k", "images"))),
            ("test-labels.idx1-ubyte.gz", Some(("test", "labels"))),
            ("emnist-letters-train-images-idx3-ubyte", Some(("train", "images"))),
            ("readme.txt", None),
            ("images-idx3-ubyte", None),
            ("train-masks-idx3-ubyte", None),
            ("emnist-letters-mapping.txt", None),
            ("", None),
        ] {
            assert_eq!(split_and_kind(name), expected, "{name}");
        }
    }
}
