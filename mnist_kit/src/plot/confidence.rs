//! The class probabilities of one image.

use super::item::verdict;
use crate::Result;
use crate::eval::Prediction;
use crate::figure::theme::{self, Color};
use crate::figure::{Axis, Ends, Figure, Key, Part, axes, legend, panel_title, pixels};
use crate::table::percent;
use anyhow::ensure;
use image::RgbImage;
use plotters::style::text_anchor::HPos;
use std::sync::Arc;

impl Prediction {
    /// Plots the image beside a bar for the probability of each class.
    ///
    /// The true class is bluish green and marked `T`, a wrongly predicted one vermillion and marked
    /// `P`, the others pale blue. The three most probable classes and the probability of the true
    /// class are written below.
    ///
    /// # Errors
    /// A probability outside of 0 to 1, fewer than two of them, none for the true or the predicted
    /// class, or an image other than uint8 `[1 or 3, H, W]`.
    ///
    /// ```
    /// use mnist_kit::eval::Prediction;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
    /// let wrong = Prediction {
    ///     index: 8,
    ///     image,
    ///     truth: 1,
    ///     predicted: 0,
    ///     probabilities: vec![0.7, 0.3],
    ///     class_names: vec!["Shirt".to_string(), "Dress".to_string()],
    ///     note: None,
    /// };
    /// assert!(wrong.plot()?.to_svg()?.contains("Most probable: Shirt (70.00 %), Dress (30.00 %)"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn plot(&self) -> Result<Figure> {
        let Prediction { truth, predicted, ref probabilities, .. } = *self;
        ensure!(
            probabilities.len() >= 2,
            "{} probabilities, expected one for each of at least two classes",
            probabilities.len()
        );
        ensure!(
            truth.max(predicted) < probabilities.len(),
            "true class {truth} and predicted class {predicted}, but only {} probabilities, one for \
             each class",
            probabilities.len()
        );
        for (class, probability) in probabilities.iter().enumerate() {
            ensure!(
                (0.0..=1.0 + 1e-4).contains(probability),
                "the probability of class {class} is {probability}, expected 0 to 1; take the \
                 softmax of the logits"
            );
        }
        let names: Vec<String> =
            (0..probabilities.len()).map(|class| self.class_name(class)).collect();
        let written = |class: usize| percent(f64::from(probabilities[class]));
        let best: Vec<String> = self
            .top(3)
            .iter()
            .map(|&(class, _)| format!("{} ({})", names[class], written(class)))
            .collect();
        let caption = format!(
            "Most probable: {}\nProbability of the true class {}: {}",
            best.join(", "),
            names[truth],
            written(truth)
        );

        let bars = Confidence {
            image: Arc::new(pixels(&self.image)?),
            verdict: verdict(self),
            truth,
            predicted,
            probabilities: probabilities.clone(),
            names,
        };
        // Turned names below the axis do not make the bars shorter.
        let extra = bars.classes().below(BARS) - Axis::named("", &[]).below(BARS);
        let figure = Figure::new(760.0, 310.0 + extra.min(150.0), move |part| bars.draw(part));
        Ok(figure.caption(caption).note(self.note.as_deref()))
    }
}

/// About the width of the bars in a figure of the default size.
const BARS: f64 = 400.0;

struct Confidence {
    image: Arc<RgbImage>,
    verdict: (String, Color),
    truth: usize,
    predicted: usize,
    probabilities: Vec<f32>,
    names: Vec<String>,
}

impl Confidence {
    fn classes(&self) -> Axis {
        Axis::named("Class", &self.names)
    }

    fn draw(&self, part: &Part) -> Result<()> {
        let &Confidence { truth, predicted, ref probabilities, ref names, .. } = self;
        let (left, right) = part.cut_left((0.345 * part.width()).min(part.height()));
        let (title, color) = &self.verdict;
        panel_title(&left, title, *color).image(&self.image);

        let right = right.inset(theme::PANEL_GAP, 0.0, 0.0, 0.0);
        let right = panel_title(&right, "Probability of each class", theme::INK);
        let (true_name, predicted_name) = (&names[truth], &names[predicted]);
        let keys = if truth == predicted {
            vec![(
                Key::Box(theme::BLUISH_GREEN, "T"),
                format!("True label and predicted ({true_name})"),
            )]
        } else {
            vec![
                (Key::Box(theme::BLUISH_GREEN, "T"), format!("True label ({true_name})")),
                (Key::Box(theme::VERMILLION, "P"), format!("Predicted ({predicted_name})")),
            ]
        };
        let right = legend(&right, &keys)?;
        let fractions = Axis::numbers("Probability", (0.0, 1.0), 5.0, false, Ends::Tick);
        let plot = axes(&right, self.classes(), fractions)?;
        for (class, &probability) in probabilities.iter().enumerate() {
            let (color, letter) = match class {
                _ if class == truth => (theme::BLUISH_GREEN, "T"),
                _ if class == predicted => (theme::VERMILLION, "P"),
                _ => (theme::PALE_BLUE, ""),
            };
            let (middle, height) = (class as f64 + 0.5, f64::from(probability.min(1.0)));
            plot.bar((middle - 0.38, middle + 0.38), (0.0, height), color);
            if letter.is_empty() {
                continue;
            }
            // The letter goes above a low bar and inside a high one.
            let (x, top) = plot.at((middle, height));
            let (y, style) = if height > 0.85 {
                (top + 10.0, theme::MARK.color(theme::text_on(color)))
            } else {
                (top - 9.0, theme::MARK)
            };
            plot.part.text(letter, (x, y), style, HPos::Center, plot.part.width());
        }
        Ok(())
    }
}
