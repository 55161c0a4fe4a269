//! The IDX format, in which MNIST and its relatives are published.
//!
//! A file is a big-endian header (a magic number, then one 32-bit size for each dimension) and the
//! values, one byte each in images and labels. Source: the description of the format on the MNIST
//! page, <http://yann.lecun.com/exdb/mnist/>.

use super::limits::most_unpacked;
use crate::Result;
use anyhow::{Context, bail, ensure};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use tch::{Kind, Tensor};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;
/// QMNIST's labels: rows of 32-bit integers, of which the first is the class.
const QMNIST_LABELS: u32 = 0x0000_0c02;

/// Reads the images of an IDX file, gzipped or not. Its content decides, not its name.
///
/// # Shapes
/// `[N, 1, H, W]`, uint8, for the N, H and W of the header; N may be 0.
///
/// # Errors
/// When the file is not an IDX file of images, is damaged, declares images without pixels, or is
/// gzipped and declares more than 64 times its size and 64 MiB. The message names the file and says
/// what was found, what was expected and what to do.
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

/// Reads the labels of an IDX file, gzipped or not. Its content decides, not its name.
///
/// QMNIST's files of 32-bit integers are read too: the class of each image, without its writer.
///
/// # Shapes
/// `[N]`, int64, each in 0–255; [`Split::new`](crate::data::Split::new) checks them against a
/// number of classes.
///
/// # Errors
/// When the file is not an IDX file of labels, or is damaged.
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

/// The content of an IDX file, decompressed while it is read.
pub(super) struct Content<'a> {
    bytes: Box<dyn Read + 'a>,
    /// The most bytes that the content may declare.
    most: u64,
}

impl<'a> Content<'a> {
    /// Decompresses the `stored` bytes of `content` if they start with gzip's magic bytes, and passes
    /// on any others, whose number bounds itself.
    pub fn new(content: impl Read + 'a, stored: u64) -> io::Result<Content<'a>> {
        let mut content = BufReader::new(content);
        Ok(match content.fill_buf()? {
            [0x1f, 0x8b, ..] => Content {
                bytes: Box::new(MultiGzDecoder::new(content)),
                most: most_unpacked(stored),
            },
            _ => Content { bytes: Box::new(content), most: u64::MAX },
        })
    }

    /// Decompresses the `stored` bytes of a deflated entry of an archive, and what is gzipped in it.
    pub fn deflated(content: impl BufRead + 'a, stored: u64) -> io::Result<Content<'a>> {
        let content = Content::new(DeflateDecoder::new(content), stored)?;
        Ok(Content { most: most_unpacked(stored), ..content })
    }
}

/// Reads images; `file` is the name for messages.
pub(super) fn images_from(mut content: Content, file: &str) -> Result<Tensor> {
    let (_, size) = header(&mut content, &[IMAGES], file)?;
    let pixels = body(content, &size, 1, file)?;
    // Where there is no image, nothing else bounds their size.
    ensure!(
        size[1].checked_mul(size[2]).is_some_and(|pixels| pixels > 0),
        "{file}: declares images of {}×{} pixels; fetch the file again",
        size[1],
        size[2]
    );
    Ok(Tensor::f_from_data_size(&pixels, &[size[0], 1, size[1], size[2]], Kind::Uint8)?)
}

/// Reads labels; `file` is the name for messages.
pub(super) fn labels_from(mut content: Content, file: &str) -> Result<Tensor> {
    let (magic, size) = header(&mut content, &[LABELS, QMNIST_LABELS], file)?;
    if magic == LABELS {
        let labels = body(content, &size, 1, file)?;
        return Ok(Tensor::f_from_slice(&labels)?.f_to_kind(Kind::Int64)?);
    }
    let columns = usize::try_from(size[1])?;
    ensure!(columns > 0, "{file}: declares rows of 0 integers; fetch the file again");
    let rows = body(content, &size, 4, file)?;
    let mut labels = Vec::with_capacity(rows.len() / (4 * columns));
    for row in rows.chunks_exact(4 * columns) {
        let label = i32::from_be_bytes([row[0], row[1], row[2], row[3]]);
        ensure!(
            (0..=255).contains(&label),
            "{file}: label {label} at index {}, expected 0 to 255",
            labels.len()
        );
        labels.push(i64::from(label));
    }
    Ok(Tensor::f_from_slice(&labels)?)
}

/// Decompresses content that starts with gzip's magic bytes, and passes on any other.
pub(super) fn decompressed<'a>(content: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(Content::new(content, 0)?.bytes)
}

/// Opens a file whose content may be gzipped.
pub(super) fn open(path: &Path) -> Result<Content<'static>> {
    let open = || content_of(File::open(path)?);
    open().with_context(|| format!("{}: cannot be read", path.display()))
}

/// The content of an open file.
pub(super) fn content_of(file: File) -> io::Result<Content<'static>> {
    let stored = file.metadata()?.len();
    Content::new(file, stored)
}

/// The magic number, which has to be one of `expected`, and the dimensions.
fn header(content: &mut Content, expected: &[u32], file: &str) -> Result<(u32, Vec<i64>)> {
    let magic = word(content, file)?;
    if !expected.contains(&magic) {
        bail!(
            "{file}: starts with 0x{magic:08x}, expected 0x{:08x} ({} in IDX format){}",
            expected[0],
            describe(expected[0]),
            match magic {
                IMAGES | LABELS | QMNIST_LABELS =>
                    format!("; these are {}: the files are swapped", describe(magic)),
                _ => "; is this the file you meant?".to_string(),
            }
        );
    }
    // The last byte of the magic number counts the dimensions.
    let size = (0..magic & 0xff).map(|_| Ok(i64::from(word(content, file)?)));
    Ok((magic, size.collect::<Result<Vec<i64>>>()?))
}

/// The values after the header, `width` bytes each.
///
/// Memory grows with the content that is there, not with the sizes that the header declares.
fn body(content: Content, size: &[i64], width: u64, file: &str) -> Result<Vec<u8>> {
    let shape = size.iter().map(i64::to_string).collect::<Vec<_>>().join("×");
    let expected = size
        .iter()
        .try_fold(width, |product, &size| product.checked_mul(size.try_into().ok()?))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .with_context(|| format!("{file}: declares {shape} values, which no memory holds"))?;
    ensure!(
        expected <= content.most,
        "{file}: declares {expected} bytes ({shape}), more than an archive of its size may unpack to, \
         {}; if you trust the file, unpack it yourself",
        content.most
    );
    let mut bytes = Vec::new();
    content
        .bytes
        .take(expected + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{file}: damaged; fetch the file again"))?;
    let found = bytes.len() as u64;
    ensure!(
        found >= expected,
        "{file}: ends after {found} of the {expected} bytes that its header declares ({shape}); \
         fetch the file again"
    );
    ensure!(
        found == expected,
        "{file}: more follows the {expected} bytes that its header declares ({shape}); \
         fetch the file again"
    );
    Ok(bytes)
}

fn word(content: &mut Content, file: &str) -> Result<u32> {
    let mut bytes = [0; 4];
    content
        .bytes
        .read_exact(&mut bytes)
        .with_context(|| format!("{file}: ends inside its header; fetch the file again"))?;
    Ok(u32::from_be_bytes(bytes))
}

fn describe(magic: u32) -> &'static str {
    if magic == IMAGES { "images" } else { "labels" }
}
