use crate::common::message;
use mnist_kit::eval::ConfusionMatrix;
use proptest::prelude::*;

#[test]
fn classes_and_names_are_checked() {
    assert!(message(ConfusionMatrix::new(&[], &[], usize::MAX)).contains("10,000 at most"));
    assert!(message(ConfusionMatrix::new(&[0], &[], 2)).contains("1 true classes but 0"));
    assert!(ConfusionMatrix::new(&[0], &[2], 2).is_err());
    assert!(ConfusionMatrix::new(&[-1], &[0], 2).is_err());
    let matrix = ConfusionMatrix::new(&[0], &[1], 2).unwrap();
    let wrong = message(matrix.with_class_names(["Dress"]));
    assert!(wrong.contains("1 names for 2 classes"), "{wrong}");
}

#[test]
fn a_class_without_images_has_no_accuracy() {
    let matrix = ConfusionMatrix::new(&[0], &[0], 2).unwrap();
    assert_eq!(matrix.per_class_accuracy(), [Some(1.0), None]);
    assert_eq!(matrix.per_class_table().rows()[1], ["1", "0", "0", "–"]);
    assert_eq!(matrix.normalized()[1], [0.0, 0.0]);
}

proptest! {
    #[test]
    fn a_confusion_matrix_counts_every_image(
        pairs in proptest::collection::vec((0i64..10, 0i64..10), 0..300),
    ) {
        let (truths, predictions): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let matrix = ConfusionMatrix::new(&truths, &predictions, 10).unwrap();
        let counts = matrix.counts();
        prop_assert_eq!(counts.iter().flatten().sum::<u64>() as usize, pairs.len());
        let correct = pairs.iter().filter(|(truth, predicted)| truth == predicted).count();
        prop_assert_eq!((0..10).map(|class| counts[class][class]).sum::<u64>() as usize, correct);
        let mistakes: u64 = matrix.top_mistakes(100).iter().map(|mistake| mistake.2).sum();
        prop_assert_eq!(mistakes as usize, pairs.len() - correct);
    }
}
