use crate::common::message;
use crate::{Reader, known};
use anyhow::Result;
use mnist_kit::data::Mnist;
use mnist_kit::eval::evaluate;
use mnist_kit::model::{Mlp, MlpConfig};
use mnist_kit::transform::Compose;
use tch::{Device, nn};

#[test]
fn known_predictions_are_counted_right() -> Result<()> {
    let evaluation = evaluate(&Reader, &known()?)?;
    assert_eq!((evaluation.accuracy(), evaluation.accuracy_percent()), (0.6, 60.0));
    assert_eq!(evaluation.confusion_matrix()?.counts(), [[1, 0, 0], [1, 1, 0], [0, 1, 1]]);
    let by_class = evaluation.confusion_matrix()?.per_class_accuracy();
    assert_eq!(by_class, [Some(1.0), Some(0.5), Some(0.5)]);
    assert_eq!(evaluation.confusion_matrix()?.top_mistakes(1), [(1, 0, 1)]);
    let mistakes = evaluation.mistakes()?;
    assert_eq!(mistakes.first(9)?.iter().map(|sample| sample.index).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(mistakes.most_confident(1)?[0].index, 4);
    assert_eq!(evaluation.correct()?.get(2)?.index, 2);
    assert!(message(mistakes.get(2)).contains("there are 2"));
    assert_eq!(evaluation.top_k_accuracy(3)?, 1.0);
    assert!(message(evaluation.top_k_accuracy(4)).contains("expected 1 to 3"));
    assert!(mistakes.get(0)?.top(1)[0].1 > 0.9);
    Ok(())
}

#[test]
fn predictions_matrix_and_tables_write_the_names_of_the_classes() -> Result<()> {
    let batches = known()?;
    let split = batches.split().clone().with_class_names(["Shirt", "Dress", "Bag"])?;
    let batches = split.batches(2)?.transform(&Compose::new().to_tensor());
    let evaluation = evaluate(&Reader, &batches)?;
    let wrong = evaluation.mistakes()?.get(1)?;
    assert_eq!((wrong.truth_name(), wrong.predicted_name()), ("Bag".into(), "Dress".into()));
    assert_eq!(wrong.class_names, ["Shirt", "Dress", "Bag"]);
    let matrix = evaluation.confusion_matrix()?;
    assert_eq!(matrix.class_names(), ["Shirt", "Dress", "Bag"]);
    for table in [matrix.table(), matrix.per_class_table(), matrix.top_mistakes_table(2)] {
        assert!(table.to_string().contains("Dress"), "{table}");
    }
    Ok(())
}

#[test]
fn what_is_shown_is_displayed_with_percentages() -> Result<()> {
    let evaluation = evaluate(&Reader, &known()?)?;
    assert!(evaluation.to_string().contains("60.00 %"), "{evaluation}");
    let matrix = evaluation.confusion_matrix()?;
    assert!(matrix.to_string().starts_with("true \\ predicted  0  1  2\n"), "{matrix}");
    assert!(matrix.per_class_table().to_string().contains("100.00 %"));
    Ok(())
}

#[test]
fn what_cannot_be_evaluated_is_refused() -> Result<()> {
    let digits = Mnist::generated(3, 100, 20)?;
    let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 8)?;
    let nothing = digits.train.head(0).batches(10)?;
    assert!(message(evaluate(&model, &nothing)).contains("no images to predict"));
    let two = MlpConfig::default().classes(2).build(nn::VarStore::new(Device::Cpu).root())?;
    assert!(message(evaluate(&two, &batches)).contains("is not among the model's 2 classes"));
    Ok(())
}

#[test]
fn what_is_made_of_generated_digits_says_so() -> Result<()> {
    let digits = Mnist::generated(3, 100, 20)?;
    let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
    let vs = nn::VarStore::new(Device::Cpu);
    let evaluation = evaluate(&Mlp::new(vs.root(), 8)?, &batches)?;
    let matrix = evaluation.confusion_matrix()?;
    for table in [
        digits.table(),
        digits.train.class_counts()?.table(),
        evaluation.table(),
        matrix.table(),
        matrix.per_class_table(),
        matrix.top_mistakes_table(3),
    ] {
        assert!(table.to_string().contains("generated digits (not MNIST)"), "{table}");
    }
    Ok(())
}
