//! What the model believes about one image.

use super::axes::{Axis, Ends, Key, axes, legend, panel_title};
use super::figure::{Drawing, Figure};
use super::grid::verdict;
use super::part::{Backend, Part};
use super::pixels::pixels;
use super::theme;
use crate::Result;
use crate::eval::Prediction;
use anyhow::ensure;
use image::RgbImage;
use plotters::style::text_anchor::HPos;

/// The image beside a bar for each class's probability, 0–1.
///
/// The true class is bluish green and marked `T`, the predicted one vermillion and marked `P`, the others pale blue;
/// where the model is right, its class is both and only green. Below stand the three most probable classes and the true
/// class's probability, in percent.
///
/// # Errors
/// When a probability is not in 0–1, there are fewer than two, the true or predicted class has none,
/// or the image has another shape or dtype than `[1 or 3, H, W]` uint8.
///
/// ```
/// use mnist_kit::{eval::Prediction, plot::confidence};
/// use tch::{Kind, Tensor};
///
/// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, tch::Device::Cpu));
/// let probabilities = vec![0.7, 0.3];
/// let wrong = Prediction { index: 8, image, truth: 1, predicted: 0, probabilities, class_names: Vec::new(), note: None };
/// assert!(confidence(&wrong)?.to_svg()?.contains("Most probable: 0 (70.00 %), 1 (30.00 %)"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn confidence(prediction: &Prediction) -> Result<Figure> {
    let Prediction { truth, predicted, ref probabilities, .. } = *prediction;
    ensure!(
        probabilities.len() >= 2,
        "{} probabilities, expected one for each of at least two classes",
        probabilities.len()
    );
    ensure!(
        truth.max(predicted) < probabilities.len(),
        "true class {truth} and predicted class {predicted}, but only {} probabilities, one for each class",
        probabilities.len()
    );
    for (class, probability) in probabilities.iter().enumerate() {
        ensure!(
            (0.0..=1.0 + 1e-4).contains(probability),
            "the probability of class {class} is {probability}, expected 0 to 1; take the softmax of the logits"
        );
    }
    let percent = |class: usize| format!("{:.2} %", 100.0 * probabilities[class]);
    let best: Vec<String> = prediction
        .top(3)
        .iter()
        .map(|(class, _)| format!("{class} ({})", percent(*class)))
        .collect();
    let caption = format!(
        "Most probable: {}\nProbability of the true class {truth}: {}",
        best.join(", "),
        percent(truth)
    );

    let bars = Confidence {
        image: pixels(&prediction.image)?,
        verdict: verdict(prediction),
        truth,
        predicted,
        probabilities: probabilities.clone(),
    };
    let figure = Figure::new(760.0, 310.0, Drawing::Confidence(bars)).caption(caption);
    Ok(figure.note(prediction.note.as_deref()))
}

pub(super) struct Confidence {
    image: RgbImage,
    verdict: (String, theme::Color),
    truth: usize,
    predicted: usize,
    probabilities: Vec<f32>,
}

impl Confidence {
    pub fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        let &Confidence { truth, predicted, ref probabilities, .. } = self;
        let (left, right) = part.cut_left((0.345 * part.width()).min(part.height()));
        panel_title(&left, &self.verdict.0, self.verdict.1)?.image(&self.image)?;

        let right = right.inset(theme::PANEL_GAP, 0.0, 0.0, 0.0);
        let right = panel_title(&right, "Probability of each class", theme::INK)?;
        let mut keys = vec![(Key::Box(theme::BLUISH_GREEN, "T"), format!("True label ({truth})"))];
        if truth == predicted {
            keys[0].1 = format!("True label and predicted ({truth})");
        } else {
            keys.push((Key::Box(theme::VERMILLION, "P"), format!("Predicted ({predicted})")));
        }
        let right = legend(&right, &keys)?;
        let classes = Axis::classes("Class", probabilities.len());
        let shares = Axis::numbers("Probability", (0.0, 1.0), 5.0, false, Ends::Tick);
        let (_, plot) = axes(&right, &classes, &shares)?;
        let slot = plot.width() / probabilities.len() as f64;
        for (class, &probability) in probabilities.iter().enumerate() {
            let (color, letter) = match class {
                _ if class == truth => (theme::BLUISH_GREEN, "T"),
                _ if class == predicted => (theme::VERMILLION, "P"),
                _ => (theme::PALE_BLUE, ""),
            };
            let height = f64::from(probability.min(1.0)) * plot.height();
            let (middle, top) = ((class as f64 + 0.5) * slot, plot.height() - height);
            plot.rect((middle - 0.38 * slot, top), 0.76 * slot, height, color)?;
            // Above a low bar, inside a high one.
            let (y, style) = if height > 0.85 * plot.height() {
                (top + 10.0, theme::MARK.color(theme::text_on(color)))
            } else {
                (top - 9.0, theme::MARK)
            };
            plot.text(letter, (middle, y), style, HPos::Center, plot.width())?;
        }
        Ok(())
    }
}
