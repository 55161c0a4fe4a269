//! Images with the model's predictions for them.

use crate::Result;
use crate::check::plain;
use crate::data::Split;
use anyhow::{Context, ensure};
use tch::Tensor;

/// An image with its label and the model's probabilities.
#[derive(Debug)]
pub struct Prediction {
    /// Position of the image in its split.
    pub index: usize,
    /// The image as it was loaded, `[C, H, W]`, uint8.
    pub image: Tensor,
    /// The label.
    pub truth: usize,
    /// The most probable class.
    pub predicted: usize,
    /// Softmax of the logits, one probability for each class.
    pub probabilities: Vec<f32>,
    /// Names of the classes; empty where they are called by their numbers.
    pub class_names: Vec<String>,
    /// The note that figures show, see [`Split::note`].
    pub note: Option<String>,
}

impl Prediction {
    /// The `k` most probable classes with their probabilities, the most probable first.
    ///
    /// ```
    /// use mnist_kit::eval::Prediction;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let image = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
    /// let probabilities = vec![0.2, 0.5, 0.3];
    /// let class_names = ["Shirt", "Dress", "Bag"].map(String::from).to_vec();
    /// let (index, truth, predicted, note) = (0, 2, 1, None);
    /// let prediction =
    ///     Prediction { index, image, truth, predicted, probabilities, class_names, note };
    /// assert_eq!(prediction.top(2), [(1, 0.5), (2, 0.3)]);
    /// assert_eq!(prediction.predicted_name(), "Dress");
    /// assert_eq!(prediction.truth_name(), "Bag");
    /// assert!(!prediction.is_correct());
    /// ```
    pub fn top(&self, k: usize) -> Vec<(usize, f32)> {
        let mut classes: Vec<(usize, f32)> =
            self.probabilities.iter().copied().enumerate().collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(k);
        classes
    }

    /// The name of a class; its number where it has no name.
    pub fn class_name(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The name of the label's class.
    pub fn truth_name(&self) -> String {
        self.class_name(self.truth)
    }

    /// The name of the most probable class.
    pub fn predicted_name(&self) -> String {
        self.class_name(self.predicted)
    }

    /// The probability of the predicted class, 0–1.
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.predicted).copied().unwrap_or(f32::NAN)
    }

    /// Returns whether the most probable class is the label.
    pub fn is_correct(&self) -> bool {
        self.predicted == self.truth
    }
}

/// Some images of an evaluated split, in the split's order. Made by
/// [`Evaluation::correct`](super::Evaluation::correct) and
/// [`Evaluation::mistakes`](super::Evaluation::mistakes).
#[derive(Debug)]
pub struct Samples {
    split: Split,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    index: usize,
    truth: usize,
    predicted: usize,
    probabilities: Vec<f32>,
}

impl Samples {
    /// `labels` and `predictions` lie in the columns of `probabilities` `[N, classes]`.
    pub(super) fn new(
        split: &Split,
        indices: Vec<usize>,
        labels: &[i64],
        predictions: &[i64],
        probabilities: &Tensor,
    ) -> Result<Samples> {
        let rows = Vec::<Vec<f32>>::try_from(probabilities)?;
        let entries = indices
            .into_iter()
            .map(|index| Entry {
                index,
                truth: labels[index] as usize,
                predicted: predictions[index] as usize,
                probabilities: rows[index].clone(),
            })
            .collect();
        Ok(Samples { split: split.clone(), entries })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first `count` samples, or all where there are fewer.
    pub fn first(&self, count: usize) -> Result<Vec<Prediction>> {
        self.entries.iter().take(count).map(|entry| self.prediction(entry)).collect()
    }

    /// The `count` samples with the highest confidence, the highest first.
    pub fn most_confident(&self, count: usize) -> Result<Vec<Prediction>> {
        let confidence = |entry: &Entry| entry.probabilities[entry.predicted];
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| confidence(b).total_cmp(&confidence(a)));
        entries.into_iter().take(count).map(|entry| self.prediction(entry)).collect()
    }

    /// The sample at this position.
    ///
    /// # Errors
    /// When there are fewer samples.
    pub fn get(&self, place: usize) -> Result<Prediction> {
        let entry = self.entries.get(place);
        self.prediction(
            entry.with_context(|| format!("no sample {place}, there are {}", self.len()))?,
        )
    }

    fn prediction(&self, entry: &Entry) -> Result<Prediction> {
        let (image, label) = plain(self.split.get(entry.index))?;
        ensure!(
            label == entry.truth as i64,
            "image {} has label {label} now, and had {} when it was evaluated",
            entry.index,
            entry.truth
        );
        let Entry { index, truth, predicted, probabilities } = entry.clone();
        let note = self.split.note().map(str::to_string);
        let class_names = self.split.class_names().to_vec();
        Ok(Prediction { index, image, truth, predicted, probabilities, class_names, note })
    }
}
