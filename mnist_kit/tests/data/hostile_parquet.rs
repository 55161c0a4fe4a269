//! Parquet files made to exhaust memory or time: each is refused, within a limited amount of both.

use crate::common::{limit_memory, message, run_alone};
use crate::parquet_file::{good, hostile_files};
use mnist_kit::data::Mnist;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
#[ignore = "run by hostile_parquet_files_are_refused in processes of its own"]
fn read_hostile_file() {
    let folder = std::env::var("MNIST_KIT_TEST_FOLDER").unwrap();
    let case = std::env::var("MNIST_KIT_TEST_CASE").unwrap();
    let (_, _, expected) = hostile_files().into_iter().find(|(name, ..)| *name == case).unwrap();
    let path = Path::new(&folder).join(format!("{case}.parquet"));
    limit_memory(300);
    let start = Instant::now();
    let text = message(Mnist::from_parquet(&[&path], &[&path]));
    assert!(text.contains(expected) && text.contains(&format!("{case}.parquet")), "{case}: {text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{case}: {:?}", start.elapsed());
}

#[test]
fn hostile_parquet_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.parquet");
    fs::write(&path, good()).unwrap();
    assert_eq!(Mnist::from_parquet(&[&path], &[&path]).unwrap().train.len(), 1);
    for (name, content, _) in hostile_files() {
        fs::write(folder.path().join(format!("{name}.parquet")), content).unwrap();
        let folder = folder.path().display().to_string();
        run_alone(
            "hostile_parquet::read_hostile_file",
            &[("MNIST_KIT_TEST_FOLDER", &folder), ("MNIST_KIT_TEST_CASE", name)],
        );
    }
}
