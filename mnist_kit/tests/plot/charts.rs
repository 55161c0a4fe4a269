//! Bars, lines, histories, confidence plots and confusion matrices.

use crate::common::message;
use crate::samples::*;
use anyhow::Result;
use mnist_kit::eval::{Bins, ConfusionMatrix, Prediction, Reliability};
use mnist_kit::figure::theme;
use mnist_kit::plot::{
    Bars, GridItem, Lines, class_balance, confidence_histogram, confusion_pair, image_grid,
    prediction_grid,
};
use mnist_kit::train::{EpochRecord, History};
use proptest::prelude::*;
use tch::Kind;

#[test]
fn a_bar_is_as_high_as_its_number() -> Result<()> {
    let bars =
        |heights: [f64; 2]| Bars::new("Class", "Images", ["a", "b"]).series("n", heights).plot();
    let svg = bars([2.0, 0.0])?.to_svg()?;
    assert_eq!(rects(&svg, theme::BLUE), 2);
    assert!(writes(&svg, "a") && writes(&svg, "b") && writes(&svg, "2.0"), "{svg}");
    for wrong in [bars([1.0, -1.0]), bars([f64::NAN, 0.0])] {
        assert!(message(wrong).contains("expected 0 or more"));
    }
    let three = Bars::new("Class", "Images", ["a", "b"]).series("n", [1.0, 2.0, 3.0]).plot();
    assert!(message(three).contains("3 bars for 2 categories"));
    assert!(message(Bars::new("Class", "Images", ["a"]).plot()).contains("add a series"));
    Ok(())
}

#[test]
fn confidence_tells_truth_and_prediction_apart() -> Result<()> {
    // A bar and a key in the legend each; the other eight bars are pale.
    let svg = prediction(3, 5, 10).plot()?.to_svg()?;
    assert_eq!(rects(&svg, theme::BLUISH_GREEN), 2);
    assert_eq!(rects(&svg, theme::VERMILLION), 2);
    assert_eq!(rects(&svg, theme::Color(173, 207, 232)), 8);
    for text in [
        "True label (3)",
        "Predicted (5)",
        "Most probable: 5 (62.50 %), 3 (25.00 %), 0 (1.00 %)",
        "Probability of the true class 3: 25.00 %",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let svg = prediction(3, 3, 10).plot()?.to_svg()?;
    assert_eq!(rects(&svg, theme::BLUISH_GREEN), 2);
    assert!(!svg.contains(&hex(theme::VERMILLION)));
    Ok(())
}

#[test]
fn history_has_two_panels_with_markers() -> Result<()> {
    let svg = history(&[(0.35, 0.90), (0.16, 0.95), (0.11, 0.967)]).plot()?.to_svg()?;
    // Train: a circle for each epoch and one in the legend, in both panels.
    assert_eq!(count(&svg, "<circle "), 8);
    assert_eq!(count(&svg, "<polygon "), 8);
    let labels: Vec<&str> = ["88", "92", "96", "100"].into();
    assert!(labels.iter().all(|label| writes(&svg, label)), "{svg}");
    assert!(!svg.contains("below the axis"));
    // Epochs are whole numbers, and the axis reaches down where an accuracy does.
    assert!(!writes(&svg, "1.5") && !writes(&svg, "60"));
    assert!(writes(&history(&[(2.0, 0.61)]).plot()?.to_svg()?, "60"));

    let mut trained_only = History::new();
    trained_only.push(EpochRecord { val_loss: None, val_accuracy: None, ..record(1, 0.3, 0.9) });
    assert!(!trained_only.plot()?.to_svg()?.contains("Validation"));

    let mut both = History::new();
    both.push(EpochRecord { test_accuracy: Some(0.9), ..record(1, 0.3, 0.9) });
    let svg = both.plot()?.to_svg()?;
    assert!(writes(&svg, "Validation") && writes(&svg, "Test"), "{svg}");
    Ok(())
}

#[test]
fn markers_on_the_border_of_the_data_are_whole() -> Result<()> {
    let ends = [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0)];
    let svg = Lines::new("x", "y").series("a", ends).series("b", ends).plot()?.to_svg()?;
    let height = |line: &str| -> i32 {
        let (_, points) = line.split_once("points=\"").unwrap();
        let points = points.split_once('"').unwrap().0.split_whitespace();
        let ys: Vec<i32> =
            points.map(|point| point.split_once(',').unwrap().1.parse().unwrap()).collect();
        ys.iter().max().unwrap() - ys.iter().min().unwrap()
    };
    let triangles: Vec<i32> =
        svg.lines().filter(|line| line.starts_with("<polygon")).map(height).collect();
    assert_eq!(triangles.len(), 4);
    // Up to one unit, an eighth of a pixel, is rounding.
    assert!(triangles.iter().all(|&height| height.abs_diff(triangles[0]) <= 1), "{triangles:?}");
    Ok(())
}

#[test]
fn confusion_shades_mistakes() -> Result<()> {
    let matrix = ConfusionMatrix::new(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 1, 2], 3)?;
    let svg = matrix.plot()?.to_svg()?;
    assert_eq!(rects(&svg, theme::Color(173, 207, 232)), 3);
    assert_eq!(rects(&svg, theme::Color(95, 30, 5)), 1);
    assert!(writes(&svg, "Mistakes (images)") && writes(&svg, "Confusion matrix"));
    // In percent, 30 and above is the darkest.
    let svg = matrix.plot_normalized()?.to_svg()?;
    assert!(["66.7", "33.3", "100", "≥ 30"].iter().all(|text| writes(&svg, text)));
    assert_eq!(rects(&svg, theme::Color(173, 207, 232)), 3);
    assert_eq!(rects(&svg, theme::Color(95, 30, 5)), 1);
    // A class without images, and a matrix without mistakes.
    let perfect = ConfusionMatrix::new(&[0], &[0], 2)?;
    assert!(perfect.plot()?.to_svg()?.contains("No mistakes"));
    perfect.plot_normalized()?.to_png()?;
    Ok(())
}

#[test]
fn two_matrices_share_a_scale() -> Result<()> {
    let few = ConfusionMatrix::new(&[0, 0, 1], &[0, 1, 1], 2)?.with_title("CNN");
    let many = ConfusionMatrix::new(&[0, 0, 0, 1], &[1, 1, 0, 1], 2)?;
    let svg = confusion_pair(&few, &many)?.to_svg()?;
    // The darkest shade is two mistakes, so the one mistake of the first matrix is paler.
    assert_eq!(rects(&svg, theme::Color(95, 30, 5)), 1);
    assert!(["CNN", "Second", "Mistakes (images)"].iter().all(|text| writes(&svg, text)));
    let other = ConfusionMatrix::new(&[0], &[0], 3)?;
    assert!(message(confusion_pair(&few, &other)).contains("same classes"));
    Ok(())
}

#[test]
fn accuracies_below_the_axis_are_marked() -> Result<()> {
    let svg = history(&[(2.3, 0.167), (0.4, 0.96), (0.2, 0.97), (0.1, 0.98)]).plot()?.to_svg()?;
    assert!(writes(&svg, "below the axis") && !writes(&svg, "50"));
    // In both panels triangles: three of validation and one of the legend in the loss, one less
    // where an arrow marks the first epoch; arrows of both series and one in the legend.
    let triangles = |color: &str| {
        svg.lines().filter(|line| line.starts_with("<polygon") && line.contains(color)).count()
    };
    assert_eq!(triangles(&hex(theme::BLUE)), 1);
    assert_eq!(triangles(&hex(theme::VERMILLION)), 5 + 5);
    Ok(())
}

#[test]
fn equal_series_are_all_visible() -> Result<()> {
    let points = [(0.0, 1.0), (1.0, 0.5), (2.0, 0.1)];
    let lines = Lines::new("Epoch", "Rate").series("a", points).series("b", points);
    let svg = lines.plot()?.to_svg()?;
    let strokes = |theme::Color(red, green, blue): theme::Color| {
        let stroke = format!("stroke=\"#{red:02X}{green:02X}{blue:02X}\"");
        svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(&stroke)).count()
    };
    // A line and its key; the upper one in pieces, through which the lower one is seen.
    assert_eq!(strokes(theme::BLUE), 2);
    assert!(strokes(theme::VERMILLION) > 20);
    Ok(())
}

#[test]
fn class_balance_is_in_fractions() -> Result<()> {
    let (train, test) = (split(100), split(20));
    let svg = class_balance(&[("train", &train), ("test", &test)])?.to_svg()?;
    for text in ["train (100 images)", "test (20 images)", "Images (% of the split)", "10"] {
        assert!(writes(&svg, text), "{text}");
    }
    // Ten bars and a key of each, all of them equally high.
    assert_eq!((rects(&svg, theme::BLUE), rects(&svg, theme::VERMILLION)), (11, 11));
    let heights: std::collections::BTreeSet<&str> = svg
        .lines()
        .filter(|line| line.contains(&hex(theme::BLUE)) || line.contains(&hex(theme::VERMILLION)))
        .filter_map(|line| line.split("height=").nth(1)?.split('"').nth(1))
        .collect();
    assert_eq!(heights.len(), 2, "{heights:?}");
    assert!(message(class_balance(&[])).contains("no splits"));
    assert!(message(class_balance(&[("none", &split(0))])).contains("no images"));
    Ok(())
}

#[test]
fn reliability_counts_its_predictions() -> Result<()> {
    // 200 predictions in the highest bin, 3 and 2 in others: a linear axis would hide these.
    let confidences: Vec<f64> =
        [(0.95, 200), (0.75, 3), (0.55, 2)].iter().flat_map(|&(c, n)| vec![c; n]).collect();
    let right = vec![true; confidences.len()];
    let reliability = Reliability::new(&confidences, &right, Bins::EqualWidth(10))?;
    assert_eq!(reliability.bins().iter().map(|bin| bin.count).sum::<usize>(), 205);
    let svg = reliability.plot()?.to_svg()?;
    for text in ["200", "3", "2", "Predictions (log)", "1", "10", "100"] {
        assert!(writes(&svg, text), "{text}");
    }
    let even = Reliability::new(&[0.95, 0.55], &[true, false], Bins::EqualWidth(10))?;
    assert!(writes(&even.plot()?.to_svg()?, "Predictions"));
    Ok(())
}

#[test]
fn what_cannot_be_drawn_is_explained() -> Result<()> {
    let says =
        |found: String, part: &str| assert!(found.contains(part), "{found:?} lacks {part:?}");
    says(message(image_grid(&split(2), 0, 5)), "0 rows");
    says(message(image_grid(&split(0), 2, 5)), "no images");
    says(message(prediction_grid(&[prediction(1, 1, 2), prediction(1, 1, 2)], 1, 1)), "do not fit");
    says(message(confidence_histogram(&[f64::NAN, 0.5], &[true, false])), "confidence NaN");
    says(message(GridItem::new(&image(2, 4, 4), "")), "[2, 4, 4]");
    says(message(GridItem::new(&image(1, 4, 4).to_kind(Kind::Float), "")), "Float");
    says(message(GridItem::new(&image(1, 0, 4), "")), "no pixels");
    says(message(History::new().plot()), "no epochs");
    says(message(history(&[(f64::NAN, 0.9)]).plot()), "NaN");
    says(message(history(&[(0.3, 97.0)]).plot()), "0 to 1");
    says(message(Lines::new("x", "y").plot()), "add a series");
    says(message(Lines::new("x", "y").series("a", []).plot()), "no points");
    let lines = Lines::new("x", "y").series("a", [(0.0, 1.0)]);
    says(message(lines.clone().logarithmic_x().plot()), "expected x above 0");
    says(message(lines.clone().y_range(1.0, 1.0).plot()), "y range");
    says(message(ConfusionMatrix::new(&[], &[], 1)?.plot()), "1 classes");

    let mut strange = prediction(1, 1, 3);
    strange.probabilities[2] = f32::NAN;
    says(message(strange.plot()), "NaN");
    strange.probabilities.truncate(1);
    says(message(strange.plot()), "at least two");
    says(message(Prediction { truth: 7, ..prediction(1, 1, 3) }.plot()), "true class 7");

    let figure = lines.plot()?;
    says(message(figure.clone().size(100, 1).to_svg()), "100 × 1");
    says(message(figure.clone().dpi(0).to_png()), "0 dots");
    says(message(figure.size(4000, 4000).dpi(1200).to_png()), "smaller size");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_history_is_drawn_or_refused(
        records in prop::collection::vec((prop::num::f64::ANY, 0.0..=1.0f64), 1..40),
    ) {
        let drawable = records.iter().all(|(loss, _)| loss.abs() * 1.1 <= 1e100);
        let figure = history(&records).plot();
        prop_assert_eq!(figure.is_ok(), drawable);
        if let Ok(figure) = figure {
            assert_clear_border("history", &figure);
        }
    }

    #[test]
    fn any_series_is_drawn(
        points in prop::collection::vec((-1e6..1e6f64, -1.0..1.0f64), 1..60),
        power in -40..40i32,
    ) {
        let points = points.into_iter().map(|(x, y)| (x, y * 10f64.powi(power)));
        let figure = Lines::new("x", "y").series("any", points).plot().unwrap();
        assert_clear_border("lines", &figure);
    }
}

#[test]
fn classes_are_written_by_name() -> Result<()> {
    // Long names below an axis are turned, so that none is left out.
    for figure in [
        confusion(10).with_class_names(names())?.plot()?,
        fashion(prediction(9, 0, 10)).plot()?,
        Bars::new("Class", "Images", names()).series("train", [5800.0; 10]).plot()?,
    ] {
        let svg = figure.to_svg()?;
        for name in names() {
            let turned = format!(">{name}</text>");
            assert!(svg.lines().any(|line| line.contains("rotate(270") && line.ends_with(&turned)));
        }
    }
    let svg = fashion(prediction(9, 0, 10)).plot()?.to_svg()?;
    for text in ["True label (Ankle boot)", "Predicted (T-shirt/top)", "T-shirt/top (62.50 %)"] {
        assert!(svg.contains(text), "{text}");
    }
    // Digits stay upright; turned are the labels of the vertical axis and of the color bar.
    let digits = confusion(10).plot()?.to_svg()?;
    assert_eq!(count(&digits, "rotate(270"), 2);
    Ok(())
}
