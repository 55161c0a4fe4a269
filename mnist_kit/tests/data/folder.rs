//! Folders of four IDX files: spellings of the names, and messages if the files do not fit.

use crate::fixture::{NAMES, gzip, idx, small_set, write_set};
use mnist_kit::data::{Mnist, Settings, Source};
use std::fs;
use tempfile::tempdir;

/// The message of a folder that does not load.
fn error(files: &[(&str, Vec<u8>)]) -> String {
    let folder = tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    format!("{:#}", Mnist::from_dir(folder.path()).unwrap_err())
}

#[test]
fn every_spelling_of_the_names_loads() {
    let spellings = [
        NAMES,
        [
            "train-images.idx3-ubyte",
            "train-labels.idx1-ubyte",
            "t10k-images.idx3-ubyte",
            "t10k-labels.idx1-ubyte",
        ],
        [
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "test-images-idx3-ubyte",
            "test-labels-idx1-ubyte",
        ],
        [
            "qmnist-train-images-idx3-ubyte",
            "qmnist-train-labels-idx1-ubyte",
            "qmnist-test-images-idx3-ubyte",
            "qmnist-test-labels-idx1-ubyte",
        ],
    ];
    for names in spellings {
        for zipped in [false, true] {
            let folder = tempdir().unwrap();
            if zipped {
                let zipped = names.map(|name| format!("{name}.gz"));
                let names = zipped.each_ref().map(String::as_str);
                write_set(folder.path(), names, &small_set().map(|content| gzip(&content)));
            } else {
                write_set(folder.path(), names, &small_set());
            }
            fs::write(folder.path().join("README.md"), "not an IDX file").unwrap();
            let mnist = Mnist::from_dir(folder.path()).unwrap();
            assert_eq!((mnist.train.len(), mnist.test.len()), (30, 12), "{names:?}");
            assert_eq!(mnist.source(), &Source::Folder(folder.path().to_path_buf()));
        }
    }
}

#[test]
fn an_archive_beside_its_unpacked_file_is_no_second_set() {
    let folder = tempdir().unwrap();
    write_set(folder.path(), NAMES, &small_set());
    fs::write(folder.path().join("train-images-idx3-ubyte.gz"), "broken archive").unwrap();
    assert_eq!(Mnist::from_dir(folder.path()).unwrap().train.len(), 30);
}

#[test]
fn sizes_are_the_files_own() {
    let folder = tempdir().unwrap();
    let contents =
        [idx(&[2, 3, 5], &[1; 30]), idx(&[2], &[1, 9]), idx(&[0, 3, 5], &[]), idx(&[0], &[])];
    write_set(folder.path(), NAMES, &contents);
    let mnist = Mnist::from_dir(folder.path()).unwrap();
    assert_eq!(mnist.train.image_shape(), [1, 3, 5]);
    assert!(mnist.test.is_empty());
    assert_eq!(mnist.table().rows()[1], ["test", "0", "1×3×5", "10"]);
}

#[test]
fn two_sets_in_one_folder_are_listed() {
    let names = ["emnist-letters-train-images-idx3-ubyte", "emnist-mnist-train-images-idx3-ubyte"];
    let message = error(&names.map(|name| (name, vec![])));
    assert!(message.contains("more than one data set"), "{message}");
    assert!(names.iter().all(|name| message.contains(name)), "{message}");
}

#[test]
fn missing_and_mismatched_files_are_named() {
    let [images, labels, test_images, test_labels] = small_set();
    let train = [(NAMES[0], images.clone()), (NAMES[1], labels.clone())];
    assert!(error(&[]).contains("there is no IDX file at all"));
    let message = error(&train);
    assert!(
        message.contains("no test images; expected a file t10k-images-idx3-ubyte"),
        "{message}"
    );
    assert!(message.contains(NAMES[1]), "{message}");
    let all = |replaced: usize, content: Vec<u8>| {
        let mut contents = small_set();
        contents[replaced] = content;
        error(&[0, 1, 2, 3].map(|i| (NAMES[i], contents[i].clone())))
    };
    assert!(all(1, test_labels).contains("train: 30 images but 12 labels"));
    assert!(
        all(2, idx(&[12, 3, 3], &[0; 108]))
            .contains("training images are 1×28×28, test images 1×3×3")
    );
    assert!(all(3, test_images).contains("these are images: the files are swapped"));
    let missing = Mnist::from_dir("no/such/folder").unwrap_err();
    assert!(format!("{missing:#}").starts_with("no/such/folder: cannot be listed"));
}

#[test]
fn a_data_folder_that_cannot_be_used_is_an_error_though_the_cache_is_good() {
    let folder = tempdir().unwrap();
    write_set(&folder.path().join("mnist"), NAMES, &small_set());
    let mut settings = crate::fixture::settings(folder.path(), &[]);
    settings.mnist.folder = Some("no/such/folder".into());
    let message = Mnist::load_with(&settings).unwrap_err().to_string();
    assert!(message.contains("MNIST_KIT_DATA") && message.contains("no/such/folder"), "{message}");
    settings.mnist.folder = Some(folder.path().join("mnist"));
    let mnist = Mnist::load_with(&settings).unwrap();
    assert_eq!(mnist.source(), &Source::Folder(folder.path().join("mnist")));
}

#[test]
fn quick_mode_keeps_a_slice_and_says_so() {
    let folder = tempdir().unwrap();
    let contents = [
        idx(&[2500, 2, 2], &[1; 10_000]),
        idx(&[2500], &[3; 2500]),
        idx(&[400, 2, 2], &[2; 1600]),
        idx(&[400], &[4; 400]),
    ];
    write_set(folder.path(), NAMES, &contents);
    let mut settings = Settings { quick: true, ..Settings::default() };
    settings.mnist.folder = Some(folder.path().to_path_buf());
    let mnist = Mnist::load_with(&settings).unwrap();
    assert_eq!((mnist.train.len(), mnist.test.len()), (2000, 400));
    let text = format!("quick mode: a slice of folder {}", folder.path().display());
    assert_eq!(mnist.source().to_string(), text);
    assert!(!mnist.is_generated());
    assert_eq!(mnist.quick_or(1, 10), 1);
}
