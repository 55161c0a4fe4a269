//! The IDX reader: files that it takes, and damaged ones that it refuses.

use crate::common::{memory, message};
use crate::fixture::{gzip, idx};
use flate2::{Compression, write::GzEncoder};
use mnist_kit::data::{read_images, read_labels};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use tempfile::tempdir;

/// The outcome of reading these bytes as images and as labels: shapes or messages.
fn read(bytes: &[u8]) -> [Result<Vec<i64>, String>; 2] {
    let folder = tempdir().unwrap();
    let path = folder.path().join("some-file");
    fs::write(&path, bytes).unwrap();
    [read_images(&path), read_labels(&path)]
        .map(|outcome| outcome.map(|tensor| tensor.size()).map_err(|error| format!("{error:#}")))
}

fn images_error(bytes: &[u8]) -> String {
    let message = read(bytes)[0].clone().unwrap_err();
    assert!(message.contains("some-file: "), "{message}");
    message
}

#[test]
fn images_of_any_size_are_read_in_order_gzipped_or_not() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("images.gz");
    let pixels: Vec<u8> = (0..2 * 3 * 5).collect();
    let file = idx(&[2, 3, 5], &pixels);
    // The name says gzip both times; the content decides.
    for content in [file.clone(), gzip(&file)] {
        fs::write(&path, content).unwrap();
        let images = read_images(&path).unwrap();
        assert_eq!((images.size(), images.kind()), (vec![2, 1, 3, 5], tch::Kind::Uint8));
        assert_eq!(Vec::<u8>::try_from(images.flatten(0, -1)).unwrap(), pixels);
    }
}

#[test]
fn labels_are_int64() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("labels");
    fs::write(&path, idx(&[4], &[0, 9, 200, 255])).unwrap();
    let labels = read_labels(&path).unwrap();
    assert_eq!(labels.kind(), tch::Kind::Int64);
    assert_eq!(Vec::<i64>::try_from(labels).unwrap(), [0, 9, 200, 255]);
}

#[test]
fn labels_of_qmnist_are_the_first_of_eight_integers() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("labels");
    let header = |rows: u8, columns: u8| [0, 0, 12, 2, 0, 0, 0, rows, 0, 0, 0, columns];
    let row = |label: i32| [label, 4, 12, 99_999, 1, 2, 3, 4].map(i32::to_be_bytes).concat();
    let write = |header: &[u8], rows: &[i32]| {
        let rows: Vec<u8> = rows.iter().flat_map(|&label| row(label)).collect();
        fs::write(&path, [header, &rows].concat()).unwrap();
        read_labels(&path)
    };
    let labels = write(&header(3, 8), &[7, 0, 9]).unwrap();
    assert_eq!(Vec::<i64>::try_from(labels).unwrap(), [7, 0, 9]);
    let text = |result: anyhow::Result<tch::Tensor>| format!("{:#}", result.unwrap_err());
    let message = text(write(&header(2, 8), &[7, -1]));
    assert!(message.contains("label -1 at index 1, expected 0 to 255"), "{message}");
    assert!(text(write(&header(3, 8), &[7, 0])).contains("ends after 64 of the 96 bytes"));
    assert!(text(write(&header(3, 0), &[])).contains("rows of 0 integers"));
}

#[test]
fn empty_sets_are_sets() {
    assert_eq!(read(&idx(&[0, 28, 28], &[]))[0], Ok(vec![0, 1, 28, 28]));
    assert_eq!(read(&idx(&[0], &[]))[1], Ok(vec![0]));
}

#[test]
fn messages_say_what_was_found_and_expected() {
    let images = idx(&[2, 3, 5], &[7; 30]);
    let cases = [
        (&b""[..], "ends inside its header"),
        (&images[..9], "ends inside its header"),
        (&images[..45], "ends after 29 of the 30 bytes that its header declares (2×3×5)"),
        (&[&images[..], &[0]].concat(), "more follows the 30 bytes"),
        (&idx(&[3], &[1, 2, 3]), "expected 0x00000803 (images in IDX format); these are labels"),
        (b"<html></html>", "starts with 0x3c68746d, expected 0x00000803"),
        (&idx(&[2, 0, 5], &[]), "images of 0×5 pixels"),
        (&idx(&[0, u32::MAX, u32::MAX], &[]), "images of 4294967295×4294967295 pixels"),
        (&gzip(&images)[..30], "some-file: "),
        (&[&gzip(&images)[..], b"trailing"].concat(), "damaged"),
    ];
    for (bytes, expected) in cases {
        let message = images_error(bytes);
        assert!(message.contains(expected), "{message}");
    }
    let message = read(&images)[1].clone().unwrap_err();
    assert!(message.contains("these are images: the files are swapped"), "{message}");
    let missing = read_labels("no/such/file").unwrap_err();
    assert!(format!("{missing:#}").starts_with("no/such/file: cannot be read: "));
}

#[test]
fn a_header_that_declares_more_than_there_is_memory_costs_nothing() {
    assert!(images_error(&idx(&[u32::MAX; 3], &[1, 2])).contains("no memory holds"));
    assert!(images_error(&idx(&[u32::MAX, 28, 28], &[1, 2])).contains("ends after 2 of"));
}

#[test]
fn every_truncation_is_an_error() {
    for whole in [idx(&[3, 4, 4], &[9; 48]), gzip(&idx(&[3, 4, 4], &[9; 48]))] {
        assert!(read(&whole)[0].is_ok());
        for end in 0..whole.len() {
            assert!(read(&whole[..end])[0].is_err(), "{end} of {} bytes", whole.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_files_never_panic_and_never_change_their_size(
        count in 0u32..4, height in 1u32..5, width in 1u32..5, zipped: bool,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let whole = idx(&[count, height, width], &vec![5; (count * height * width) as usize]);
        let mut bytes = if zipped { gzip(&whole) } else { whole };
        for (index, byte) in mutations {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let [Ok(shape), _] = read(&bytes) {
            prop_assert_eq!(shape.iter().product::<i64>(), i64::from(count * height * width));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
        let _ = read(&[&[0, 0, 8, 3][..], &bytes].concat());
        let _ = read(&[&[0x1f, 0x8b][..], &bytes].concat());
    }
}

#[test]
fn an_archive_that_expands_out_of_proportion_is_refused_before_it_is_unpacked() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    // A million images of zeros: 784 MB in 0.8 MB of gzip members.
    let mut zeros = GzEncoder::new(Vec::new(), Compression::best());
    zeros.write_all(&vec![0; 1 << 20]).unwrap();
    let megabyte = zeros.finish().unwrap();
    let mut file = gzip(&idx(&[1_000_000, 28, 28], &[]));
    (0..748).for_each(|_| file.extend(&megabyte));
    fs::write(&path, file).unwrap();
    let before = memory("VmHWM");
    let text = message(read_images(&path));
    assert!(text.contains("train-images-idx3-ubyte.gz: ") && text.contains("784000000"), "{text}");
    assert!(text.contains("unpack it yourself"), "{text}");
    assert!(memory("VmHWM") - before < 300 << 20);
    // A small file may be as even as it likes.
    fs::write(&path, gzip(&idx(&[50_000, 28, 28], &vec![0; 39_200_000]))).unwrap();
    assert_eq!(read_images(&path).unwrap().size(), [50_000, 1, 28, 28]);
}
