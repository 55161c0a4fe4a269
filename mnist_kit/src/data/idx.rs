//! The IDX format, in which MNIST and its relatives are published.
//!
//! A file is a big-endian header (a magic number, then one 32-bit size for each dimension) and one byte a pixel or label.
//! Source: the format's description on the MNIST page, <http://yann.lecun.com/exdb/mnist/>.

use crate::Result;
use anyhow::{Context, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use tch::{Kind, Tensor};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// Reads the images of an IDX file, gzipped or not (its content decides, not its name).
///
/// # Shapes
/// `[N, 1, H, W]`, uint8, for the N, H and W of the header; N may be 0.
///
/// # Errors
/// When the file cannot be read, is no IDX file of images, is shorter or longer than its header says, or declares images
/// without pixels. The message names the file, what was found, what was expected and what to do.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("two-images-idx3-ubyte");
/// let header = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3];
/// std::fs::write(&path, [&header[..], &[1, 2, 3, 4, 5, 255]].concat())?;
/// assert_eq!(mnist_kit::data::read_images(&path)?.size(), [2, 1, 1, 3]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn read_images(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    images_from(open(path)?, &path.display().to_string())
}

/// Reads the labels of an IDX file, gzipped or not (its content decides, not its name).
///
/// # Shapes
/// `[N]`, int64, each in 0–255; [`Split::new`](crate::data::Split::new) checks them against a number of classes.
///
/// # Errors
/// As [`read_images`].
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("three-labels-idx1-ubyte");
/// std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1])?;
/// assert_eq!(Vec::<i64>::try_from(mnist_kit::data::read_labels(&path)?)?, [7, 2, 1]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn read_labels(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    labels_from(open(path)?, &path.display().to_string())
}

/// [`read_images`] from decompressed content; `file` is its name in messages.
pub(super) fn images_from(content: impl Read, file: &str) -> Result<Tensor> {
    let ([count, height, width], pixels) = parse(content, IMAGES, file)?;
    ensure!(
        height > 0 && width > 0,
        "{file}: declares images of {height}×{width} pixels; fetch the file again"
    );
    let size = [count, height, width].map(i64::from);
    Ok(Tensor::f_from_data_size(&pixels, &[size[0], 1, size[1], size[2]], Kind::Uint8)?)
}

/// [`read_labels`] from decompressed content; `file` is its name in messages.
pub(super) fn labels_from(content: impl Read, file: &str) -> Result<Tensor> {
    let ([_], labels) = parse(content, LABELS, file)?;
    Ok(Tensor::f_from_slice(&labels)?.f_to_kind(Kind::Int64)?)
}

/// The content behind a reader: unzipped where it starts with gzip's magic bytes, else as it is.
pub(super) fn decompressed<'a>(content: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut content = BufReader::new(content);
    Ok(match content.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(content)),
        _ => Box::new(content),
    })
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    let open = || decompressed(File::open(path)?);
    open().with_context(|| format!("{}: cannot be read", path.display()))
}

/// The `D` dimensions and the bytes after them. Memory grows with the content that is there, not with what a header claims.
fn parse<const D: usize>(
    mut content: impl Read,
    magic: u32,
    file: &str,
) -> Result<([u32; D], Vec<u8>)> {
    let found = word(&mut content, file)?;
    if found != magic {
        bail!(
            "{file}: starts with 0x{found:08x}, expected 0x{magic:08x} ({} in IDX format){}",
            describe(magic),
            match found {
                IMAGES | LABELS =>
                    format!("; these are {}: the files are swapped", describe(found)),
                _ => "; is this the file you meant?".to_string(),
            }
        );
    }
    let mut dimensions = [0; D];
    for dimension in &mut dimensions {
        *dimension = word(&mut content, file)?;
    }
    let shape = dimensions.map(|dimension| dimension.to_string()).join("×");
    let expected = dimensions
        .iter()
        .try_fold(1u64, |product, &dimension| product.checked_mul(dimension.into()))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .with_context(|| format!("{file}: declares {shape} bytes, which no memory holds"))?;
    let mut bytes = Vec::new();
    content
        .by_ref()
        .take(expected + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{file}: damaged; fetch the file again"))?;
    let found = bytes.len() as u64;
    ensure!(
        found >= expected,
        "{file}: ends after {found} of the {expected} bytes that its header declares ({shape}); fetch the file again"
    );
    ensure!(
        found == expected,
        "{file}: more follows the {expected} bytes that its header declares ({shape}); fetch the file again"
    );
    Ok((dimensions, bytes))
}

fn word(content: &mut impl Read, file: &str) -> Result<u32> {
    let mut bytes = [0; 4];
    content
        .read_exact(&mut bytes)
        .with_context(|| format!("{file}: ends inside its header; fetch the file again"))?;
    Ok(u32::from_be_bytes(bytes))
}

fn describe(magic: u32) -> &'static str {
    if magic == IMAGES { "images" } else { "labels" }
}
