//! A small data set in IDX format, and settings for it.

use flate2::{Compression, write::GzEncoder};
use md5::Md5;
use mnist_kit::data::{Checksum, Location, RemoteFile, Settings, TimeLimits};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::server::{Server, ok};

pub const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// An IDX file of these dimensions.
pub fn idx(dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|dimension| file.extend(dimension.to_be_bytes()));
    file.extend(bytes);
    file
}

/// Bytes that gzip cannot make smaller.
fn noise(count: usize) -> Vec<u8> {
    (0..count as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8).collect()
}

/// 30 training and 12 test images of 28×28, four classes, in the order of [`NAMES`].
pub fn small_set() -> [Vec<u8>; 4] {
    let labels = |count: u32| (0..count).map(|i| (i % 4) as u8).collect::<Vec<u8>>();
    let images = |count: u32| idx(&[count, 28, 28], &noise(count as usize * 784));
    [images(30), idx(&[30], &labels(30)), images(12), idx(&[12], &labels(12))]
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn write_set(folder: &Path, names: [&str; 4], contents: &[Vec<u8>; 4]) {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in names.iter().zip(contents) {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Settings without folders and mirrors, for this cache, with short time limits.
pub fn cache_only(cache: &Path) -> Settings {
    let nowhere = Location { folder: None, mirrors: vec![], files: vec![] };
    Settings {
        mnist: nowhere.clone(),
        fashion: nowhere.clone(),
        kmnist: nowhere.clone(),
        qmnist: nowhere.clone(),
        emnist: nowhere,
        cache_dir: Some(cache.to_path_buf()),
        time_limits: TimeLimits {
            connect: Duration::from_secs(5),
            read: Duration::from_millis(1500),
            total: Duration::from_millis(4000),
        },
        ..Settings::default()
    }
}

/// Settings that look for the small set in this cache and at these mirrors.
pub fn settings(cache: &Path, mirrors: &[&str]) -> Settings {
    let contents = small_set();
    let file = |i: usize| RemoteFile {
        name: NAMES[i].to_string(),
        suffix: ".gz".to_string(),
        bytes: contents[i].len() as u64..=contents[i].len() as u64,
        checksum: Checksum::Sha256OfContent(hex(&Sha256::digest(&contents[i]))),
    };
    Settings {
        mnist: Location {
            folder: None,
            mirrors: mirrors.iter().map(|url| url.to_string()).collect(),
            files: (0..4).map(file).collect(),
        },
        ..cache_only(cache)
    }
}

/// A location of files that are published with the MD5 sums of the archives.
pub fn location(mirror: &str, files: &[(String, Vec<u8>)]) -> Location {
    let file = |(name, archive): &(String, Vec<u8>)| RemoteFile {
        name: name.clone(),
        suffix: String::new(),
        bytes: 1..=100_000_000,
        checksum: Checksum::Md5OfDownload(hex(&Md5::digest(archive))),
    };
    Location {
        folder: None,
        mirrors: vec![mirror.to_string()],
        files: files.iter().map(file).collect(),
    }
}

/// A server that has the small set.
pub fn good_server() -> Server {
    Server::new(|name, stream| ok(stream, &archive(name)))
}

/// The content of `<name>.gz` on a good server.
pub fn archive(name: &str) -> Vec<u8> {
    let index = NAMES.iter().position(|known| format!("{known}.gz") == name).unwrap();
    gzip(&small_set()[index])
}
