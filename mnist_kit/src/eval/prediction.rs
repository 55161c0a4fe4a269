//! Images with what the model made of them.

use crate::Result;
use crate::data::Split;
use anyhow::{Context, ensure};
use tch::Tensor;

/// One image of a split, its label, and the model's probabilities.
#[derive(Debug)]
pub struct Prediction {
    /// Position in the split.
    pub index: usize,
    /// The image as it was loaded, `[C, H, W]`, uint8.
    pub image: Tensor,
    /// The label.
    pub truth: usize,
    /// The most probable class.
    pub predicted: usize,
    /// Softmax of the logits, one for each class.
    pub probabilities: Vec<f32>,
    /// What figures of this image have to say, see [`Split::note`].
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
    /// let guess = Prediction { index: 0, image, truth: 2, predicted: 1, probabilities, note: None };
    /// assert_eq!(guess.top(2), [(1, 0.5), (2, 0.3)]);
    /// assert!(!guess.is_right());
    /// ```
    pub fn top(&self, k: usize) -> Vec<(usize, f32)> {
        let mut classes: Vec<(usize, f32)> =
            self.probabilities.iter().copied().enumerate().collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(k);
        classes
    }

    /// How sure the model was of its answer, 0–1.
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.predicted).copied().unwrap_or(f32::NAN)
    }

    /// Whether the most probable class is the label.
    pub fn is_right(&self) -> bool {
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first `count`, or all where there are fewer.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn first(&self, count: usize) -> Result<Vec<Prediction>> {
        self.entries.iter().take(count).map(|entry| self.prediction(entry)).collect()
    }

    /// The `count` that the model was most sure of, the surest first.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn most_confident(&self, count: usize) -> Result<Vec<Prediction>> {
        let confidence = |entry: &Entry| entry.probabilities[entry.predicted];
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| confidence(b).total_cmp(&confidence(a)));
        entries.into_iter().take(count).map(|entry| self.prediction(entry)).collect()
    }

    /// The one at this place.
    ///
    /// # Errors
    /// When there are not that many.
    pub fn get(&self, place: usize) -> Result<Prediction> {
        let entry = self.entries.get(place);
        self.prediction(
            entry.with_context(|| format!("no sample {place}, there are {}", self.len()))?,
        )
    }

    fn prediction(&self, entry: &Entry) -> Result<Prediction> {
        let (image, label) = self.split.get(entry.index)?;
        ensure!(label == entry.truth as i64, "image {} has changed its label", entry.index);
        let Entry { index, truth, predicted, probabilities } = entry.clone();
        let note = self.split.note().map(str::to_string);
        Ok(Prediction { index, image, truth, predicted, probabilities, note })
    }
}
