//! The evaluation of a model on a whole split.

use super::{ConfusionMatrix, Samples};
use crate::Result;
use crate::check::plain;
use crate::data::{Batches, Split};
use crate::model::{Logits, bar_over, predict_with};
use crate::table::{Table, percent, thousands};
use anyhow::ensure;
use std::fmt;
use tch::{Kind, Tensor, nn};

/// Computes the model's predictions for every image of the batches' split, in evaluation mode and
/// without gradients.
///
/// `model` is any module that maps a batch of images to logits `[N, classes]`.
///
/// # Errors
/// When there are no images, the model cannot process them, a label is not among its classes, or
/// the cell is asked to stop ([`Interrupted`](crate::Interrupted)).
///
/// ```
/// use mnist_kit::data::Mnist;
/// use mnist_kit::eval::evaluate;
/// use mnist_kit::model::Mlp;
/// use mnist_kit::transform::Compose;
/// use tch::{Device, nn};
///
/// let digits = Mnist::generated(7, 100, 50)?;
/// let test_batches = digits.test.batches(25)?.transform(&Compose::new().to_tensor());
/// let vs = nn::VarStore::new(Device::Cpu);
/// let evaluation = evaluate(&Mlp::new(vs.root(), 16)?, &test_batches)?;
/// let right = evaluation.correct()?.len();
/// assert_eq!(right + evaluation.mistakes()?.len(), 50);
/// assert_eq!(evaluation.accuracy(), right as f64 / 50.0);
/// assert!((evaluation.accuracy_percent() - 2.0 * right as f64).abs() < 1e-9);
/// assert_eq!(evaluation.top_k_accuracy(10)?, 1.0);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn evaluate(model: &(impl nn::ModuleT + ?Sized), batches: &Batches) -> Result<Evaluation> {
    let logits = predict_with(model, batches, bar_over("evaluate", batches))?;
    plain(Evaluation::new(batches.split().clone(), logits))
}

/// The predictions of a model for a split, with their metrics. Made by [`evaluate`].
#[derive(Debug)]
pub struct Evaluation {
    split: Split,
    output: Logits,
    labels: Vec<i64>,
    predictions: Vec<i64>,
    loss: f64,
    accuracy: f64,
}

impl Evaluation {
    fn new(split: Split, output: Logits) -> Result<Evaluation> {
        let classes = output.logits.size()[1];
        let labels = Vec::<i64>::try_from(&output.labels)?;
        let highest = labels.iter().copied().max().unwrap_or(0);
        ensure!(
            highest < classes,
            "{}: label {highest} is not among the model's {classes} classes",
            split.name()
        );
        Ok(Evaluation {
            loss: output.loss()?,
            accuracy: output.accuracy()?,
            predictions: Vec::<i64>::try_from(output.predictions()?)?,
            labels,
            split,
            output,
        })
    }

    /// The evaluation of other logits for the same images and labels.
    pub(super) fn with_logits(&self, logits: Tensor) -> Result<Evaluation> {
        let labels = self.output.labels.shallow_clone();
        Evaluation::new(self.split.clone(), Logits { logits, labels })
    }

    /// The split that was evaluated.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The labels, `[N]`, int64, in the split's order.
    pub fn labels(&self) -> &Tensor {
        &self.output.labels
    }

    /// Mean cross-entropy over the images.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Fraction of images classified correctly, 0–1.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// [`accuracy`](Evaluation::accuracy) in percent, 0–100.
    pub fn accuracy_percent(&self) -> f64 {
        100.0 * self.accuracy
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: an evaluation has at least one image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The logits, `[N, classes]`, float32, in the split's order.
    pub fn logits(&self) -> &Tensor {
        &self.output.logits
    }

    /// Softmax of the logits, `[N, classes]`, float32.
    pub fn probabilities(&self) -> Result<Tensor> {
        plain(self.logits().f_softmax(1, Kind::Float).map_err(Into::into))
    }

    fn num_classes(&self) -> usize {
        self.logits().size()[1] as usize
    }

    /// Fraction of images whose label is among the `k` most probable classes, 0–1.
    ///
    /// # Errors
    /// When `k` is 0 or above the number of classes.
    pub fn top_k_accuracy(&self, k: usize) -> Result<f64> {
        let classes = self.num_classes();
        ensure!(
            (1..=classes).contains(&k),
            "top {k} of {classes} classes: expected 1 to {classes}"
        );
        plain(self.fraction_in_top(k as i64))
    }

    fn fraction_in_top(&self, k: i64) -> Result<f64> {
        let (_, top) = self.logits().f_topk(k, 1, true, true)?;
        let hits = top.f_eq_tensor(&self.output.labels.f_unsqueeze(1)?)?.f_any_dim(1, false)?;
        Ok(hits.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?)
    }

    /// Counts the images by true and predicted class.
    pub fn confusion_matrix(&self) -> Result<ConfusionMatrix> {
        let matrix = ConfusionMatrix::new(&self.labels, &self.predictions, self.num_classes())?;
        let matrix = matrix.with_note(self.split.note().map(str::to_string));
        // The model may have more classes than the split has names.
        match self.split.class_names() {
            names if names.len() == self.num_classes() => matrix.with_class_names(names),
            _ => Ok(matrix),
        }
    }

    /// The images classified correctly.
    pub fn correct(&self) -> Result<Samples> {
        self.samples(|truth, predicted| truth == predicted)
    }

    /// The images classified incorrectly.
    pub fn mistakes(&self) -> Result<Samples> {
        self.samples(|truth, predicted| truth != predicted)
    }

    fn samples(&self, keep: impl Fn(i64, i64) -> bool) -> Result<Samples> {
        let indices =
            (0..self.len()).filter(|&i| keep(self.labels[i], self.predictions[i])).collect();
        let probabilities = self.probabilities()?;
        plain(Samples::new(&self.split, indices, &self.labels, &self.predictions, &probabilities))
    }

    /// Counts, accuracy and mean loss as a table.
    pub fn table(&self) -> Table {
        let right = self.labels.iter().zip(&self.predictions).filter(|(a, b)| a == b).count();
        Table::new(["split", "images", "right", "wrong", "accuracy", "mean loss"])
            .note(self.split.note())
            .row([
                self.split.name().to_string(),
                thousands(self.len() as i64),
                thousands(right as i64),
                thousands((self.len() - right) as i64),
                percent(self.accuracy),
                format!("{:.4}", self.loss),
            ])
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
