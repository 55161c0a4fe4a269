//! The results of a test in the record of a run.

use super::{ConfusionMatrix, Evaluation, Prediction};
use crate::Result;
use anyhow::{Context, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// The confusion matrix of a test and its most confident mistakes with their images, for a
/// [`RunRecord`](crate::train::RunRecord).
///
/// ```
/// # use mnist_kit::{data::Mnist, eval::evaluate, model::Mlp, transform::Compose};
/// # let digits = Mnist::generated(7, 10, 50)?;
/// # let test_batches = digits.test.batches(25)?.transform(&Compose::new().to_tensor());
/// # let vs = tch::nn::VarStore::new(tch::Device::Cpu);
/// # let model = Mlp::new(vs.root(), 16)?;
/// use mnist_kit::eval::TestRecord;
///
/// let evaluation = evaluate(&model, &test_batches)?;
/// let test = TestRecord::of(&evaluation, 3)?;
/// assert_eq!(test.confusion_matrix()?, evaluation.confusion_matrix()?);
/// let surest = evaluation.mistakes()?.most_confident(3)?;
/// assert_eq!(test.surest_mistakes()?[0].index, surest[0].index);
/// assert_eq!(test.surest_mistakes()?[0].image, surest[0].image);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRecord {
    /// Number of images by true class (row) and predicted class (column).
    confusion: Vec<Vec<u64>>,
    class_names: Vec<String>,
    note: Option<String>,
    surest_mistakes: Vec<Mistake>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    index: usize,
    truth: usize,
    predicted: usize,
    probabilities: Vec<f32>,
    /// Channels, height and width.
    shape: Vec<i64>,
    /// The image's bytes, row by row, as base64.
    pixels: String,
}

impl TestRecord {
    /// Keeps the `count` mistakes with the highest confidence, or all where there are fewer.
    pub fn of(evaluation: &Evaluation, count: usize) -> Result<TestRecord> {
        let matrix = evaluation.confusion_matrix()?;
        let surest = evaluation.mistakes()?.most_confident(count)?;
        Ok(TestRecord {
            confusion: matrix.counts().to_vec(),
            class_names: matrix.class_names().to_vec(),
            note: matrix.note().map(str::to_string),
            surest_mistakes: surest.into_iter().map(Mistake::of).collect::<Result<_>>()?,
        })
    }

    /// Counts of the test images by true and predicted class.
    ///
    /// # Errors
    /// When the counts are not those of a matrix with a name for each class.
    pub fn confusion_matrix(&self) -> Result<ConfusionMatrix> {
        let matrix = ConfusionMatrix::from_counts(self.confusion.clone())?;
        Ok(matrix.with_class_names(&self.class_names)?.with_note(self.note.clone()))
    }

    /// The mistakes that the model was surest of, the surest first.
    ///
    /// # Errors
    /// When an image does not have as many bytes as its shape says, or a class is out of range.
    pub fn surest_mistakes(&self) -> Result<Vec<Prediction>> {
        self.surest_mistakes.iter().map(|mistake| self.prediction(mistake)).collect()
    }

    /// Refuses a record that contradicts itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.confusion_matrix()?;
        self.surest_mistakes().map(drop)
    }

    fn prediction(&self, mistake: &Mistake) -> Result<Prediction> {
        let Mistake { index, truth, predicted, ref probabilities, ref shape, .. } = *mistake;
        let classes = self.class_names.len();
        ensure!(
            truth < classes && predicted < classes && probabilities.len() == classes,
            "mistake {index}: class {truth} predicted as {predicted} with {} probabilities, \
             expected {classes} classes",
            probabilities.len()
        );
        let pixels = BASE64_STANDARD
            .decode(&mistake.pixels)
            .with_context(|| format!("mistake {index}: the pixels are not base64"))?;
        let expected = shape.iter().try_fold(1i64, |size, &side| {
            size.checked_mul(side).filter(|_| (1..=10_000).contains(&side))
        });
        ensure!(
            shape.len() == 3 && expected == i64::try_from(pixels.len()).ok(),
            "mistake {index}: {} pixels for an image of {shape:?}",
            pixels.len()
        );
        Ok(Prediction {
            index,
            image: Tensor::f_from_slice(&pixels)?.f_view(shape.as_slice())?,
            truth,
            predicted,
            probabilities: probabilities.clone(),
            class_names: self.class_names.clone(),
            note: self.note.clone(),
        })
    }
}

impl Mistake {
    fn of(prediction: Prediction) -> Result<Mistake> {
        let image = prediction.image.f_to_device(Device::Cpu)?.f_to_kind(Kind::Uint8)?;
        let pixels: Vec<u8> = image.f_flatten(0, -1)?.try_into()?;
        Ok(Mistake {
            index: prediction.index,
            truth: prediction.truth,
            predicted: prediction.predicted,
            probabilities: prediction.probabilities,
            shape: prediction.image.size(),
            pixels: BASE64_STANDARD.encode(pixels),
        })
    }
}
