//! The Hugging Face layout, written by pyarrow and Pillow.

use crate::common::run_python;
use mnist_kit::data::{Mnist, Source};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::fs;
use tempfile::{TempDir, tempdir};

/// A folder of shards from the Python script, `None` if Python is missing and may be.
fn shards(case: Option<&str>) -> Option<TempDir> {
    let folder = tempdir().unwrap();
    let path = folder.path().to_str().expect("a UTF-8 path");
    let args: Vec<&str> = [Some(path), case].into_iter().flatten().collect();
    run_python("make_parquet.py", &args).then_some(folder)
}

fn pixels(index: i64) -> Vec<u8> {
    let pixel = |row: i64, column: i64| ((31 * index + 7 * row + 3 * column) % 256) as u8;
    (0..28).flat_map(|row| (0..28).map(move |column| pixel(row, column))).collect()
}

#[test]
fn shards_load_in_order_with_their_pixels() {
    for case in [None, Some("color")] {
        let Some(folder) = shards(case) else { return };
        let mnist = Mnist::from_parquet_dir(folder.path()).unwrap();
        assert_eq!(mnist.train.images().size(), [23, 1, 28, 28]);
        assert_eq!(mnist.test.images().size(), [8, 1, 28, 28]);
        assert_eq!(mnist.train.num_classes(), 10);
        assert_eq!(mnist.source(), &Source::Parquet(folder.path().to_path_buf()));
        for (split, first) in [(&mnist.train, 0), (&mnist.test, 100)] {
            for index in 0..split.len() {
                let (image, label) = split.get(index).unwrap();
                let number = first + index as i64;
                assert_eq!(label, number % 10);
                assert_eq!(Vec::<u8>::try_from(image.flatten(0, -1)).unwrap(), pixels(number));
            }
        }
    }
}

#[test]
fn wrong_shards_are_named_with_row_and_column() {
    for (case, expected) in [
        ("broken-png", "row 7: the image is not a readable PNG"),
        ("mixed-sizes", "row 7: an image of 20×28 pixels, the first has 28×28"),
        ("null-image", "row 7: column image.bytes is null"),
        ("null-label", "row 7: column label is null"),
        ("label-range", "row 7: label -1, expected 0 to 9"),
        ("no-label", "no column label; there are image.bytes, image.path, digit"),
        ("no-image", "no column image.bytes; there are image, label"),
        ("text-label", "column label is BYTE_ARRAY, expected one INT64"),
    ] {
        let Some(folder) = shards(Some(case)) else { return };
        let message = format!("{:#}", Mnist::from_parquet_dir(folder.path()).unwrap_err());
        assert!(message.contains(expected), "{case}: {message}");
        assert!(message.contains("train-00001-of-00002.parquet"), "{case}: {message}");
    }
}

#[test]
fn folders_without_shards_and_files_that_are_no_parquet_are_errors() {
    let folder = tempdir().unwrap();
    let load = || format!("{:#}", Mnist::from_parquet_dir(folder.path()).unwrap_err());
    assert!(load().contains("no file train-*.parquet"));
    fs::write(folder.path().join("train-0.parquet"), "PAR1 but not really").unwrap();
    assert!(load().contains("no file test-*.parquet"));
    fs::write(folder.path().join("test-0.parquet"), "").unwrap();
    assert!(load().contains("train-0.parquet: "));
}

/// Bytes changed anywhere, also in the footer, give an error or another picture, never a panic.
#[test]
fn mutated_shards_never_panic() {
    let Some(folder) = shards(None) else { return };
    let [train, test] = ["train-00000-of-00002.parquet", "test-00000-of-00001.parquet"]
        .map(|name| folder.path().join(name));
    let (whole, mutated) = (fs::read(&train).unwrap(), folder.path().join("mutated.parquet"));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(500));
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let outcome = runner.run(&changes, |changes| {
        let mut bytes = whole.clone();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        fs::write(&mutated, &bytes).unwrap();
        let _ = Mnist::from_parquet(&[&mutated], &[&test]);
        Ok(())
    });
    outcome.unwrap();
    for end in 0..whole.len() {
        fs::write(&mutated, &whole[..end]).unwrap();
        assert!(Mnist::from_parquet(&[&mutated], &[&test]).is_err(), "{end} bytes");
    }
}

#[test]
fn class_names_come_from_the_feature_or_from_a_file() {
    let Some(folder) = shards(Some("names")) else { return };
    let load = || Mnist::from_parquet_dir(folder.path());
    assert_eq!(load().unwrap().train.class_name(3), "three");
    fs::write(folder.path().join("classes.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
    assert_eq!(load().unwrap().train.class_name(3), "d");
    fs::write(folder.path().join("classes.txt"), "a\nb\n").unwrap();
    let message = format!("{:#}", load().unwrap_err());
    assert!(message.contains("row 2: label 2, expected 0 to 1: classes.txt names 2"), "{message}");
}
