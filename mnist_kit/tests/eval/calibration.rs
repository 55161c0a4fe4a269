use crate::common::message;
use crate::{Reader, known};
use anyhow::Result;
use mnist_kit::eval::{Bins, Reliability, evaluate};

#[test]
fn bins_of_equal_width_and_of_equal_mass() -> Result<()> {
    let confidences = [0.05, 0.1, 0.5, 0.55, 0.95, 1.0];
    let correct = [false, true, true, false, true, true];
    let width = Reliability::new(&confidences, &correct, Bins::EqualWidth(10))?;
    let counts: Vec<usize> = width.bins().iter().map(|bin| bin.count).collect();
    assert_eq!(counts, [1, 1, 0, 0, 0, 2, 0, 0, 0, 2], "0.1 opens a bin, 1.0 is in the last");
    assert_eq!(width.bins()[5].accuracy, 0.5);
    assert_eq!(width.table().rows().len(), 4, "empty bins are left out");
    assert!(width.to_string().contains("50.00 %"), "{width}");
    let mass = Reliability::new(&confidences, &correct, Bins::EqualMass(4))?;
    let counts: Vec<usize> = mass.bins().iter().map(|bin| bin.count).collect();
    assert_eq!(counts, [1, 2, 1, 2]);
    assert_eq!(mass.bins()[3].range, (0.95, 1.0));
    for (confidences, correct, bins) in [
        (&[0.5][..], &[true, false][..], Bins::EqualWidth(10)),
        (&[], &[], Bins::EqualWidth(10)),
        (&[1.5], &[true], Bins::EqualWidth(10)),
        (&[f64::NAN], &[true], Bins::EqualMass(10)),
        (&[0.5], &[true], Bins::EqualMass(0)),
        (&[0.5], &[true], Bins::EqualWidth(usize::MAX)),
    ] {
        assert!(Reliability::new(confidences, correct, bins).is_err(), "{confidences:?}");
    }
    Ok(())
}

#[test]
fn a_temperature_changes_confidences_and_no_prediction() -> Result<()> {
    let evaluation = evaluate(&Reader, &known()?)?;
    let cooled = evaluation.with_temperature(5.0)?;
    assert_eq!(cooled.accuracy(), evaluation.accuracy());
    assert!(cooled.confidences()?.0[0] < evaluation.confidences()?.0[0]);
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(message(evaluation.with_temperature(wrong)).contains("temperature"));
    }
    Ok(())
}
