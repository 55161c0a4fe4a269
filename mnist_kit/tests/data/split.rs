//! Splits: names that stay with the images, text, and tch's own form of a data set.

use crate::common::message;
use mnist_kit::data::{Mnist, Split};
use tch::vision::dataset::Dataset;
use tch::{Device, Kind, Tensor};

const WORDS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

fn named() -> Split {
    Mnist::generated(7, 100, 10).unwrap().train.with_class_names(WORDS).unwrap()
}

#[test]
fn names_stay_with_every_part_of_a_split() {
    let split = named();
    let images = Tensor::zeros([100, 3, 2, 2], (Kind::Float, Device::Cpu));
    let parts = [
        split.head(5),
        split.select(&[3, 1]).unwrap(),
        split.with_images(images).unwrap(),
        split.stratified(&[("part", 20)], 1).unwrap().remove(0),
        split.first_of_each_class().unwrap(),
        split.clone().with_note(Some("a note".to_string())),
        split.batches(10).unwrap().in_order().split().clone(),
    ];
    for part in parts {
        assert_eq!(part.class_names(), WORDS);
        assert_eq!(part.class_name(3), "three");
    }
    assert_eq!(split.class_counts().unwrap().class_names(), WORDS);
    assert_eq!((split.class_name(-1), split.class_name(10)), ("?", "?"));
}

#[test]
fn names_have_to_fit_the_classes() {
    let wrong = message(named().with_class_names(["a", "b"]));
    assert!(wrong.contains("2 names for 10 classes"), "{wrong}");
    let wrong = message(named().with_class_names(WORDS.map(|word| word.replace("three", " "))));
    assert!(wrong.contains("the name of class 3 is empty"), "{wrong}");
    let images = Tensor::zeros([0, 1, 2, 2], (Kind::Uint8, Device::Cpu));
    let labels = || Tensor::zeros([0], (Kind::Int64, Device::Cpu));
    for num_classes in [-1, 100_001, i64::MAX] {
        let wrong = message(Split::new("many", images.shallow_clone(), labels(), num_classes));
        assert!(wrong.contains("classes, expected 0 to 100000"), "{wrong}");
    }
}

#[test]
fn shown_values_have_text() {
    let split = named().with_note(Some("generated".to_string()));
    assert_eq!(split.to_string(), "train: 100 images of 1×28×28, 10 classes — generated");
    let counts = split.class_counts().unwrap();
    assert_eq!(counts.to_string(), counts.table().to_string());
    assert!(counts.to_string().contains("three      10  "), "{counts}");
}

#[test]
fn a_set_goes_to_tch_and_back() {
    let mnist = Mnist::generated(7, 100, 10).unwrap();
    let dataset = Dataset::try_from(mnist.clone()).unwrap();
    assert_eq!((dataset.train_images.size(), dataset.labels), (vec![100, 784], 10));
    assert_eq!(dataset.test_images.kind(), Kind::Float);
    let pixel = mnist.train.images().to_kind(Kind::Float).max() / 255.0;
    assert_eq!(dataset.train_images.max(), pixel);
    let back = Mnist::try_from(dataset).unwrap();
    assert_eq!(back.train.images(), mnist.train.images());
    assert_eq!(back.test.labels(), mnist.test.labels());
    assert_eq!(back.train.num_classes(), 10);
    assert_eq!(back.source().to_string(), "tensors of tch's Dataset");
}

#[test]
fn tensors_that_are_no_images_are_refused() {
    let dataset = |images: Tensor| Dataset {
        train_images: images.shallow_clone(),
        train_labels: Tensor::zeros([images.size()[0]], (Kind::Int64, Device::Cpu)),
        test_images: images.shallow_clone(),
        test_labels: Tensor::zeros([images.size()[0]], (Kind::Int64, Device::Cpu)),
        labels: 10,
    };
    let float = (Kind::Float, Device::Cpu);
    let refusal = |images: Tensor| message(Mnist::try_from(dataset(images)));
    assert!(refusal(Tensor::zeros([2, 783], float)).contains("rows of 783 pixels"));
    assert!(refusal(Tensor::zeros([2, 2, 4], float)).contains("shape [2, 2, 4]"));
    assert!(refusal(Tensor::full([2, 4], 255, float)).contains("pixels outside of 0 to 1"));
    assert!(refusal(Tensor::full([2, 4], f64::NAN, float)).contains("pixels outside of 0 to 1"));
    assert!(
        refusal(Tensor::zeros([2, 4], (Kind::Int64, Device::Cpu))).contains("pixels are Int64")
    );
    let color = Mnist::try_from(dataset(Tensor::ones([2, 3, 4, 5], float))).unwrap();
    assert_eq!(color.train.image_shape(), [3, 4, 5]);
}

#[test]
fn parts_of_any_size_are_refused_without_overflow() {
    let split = named();
    for size in [101, usize::MAX / 10, usize::MAX] {
        let wrong = message(split.stratified(&[("part", size)], 1));
        assert!(wrong.contains(&format!("for the {size} of part")), "{wrong}");
    }
}

#[test]
fn tensors_without_a_value_are_refused() {
    let images = || Tensor::zeros([2, 1, 2, 2], (Kind::Uint8, Device::Cpu));
    let labels = || Tensor::zeros([2], (Kind::Int64, Device::Cpu));
    let wrong = message(Split::new("mine", Tensor::new(), labels(), 10));
    assert!(wrong.contains("images are undefined"), "{wrong}");
    let wrong = message(Split::new("mine", images(), Tensor::new(), 10));
    assert!(wrong.contains("labels are undefined"), "{wrong}");
}
