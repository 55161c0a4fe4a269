//! MNIST itself, from the folder `MNIST_KIT_DATA`.

use crate::common::mnist_folder;
use mnist_kit::data::{Mnist, Settings, Source};
use std::process::Command;
use std::{env, fs};
use tempfile::tempdir;

#[test]
fn mnist_has_its_published_sizes_labels_and_classes() {
    let Some(folder) = mnist_folder() else { return };
    let mnist = Mnist::from_dir(folder).unwrap();
    assert_eq!(mnist.train.images().size(), [60_000, 1, 28, 28]);
    assert_eq!(mnist.test.images().size(), [10_000, 1, 28, 28]);
    assert_eq!(mnist.train.get(0).unwrap().1, 5);
    assert_eq!(mnist.test.get(0).unwrap().1, 7);
    assert_eq!(
        mnist.train.class_counts().unwrap().counts(),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    let (mean, std) = mnist.train.mean_std().unwrap();
    assert!((mean - 0.1307).abs() < 5e-5 && (std - 0.3081).abs() < 5e-5, "{mean} {std}");
}

/// Unpacked into a cache, the files match the built-in sums.
#[test]
fn mnist_matches_the_published_sums() {
    let Some(folder) = mnist_folder() else { return };
    let cache = tempdir().unwrap();
    fs::create_dir(cache.path().join("mnist")).unwrap();
    let settings = Settings {
        cache_dir: Some(cache.path().to_path_buf()),
        offline: true,
        ..Settings::default()
    };
    for file in &settings.mnist.files {
        let target = cache.path().join("mnist").join(&file.name);
        let plain = folder.join(&file.name);
        if plain.exists() {
            fs::copy(plain, target).unwrap();
        } else {
            let archive = fs::File::open(folder.join(format!("{}.gz", file.name))).unwrap();
            let mut content = flate2::read::GzDecoder::new(archive);
            std::io::copy(&mut content, &mut fs::File::create(target).unwrap()).unwrap();
        }
    }
    let mnist = Mnist::load_with(&settings).unwrap();
    assert_eq!(mnist.source(), &Source::Cache(cache.path().join("mnist")));
    assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
}

/// Runs in another process for the test below.
#[test]
#[ignore = "a part of another test"]
fn child() {
    println!("\n{}", Mnist::load().unwrap());
}

#[test]
fn load_follows_the_environment() {
    let Some(folder) = mnist_folder() else { return };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "real::child", "--nocapture", "--ignored"])
        .env("MNIST_KIT_DATA", &folder)
        .env("MNIST_KIT_QUICK", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let title = format!("\nquick mode: a slice of folder {}\n", folder.display());
    assert!(text.contains(&title) && text.contains("train   2,000  1×28×28       10"), "{text}");
}
