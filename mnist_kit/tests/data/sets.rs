//! Published sets from their mirrors, the cache and folders.

use crate::common::message;
use crate::fixture::{NAMES, cache_only, gzip, idx, location, small_set, write_set};
use crate::server::Server;
use flate2::{Compression, Crc, write::DeflateEncoder};
use mnist_kit::data::{DataSet, EmnistSplit, Mnist, Settings, Source};
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::tempdir;

const LETTERS: DataSet = DataSet::Emnist(EmnistSplit::Letters);

/// The small set as archives under these names.
fn archives(names: [&str; 4]) -> Vec<(String, Vec<u8>)> {
    let archive = |(name, content): (&str, Vec<u8>)| (format!("{name}.gz"), gzip(&content));
    names.into_iter().zip(small_set()).map(archive).collect()
}

#[test]
fn a_set_is_downloaded_once_checked_and_named() {
    for set in [DataSet::Fashion, DataSet::Kmnist] {
        let (cache, files) = (tempdir().unwrap(), archives(NAMES));
        let server = Server::with_files(files.clone());
        let mut settings = cache_only(cache.path());
        settings.fashion = location(&server.url, &files);
        settings.kmnist = location(&server.url, &files);
        let first = Mnist::load_set(set, &settings).unwrap();
        assert_eq!(first.source(), &Source::Downloaded(server.url.clone()));
        assert_eq!(first.train.class_names(), set.class_names());
        assert_eq!((first.train.len(), first.test.len()), (30, 12));
        let folder = match set {
            DataSet::Fashion => "fashion",
            _ => "kmnist",
        };
        let offline = Settings { offline: true, quick: true, ..settings.clone() };
        let second = Mnist::load_set(set, &offline).unwrap();
        let source = Source::Cache(cache.path().join(folder));
        assert_eq!(second.source(), &Source::Slice(Box::new(source)));
        assert_eq!(server.requests().len(), 4);

        // The stored archive is checked at every load.
        let path = cache.path().join(folder).join(format!("{}.gz", NAMES[1]));
        let mut damaged = fs::read(&path).unwrap();
        damaged[12] ^= 1;
        fs::write(&path, damaged).unwrap();
        let text = message(Mnist::load_set(set, &offline));
        assert!(text.contains("not the published content, by its MD5 sum"), "{text}");
        Mnist::load_set(set, &settings).unwrap();
        assert_eq!(server.requests().len(), 5);
    }
}

#[test]
fn a_set_that_is_not_available_is_an_error_that_says_what_helps() {
    let cache = tempdir().unwrap();
    let server = Server::with_files(vec![]);
    let mut settings = cache_only(cache.path());
    settings.fashion = location(&server.url, &archives(NAMES));
    let text = message(Mnist::load_set(DataSet::Fashion, &settings));
    let cause = format!(
        "Fashion-MNIST is not available: {}{}.gz: the server answered 404",
        server.url, NAMES[0]
    );
    assert!(text.starts_with(&cause), "{text}");
    for variable in ["MNIST_KIT_FASHION,", "MNIST_KIT_FASHION_MIRRORS"] {
        assert!(text.contains(variable), "{text}");
    }
    let offline = Settings { offline: true, ..settings.clone() };
    let text = message(Mnist::load_set(DataSet::Fashion, &offline));
    assert!(
        text.contains("MNIST_KIT_OFFLINE is set, and the cache has no Fashion-MNIST"),
        "{text}"
    );
    // MNIST too, if it is asked for by name; only `load` has a stand-in.
    settings.mnist = location(&server.url, &archives(NAMES));
    assert!(message(Mnist::load_set(DataSet::Mnist, &settings)).contains("MNIST_KIT_DATA"));
    assert!(Mnist::load_with(&settings).unwrap().is_generated());
}

#[test]
fn a_folder_is_preferred_to_cache_and_mirrors() {
    let (cache, folder) = (tempdir().unwrap(), tempdir().unwrap());
    write_set(folder.path(), NAMES, &small_set());
    let mut settings = cache_only(cache.path());
    settings.fashion.folder = Some(folder.path().to_path_buf());
    let fashion = Mnist::load_set(DataSet::Fashion, &settings).unwrap();
    assert_eq!(fashion.train.class_name(3), "Dress");
    assert_eq!(fashion.source(), &Source::Folder(folder.path().to_path_buf()));
    fs::remove_file(folder.path().join(NAMES[0])).unwrap();
    let text = message(Mnist::load_set(DataSet::Fashion, &settings));
    assert!(text.contains("data folder (MNIST_KIT_FASHION)"), "{text}");
    assert!(text.contains("no training images"), "{text}");
}

#[test]
fn qmnist_has_labels_of_eight_integers() {
    let cache = tempdir().unwrap();
    let labels = |count: u8| {
        let header = [0, 0, 12, 2, 0, 0, 0, count, 0, 0, 0, 8];
        let row = |label: u8| [[0, 0, 0, label], [0; 4], [0; 4], [0, 1, 2, 3]].concat();
        let row = |label: u8| [row(label), vec![9; 16]].concat();
        gzip(&[header.to_vec(), (0..count).flat_map(|i| row(i % 10)).collect()].concat())
    };
    let [train, _, test, _] = small_set();
    let files = vec![
        ("qmnist-train-images-idx3-ubyte.gz".to_string(), gzip(&train)),
        ("qmnist-train-labels-idx2-int.gz".to_string(), labels(30)),
        ("qmnist-test-images-idx3-ubyte.gz".to_string(), gzip(&test)),
        ("qmnist-test-labels-idx2-int.gz".to_string(), labels(12)),
    ];
    let server = Server::with_files(files.clone());
    let mut settings = cache_only(cache.path());
    settings.qmnist = location(&server.url, &files);
    let check = |qmnist: Mnist| {
        assert_eq!((qmnist.train.len(), qmnist.test.len()), (30, 12));
        assert_eq!(qmnist.train.get(19).unwrap().1, 9);
        assert_eq!(qmnist.test.class_name(9), "9");
    };
    check(Mnist::load_set(DataSet::Qmnist, &settings).unwrap());
    check(Mnist::from_dir(cache.path().join("qmnist")).unwrap());
}

/// A zip archive with these deflated entries.
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        let deflated = encoder.finish().unwrap();
        let mut crc = Crc::new();
        crc.update(content);
        let mut fields = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        for number in [crc.sum(), deflated.len() as u32, content.len() as u32, name.len() as u32] {
            fields.extend(number.to_le_bytes());
        }
        let offset = file.len() as u32;
        file.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), &deflated].concat());
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &fields, &[0; 10]].concat());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, size, offset) = (entries.len() as u16, directory.len() as u32, file.len() as u32);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend([size.to_le_bytes(), offset.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

/// A picture of the letter F, which looks different from its transpose.
const F: [&str; 7] = [".......", ".####..", ".#.....", ".###...", ".#.....", ".#.....", "......."];

/// Images of F as EMNIST stores them: column after column, labels from `first`.
fn emnist_files(prefix: &str, first: u8) -> Vec<(String, Vec<u8>)> {
    let pixel = |row: usize, column: usize| if F[row].as_bytes()[column] == b'#' { 255 } else { 0 };
    let stored: Vec<u8> =
        (0..7).flat_map(|column| (0..7).map(move |row| pixel(row, column))).collect();
    let files = |split: &str, count: u8| {
        let labels: Vec<u8> = (0..count).map(|i| first + i % 26).collect();
        [
            (
                format!("{prefix}{split}-images-idx3-ubyte.gz"),
                gzip(&idx(&[count.into(), 7, 7], &stored.repeat(count.into()))),
            ),
            (format!("{prefix}{split}-labels-idx1-ubyte.gz"), gzip(&idx(&[count.into()], &labels))),
        ]
    };
    [files("train", 52), files("test", 26)].concat()
}

fn expect_upright_letters(letters: &Mnist) {
    let (image, label) = letters.train.get(5).unwrap();
    assert_eq!(letters.train.class_name(label), "f");
    let rows: Vec<String> = (0..7)
        .map(|row| {
            let row = Vec::<u8>::try_from(image.select(1, row).flatten(0, -1)).unwrap();
            row.iter().map(|&pixel| if pixel == 0 { '.' } else { '#' }).collect()
        })
        .collect();
    assert_eq!(rows, F);
    assert_eq!(letters.train.num_classes(), 26);
    assert_eq!(letters.test.class_counts().unwrap().counts(), [1; 26]);
}

#[test]
fn emnist_comes_from_one_archive_upright_and_with_labels_from_0() {
    let cache = tempdir().unwrap();
    let entries = [
        emnist_files("gzip/emnist-letters-", 1),
        emnist_files("gzip/emnist-byclass-", 36),
        emnist_files("gzip/emnist-digits-", 0),
    ]
    .concat();
    let files = vec![("gzip.zip".to_string(), zip(&entries))];
    let server = Server::with_files(files.clone());
    let mut settings = cache_only(cache.path());
    settings.emnist = location(&server.url, &files);
    expect_upright_letters(&Mnist::load_set(LETTERS, &settings).unwrap());
    let by_class = Mnist::load_set(DataSet::Emnist(EmnistSplit::ByClass), &settings).unwrap();
    assert_eq!(by_class.train.class_name(by_class.train.get(0).unwrap().1), "a");
    assert_eq!(server.requests(), ["gzip.zip"], "one download for all splits");
    let text = message(Mnist::load_set(DataSet::Emnist(EmnistSplit::Balanced), &settings));
    assert!(text.contains("gzip/emnist-balanced-train-images-idx3-ubyte.gz: not in"), "{text}");
    let text = message(Mnist::load_set(DataSet::Emnist(EmnistSplit::Digits), &settings));
    assert!(text.contains("label 10 at index 10, expected 0 to 9: EMNIST digits has"), "{text}");
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn a_folder_of_emnist_is_recognized_by_the_names_of_its_files() {
    let folder = tempdir().unwrap();
    write(folder.path(), &emnist_files("emnist-letters-", 1));
    expect_upright_letters(&Mnist::from_dir(folder.path()).unwrap());
    let mut settings = cache_only(folder.path());
    settings.mnist.folder = Some(folder.path().to_path_buf());
    expect_upright_letters(&Mnist::load_with(&settings).unwrap());

    // Other splits may lie beside, if the split is asked for by name.
    write(folder.path(), &emnist_files("emnist-mnist-", 0));
    assert!(message(Mnist::from_dir(folder.path())).contains("more than one data set"));
    settings.emnist.folder = Some(folder.path().to_path_buf());
    expect_upright_letters(&Mnist::load_set(LETTERS, &settings).unwrap());

    let folder = tempdir().unwrap();
    write(folder.path(), &emnist_files("emnist-letters-", 0));
    let text = message(Mnist::from_dir(folder.path()));
    assert!(text.contains("label 0 at index 0, expected 1 to 26: EMNIST letters has 26"), "{text}");
}
