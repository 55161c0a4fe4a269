//! Names of classes, and labels that have none.

use crate::fixture::{NAMES, idx, small_set, write_set};
use mnist_kit::data::{DataSet, EmnistSplit, Mnist};
use std::fs;
use tempfile::{TempDir, tempdir};

/// A folder with the small set, its training labels replaced.
fn folder_with_labels(labels: &[u8]) -> TempDir {
    let folder = tempdir().unwrap();
    let mut contents = small_set();
    contents[1] = idx(&[30], labels);
    write_set(folder.path(), NAMES, &contents);
    folder
}

fn message(folder: &TempDir) -> String {
    format!("{:#}", Mnist::from_dir(folder.path()).unwrap_err())
}

#[test]
fn a_label_without_a_class_is_refused_with_file_and_index() {
    let mut labels = [3; 30];
    labels[17] = 10;
    let message = message(&folder_with_labels(&labels));
    let expected = "train-labels-idx1-ubyte: label 10 at index 17, expected 0 to 9: MNIST has 10";
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("add a file classes.txt with one name a line"), "{message}");
}

#[test]
fn a_folder_without_names_has_ten_digits() {
    let mnist = Mnist::from_dir(folder_with_labels(&[1; 30]).path()).unwrap();
    assert_eq!((mnist.train.num_classes(), mnist.test.num_classes()), (10, 10));
    assert_eq!(mnist.train.class_names(), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn a_file_names_the_classes_of_a_folder() {
    let folder = folder_with_labels(&[3; 30]);
    let write = |text: &str| fs::write(folder.path().join("classes.txt"), text).unwrap();
    for text in ["cat\ndog\nT-shirt/top\n송아지\n", "\u{feff}cat\r\n dog \r\nT-shirt/top\r\n송아지"]
    {
        write(text);
        let animals = Mnist::from_dir(folder.path()).unwrap();
        assert_eq!(animals.train.class_names(), ["cat", "dog", "T-shirt/top", "송아지"]);
        assert_eq!(animals.test.class_name(3), "송아지");
        let counts = animals.train.class_counts().unwrap();
        assert_eq!(counts.table().rows()[3][..2], ["송아지", "30"]);
    }
    write("cat\ndog\nmouse\n");
    let expected = "label 3 at index 0, expected 0 to 2: classes.txt names 3 classes";
    assert!(message(&folder).contains(expected), "{}", message(&folder));
    for (text, expected) in [
        ("", "classes.txt: empty, expected one name a line"),
        ("cat\n\ndog\n", "classes.txt: line 2 is empty"),
    ] {
        write(text);
        assert!(message(&folder).contains(expected), "{}", message(&folder));
    }
    fs::write(folder.path().join("classes.txt"), [0xff, 0xfe, 0x00]).unwrap();
    assert!(message(&folder).contains("classes.txt: "), "{}", message(&folder));
}

#[test]
fn published_names_are_torchvisions() {
    let names = |set: DataSet| set.class_names().join(" ");
    assert_eq!(names(DataSet::Kmnist), "o ki su tsu na ha ma ya re wo");
    assert_eq!(
        names(DataSet::Fashion),
        "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Ankle boot"
    );
    let emnist = |split| DataSet::Emnist(split).class_names();
    assert_eq!(emnist(EmnistSplit::ByClass).len(), 62);
    assert_eq!(emnist(EmnistSplit::Letters)[25], "z");
    assert_eq!(emnist(EmnistSplit::Digits), DataSet::Mnist.class_names());
    assert_eq!(
        emnist(EmnistSplit::Balanced).concat(),
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    );
    assert_eq!(emnist(EmnistSplit::ByMerge), emnist(EmnistSplit::Balanced));
}
