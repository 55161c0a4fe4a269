//! What the model believes about one image.

use super::axes::{Key, Scale, frame, legend, panel_title};
use super::canvas::{Anchor, Area};
use super::figure::Figure;
use super::grid::{fit, verdict};
use super::pixels::pixels;
use super::theme;
use crate::Result;
use crate::eval::Prediction;
use anyhow::ensure;
use std::sync::Arc;

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
/// let wrong = Prediction { index: 8, image, truth: 1, predicted: 0, probabilities: vec![0.7, 0.3] };
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
    let image = Arc::new(pixels(&prediction.image)?);
    let (title, title_color) = verdict(prediction);
    let probabilities = probabilities.clone();

    let percent = |class: usize| format!("{:.2} %", 100.0 * probabilities[class]);
    let mut ranked: Vec<usize> = (0..probabilities.len()).collect();
    ranked.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let best: Vec<String> =
        ranked.iter().take(3).map(|&class| format!("{class} ({})", percent(class))).collect();
    let caption = format!(
        "Most probable: {}\nProbability of the true class {truth}: {}",
        best.join(", "),
        percent(truth)
    );

    let figure = Figure::new(760.0, 310.0, move |canvas, area| {
        let (left, right) = area.cut_left((0.34 * area.width).min(area.height), theme::PANEL_GAP);
        let left = panel_title(canvas, left, &title, title_color);
        canvas.image(fit(left, &image), &image);

        let right = panel_title(canvas, right, "Probability of each class", theme::INK);
        let mut keys = vec![(Key::Box(theme::BLUISH_GREEN, "T"), format!("True label ({truth})"))];
        if truth == predicted {
            keys[0].1 = format!("True label and predicted ({truth})");
        } else {
            keys.push((Key::Box(theme::VERMILLION, "P"), format!("Predicted ({predicted})")));
        }
        let right = legend(canvas, right, &keys);
        let count = probabilities.len() as f64;
        let middle = |class: usize| (class as f64 + 0.5) / count;
        let classes: Vec<(f64, String)> =
            (0..probabilities.len()).map(|class| (middle(class), class.to_string())).collect();
        let y = Scale::new(0.0, 1.0, 5.0, false);
        let plot = frame(canvas, right, ("Class", &classes), ("Probability", &y.ticks()), false);
        let bar = 0.76 * plot.width / count;
        for (class, &probability) in probabilities.iter().enumerate() {
            let (color, letter) = match class {
                _ if class == truth => (theme::BLUISH_GREEN, "T"),
                _ if class == predicted => (theme::VERMILLION, "P"),
                _ => (theme::PALE_BLUE, ""),
            };
            let x = plot.x + middle(class) * plot.width;
            let height = f64::from(probability.min(1.0)) * plot.height;
            let top = plot.bottom() - height;
            canvas.rect(Area::new(x - bar / 2.0, top, bar, height), color);
            // Above a low bar, inside a high one.
            let style = theme::MARK;
            let (y, style) = if height > 0.85 * plot.height {
                (top + 10.0, style.color(theme::text_on(color)))
            } else {
                (top - 9.0, style)
            };
            canvas.text(letter, (x, y), style, Anchor::Middle, plot.width);
        }
    });
    Ok(figure.caption(caption))
}
