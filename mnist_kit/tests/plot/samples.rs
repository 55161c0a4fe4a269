//! Figures that several tests draw, and what they contain.

use anyhow::Result;
use image::RgbImage;
use mnist_kit::data::{DataSet, Split};
use mnist_kit::eval::{Bins, ConfusionMatrix, Prediction, Reliability};
use mnist_kit::figure::{Figure, theme};
use mnist_kit::plot::{
    Bars, GridItem, Lines, augmentation_grid, class_balance, confidence_grid, confidence_histogram,
    confusion_pair, grad_cam_grid, image_grid, item_grid, kernel_grids, prediction_grid,
};
use mnist_kit::plotters::prelude::*;
use mnist_kit::train::{EpochRecord, History};
use mnist_kit::transform::Compose;
use tch::{Device, Kind, Tensor};

pub fn image(channels: i64, height: i64, width: i64) -> Tensor {
    let values: Vec<u8> = (0..channels * height * width).map(|i| (i % 251) as u8).collect();
    Tensor::from_slice(&values).view([channels, height, width])
}

pub fn split(count: i64) -> Split {
    let labels: Vec<i64> = (0..count).map(|i| i % 10).collect();
    let images = image(count, 28, 28).view([count, 1, 28, 28]);
    Split::new("train", images, Tensor::from_slice(&labels), 10).unwrap()
}

pub fn prediction(truth: usize, predicted: usize, classes: usize) -> Prediction {
    let mut probabilities = vec![0.1 / classes as f32; classes];
    probabilities[truth] = 0.25;
    probabilities[predicted] = 0.625;
    Prediction {
        index: 3,
        image: image(1, 28, 28),
        truth,
        predicted,
        probabilities,
        class_names: (0..classes).map(|class| class.to_string()).collect(),
        note: None,
    }
}

/// The class names of Fashion-MNIST, some of them long.
pub fn names() -> Vec<String> {
    DataSet::Fashion.class_names()
}

pub fn fashion(prediction: Prediction) -> Prediction {
    Prediction { class_names: names(), ..prediction }
}

/// A chart that a reader draws with plotters.
pub fn drawn() -> Result<Figure> {
    let losses: Vec<(f64, f64)> = (0..=60).map(|i| (f64::from(i) / 6.0, 1.0)).collect();
    let losses: Vec<(f64, f64)> =
        losses.iter().map(|&(x, _)| (x, (-x / 3.0).exp() + 0.1 * x.sin())).collect();
    Figure::draw(600, 360, |area| {
        let mut chart = ChartBuilder::on(&area)
            .caption("A caption of plotters", ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..10.0, -0.2..1.2)?;
        chart.configure_mesh().x_desc("Epoch").y_desc("Loss").draw()?;
        chart
            .draw_series(LineSeries::new(losses.iter().copied(), BLUE.stroke_width(2)))?
            .label("loss")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLUE));
        chart
            .draw_series(
                losses.iter().step_by(6).map(|&at| Circle::new(at, 4, RED.mix(0.5).filled())),
            )?
            .label("every sixth")
            .legend(|(x, y)| Circle::new((x + 10, y), 4, RED.filled()));
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK)
            .label_font(("Arial", 14))
            .draw()?;
        Ok(())
    })
}

pub fn record(epoch: usize, loss: f64, accuracy: f64) -> EpochRecord {
    EpochRecord {
        epoch,
        train_loss: loss,
        train_accuracy: accuracy,
        val_loss: Some(loss * 1.1),
        val_accuracy: Some(accuracy * 0.99),
        seconds: 1.5,
        ..EpochRecord::default()
    }
}

pub fn history(records: &[(f64, f64)]) -> History {
    let mut history = History::new();
    for (i, &(loss, accuracy)) in records.iter().enumerate() {
        history.push(record(i + 1, loss, accuracy));
    }
    history
}

pub fn confusion(classes: i64) -> ConfusionMatrix {
    let truths: Vec<i64> = (0..classes * 1200).map(|i| i % classes).collect();
    let predicted: Vec<i64> = (0..classes * 1200)
        .map(|i| if i % 7 == 0 { i / 11 % classes } else { i % classes })
        .collect();
    ConfusionMatrix::new(&truths, &predicted, classes as usize).unwrap()
}

pub fn balance() -> Result<Figure> {
    let classes = (0..10).map(|class| class.to_string());
    Bars::new("Class", "Images", classes)
        .series("train", (0..10).map(|class| 900.0 + 20.0 * f64::from(class)))
        .series("validation", [180.0; 10])
        .series("test", [200.0; 10])
        .plot()
}

/// An overconfident model: where it says 0.9, about 0.8 of its predictions are correct.
pub fn reliability(bins: Bins) -> Result<Reliability> {
    let confidences: Vec<f64> = (0..500).map(|i| (0.3 + f64::from(i) / 700.0).min(1.0)).collect();
    let right: Vec<bool> = confidences
        .iter()
        .enumerate()
        .map(|(i, c)| (i * 37 % 100) as f64 / 100.0 < c - 0.1)
        .collect();
    Reliability::new(&confidences, &right, bins)
}

/// One figure of each kind, and some that are hard to fit.
pub fn every_plot() -> Result<Vec<(&'static str, Figure)>> {
    let long = "a title that is much longer than the picture below it is wide, by far";
    let heat = Tensor::arange(49, (Kind::Float, Device::Cpu)).view([1, 7, 7]);
    Ok(vec![
        ("grid", image_grid(&split(10), 2, 5)?.title("The first image of each digit")),
        ("large grid", image_grid(&split(300), 15, 20)?),
        ("one image", item_grid(&[GridItem::new(&image(3, 9, 30), long)?], 1, 1)?.title(long)),
        ("predictions", prediction_grid(&[prediction(3, 3, 10), prediction(3, 5, 10)], 1, 2)?),
        ("wrong", prediction(24, 25, 26).plot()?.title(long)),
        ("right", prediction(1, 1, 2).plot()?),
        ("one epoch", history(&[(0.4, 0.9)]).plot()?),
        ("history", history(&[(2.3, 0.11), (1.0, 0.7), (0.1, 0.98)]).plot()?.title("History")),
        ("names", fashion(prediction(9, 0, 10)).plot()?.title("Names")),
        (
            "predicted names",
            prediction_grid(&[prediction(3, 3, 10), prediction(9, 0, 10)].map(fashion), 1, 2)?,
        ),
        ("confused names", confusion(10).with_class_names(names())?.plot()?),
        ("confused names in percent", confusion(10).with_class_names(names())?.plot_normalized()?),
        ("named bars", Bars::new("Class", "Images", names()).series("train", [5800.0; 10]).plot()?),
        ("drawn", drawn()?.title("Drawn with plotters").caption("by a reader")),
        ("confusion", confusion(10).plot()?.title(long)),
        ("small confusion", confusion(2).plot_normalized()?),
        ("large confusion", confusion(26).plot()?),
        ("bars", balance()?.title(long)),
        ("class counts", split(47).class_counts()?.plot()?),
        ("reliability", reliability(Bins::EqualWidth(10))?.plot()?.title("Reliability")),
        ("equal mass", reliability(Bins::EqualMass(15))?.plot()?),
        ("pair", confusion_pair(&confusion(10), &confusion(10).with_title(long))?),
        ("heat", grad_cam_grid(&[prediction(3, 5, 10)], &heat, 1, 1)?.title("Grad-CAM")),
        ("kernels", kernel_grids(&[("before training", &heat), (long, &(&heat * -2.0))])?),
        ("surest", confidence_grid(&[prediction(3, 3, 10), fashion(prediction(9, 0, 10))], 1, 2)?),
        ("augmented", augmentation_grid(&image(1, 28, 28), &Compose::new(), 2, 3)?),
        ("balance", class_balance(&[("train", &split(47)), (long, &split(20))])?),
        ("early epochs", history(&[(2.3, 0.11), (1.0, 0.96), (0.1, 0.98), (0.1, 0.98)]).plot()?),
        ("confidences", confidence_histogram(&[0.2, 0.9, 0.99, 1.0], &[false, true, true, true])?),
        (
            "lines",
            (0..9)
                .fold(Lines::new("Step", long).title(long), |lines, i| {
                    lines.series(
                        format!("series number {i}"),
                        [(0.0, 1e-9), (1e6, 1e7 * f64::from(i))],
                    )
                })
                .plot()?
                .caption("one line\nanother line"),
        ),
    ])
}

pub fn decode(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

/// Nothing may reach the border, where it would be cut.
pub fn assert_clear_border(name: &str, figure: &Figure) {
    let picture = decode(&figure.clone().dpi(96).to_png().unwrap());
    let (width, height) = picture.dimensions();
    for (x, y, pixel) in picture.enumerate_pixels() {
        if x.min(y).min(width - 1 - x).min(height - 1 - y) < 2 {
            assert_eq!(pixel.0, [255; 3], "{name} reaches the border at ({x}, {y})");
        }
    }
}

pub fn count(svg: &str, text: &str) -> usize {
    svg.matches(text).count()
}

pub fn hex(theme::Color(red, green, blue): theme::Color) -> String {
    format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"")
}

pub fn rects(svg: &str, color: theme::Color) -> usize {
    svg.lines().filter(|line| line.starts_with("<rect") && line.contains(&hex(color))).count()
}

/// Whether a text of its own says exactly this.
pub fn writes(svg: &str, text: &str) -> bool {
    svg.contains(&format!(">{text}</text>"))
}
