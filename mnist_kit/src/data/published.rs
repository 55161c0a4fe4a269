//! Published data sets from the cache, downloaded into it if need be.

use super::Settings;
use super::Source;
use super::download::{RemoteFile, download};
use super::folder::Pairs;
use super::idx::{Content, content_of, images_from, labels_from};
use super::set::{Conventions, DataSet};
use crate::Result;
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use tch::Tensor;
use zip::ZipArchive;

/// Images, labels and class names of a published set, and their source.
pub(super) fn load(set: DataSet, settings: &Settings) -> Result<(Pairs, Vec<String>, Source)> {
    let location = settings.location(set);
    let folder = settings
        .cache_dir
        .as_ref()
        .context("this user has no cache folder; MNIST_KIT_CACHE can name one")?
        .join(set.folder_name());
    let conventions = Conventions::of(set);
    let cached = || match (set, &location.files[..]) {
        (DataSet::Emnist(split), [file]) => {
            from_archive(&folder, file, &split.prefix(), &conventions)
        }
        (_, [train_images, train_labels, test_images, test_labels]) => Ok([
            from_files(&folder, train_images, train_labels, &conventions)?,
            from_files(&folder, test_images, test_labels, &conventions)?,
        ]),
        (_, files) => bail!("{set}: {} published files, expected 4 or one archive", files.len()),
    };
    let problem = match cached() {
        Ok(pairs) => return Ok((pairs, conventions.names, Source::Cache(folder))),
        Err(problem) => problem,
    };
    if settings.offline {
        bail!("MNIST_KIT_OFFLINE is set, and the cache has no {set}: {problem:#}");
    }
    let mirrors = download(&location.files, &folder, &location.mirrors, &settings.time_limits)?;
    let source = match &mirrors[..] {
        [] => Source::Cache(folder.clone()),
        mirrors => Source::Downloaded(mirrors.join(" and ")),
    };
    Ok((cached()?, conventions.names, source))
}

fn from_files(
    folder: &Path,
    images: &RemoteFile,
    labels: &RemoteFile,
    conventions: &Conventions,
) -> Result<(Tensor, Tensor)> {
    let content =
        |file: &RemoteFile| -> Result<_> { Ok(content_of(file.open(&folder.join(&file.name))?)?) };
    Ok((
        conventions.images(images_from(content(images)?, &images.name)?)?,
        conventions.labels(labels_from(content(labels)?, &labels.name)?, &labels.name)?,
    ))
}

/// The split of EMNIST whose file names start with `prefix`, from the archive of all splits.
fn from_archive(
    folder: &Path,
    file: &RemoteFile,
    prefix: &str,
    conventions: &Conventions,
) -> Result<Pairs> {
    let mut archive = ZipArchive::new(BufReader::new(file.open(&folder.join(&file.name))?))?;
    let mut pair = |split: &str| -> Result<(Tensor, Tensor)> {
        let name = format!("gzip/{prefix}{split}-images-idx3-ubyte.gz");
        let images = images_from(entry(&mut archive, &name)?, &name)?;
        let name = format!("gzip/{prefix}{split}-labels-idx1-ubyte.gz");
        let labels = labels_from(entry(&mut archive, &name)?, &name)?;
        Ok((conventions.images(images)?, conventions.labels(labels, &name)?))
    };
    Ok([pair("train")?, pair("test")?])
}

/// The content of a gzipped file in a zip archive.
fn entry<'a>(archive: &'a mut ZipArchive<BufReader<File>>, name: &str) -> Result<Content<'a>> {
    let index =
        archive.index_for_name(name).with_context(|| format!("{name}: not in the archive"))?;
    // The zip crate is built without decompression, which PyTorch's weights do not need.
    let entry = archive.by_index_raw(index)?;
    let length = entry.compressed_size();
    let mut stored = BufReader::new(entry);
    let is_gzip = stored.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let gzip: io::Result<Content<'a>> = if is_gzip {
        Content::new(stored, length)
    } else {
        // No deflated entry starts like gzip: its first three bits would be an unknown block type.
        Content::deflated(stored, length)
    };
    gzip.with_context(|| name.to_string())
}
