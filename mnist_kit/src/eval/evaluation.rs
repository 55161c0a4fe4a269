//! A model measured on a whole split.

use super::{ConfusionMatrix, Samples};
use crate::Result;
use crate::data::{Batches, Split};
use crate::model::{Logits, predict};
use crate::table::{Table, thousands};
use anyhow::ensure;
use tch::{Kind, Tensor, nn};

/// Asks the model about every image of the batches' split and keeps the answers.
///
/// # Errors
/// When there are no images, the model cannot take them, or a label is not among its classes.
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
/// assert_eq!(evaluation.top_k_accuracy(10)?, 1.0);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn evaluate(model: &(impl nn::ModuleT + ?Sized), batches: &Batches) -> Result<Evaluation> {
    Evaluation::new(batches.split().clone(), predict(model, batches)?)
}

/// A model's answers to a split, and what they are worth. Made by [`evaluate`].
#[derive(Debug)]
pub struct Evaluation {
    split: Split,
    answers: Logits,
    labels: Vec<i64>,
    predictions: Vec<i64>,
    loss: f64,
    accuracy: f64,
}

impl Evaluation {
    fn new(split: Split, answers: Logits) -> Result<Evaluation> {
        let classes = answers.logits.size()[1];
        let labels = Vec::<i64>::try_from(&answers.labels)?;
        let highest = labels.iter().copied().max().unwrap_or(0);
        ensure!(
            highest < classes,
            "{}: label {highest} is not among the model's {classes} classes",
            split.name()
        );
        Ok(Evaluation {
            loss: answers.loss()?,
            accuracy: answers.accuracy()?,
            predictions: Vec::<i64>::try_from(answers.predictions()?)?,
            labels,
            split,
            answers,
        })
    }

    /// The same images and labels with other logits.
    pub(super) fn with_logits(&self, logits: Tensor) -> Result<Evaluation> {
        let labels = self.answers.labels.shallow_clone();
        Evaluation::new(self.split.clone(), Logits { logits, labels })
    }

    /// The images.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The labels, `[N]`, int64, in the split's order.
    pub fn labels(&self) -> &Tensor {
        &self.answers.labels
    }

    /// Mean cross-entropy over the images.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Share of images classified right, 0–1.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: an evaluation has at least one image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The logits, `[N, classes]`, float32, in the split's order.
    pub fn logits(&self) -> &Tensor {
        &self.answers.logits
    }

    /// Softmax of the logits, `[N, classes]`, float32.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn probabilities(&self) -> Result<Tensor> {
        Ok(self.logits().f_softmax(1, Kind::Float)?)
    }

    fn num_classes(&self) -> usize {
        self.logits().size()[1] as usize
    }

    /// Share of images whose label is among the `k` most probable classes, 0–1.
    ///
    /// # Errors
    /// When `k` is 0 or above the number of classes.
    pub fn top_k_accuracy(&self, k: usize) -> Result<f64> {
        let classes = self.num_classes();
        ensure!(
            (1..=classes).contains(&k),
            "top {k} of {classes} classes: expected 1 to {classes}"
        );
        let (_, top) = self.logits().f_topk(k as i64, 1, true, true)?;
        let hits = top.f_eq_tensor(&self.answers.labels.f_unsqueeze(1)?)?.f_any_dim(1, false)?;
        Ok(hits.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?)
    }

    /// How often each class was taken for each.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn confusion_matrix(&self) -> Result<ConfusionMatrix> {
        let matrix = ConfusionMatrix::new(&self.labels, &self.predictions, self.num_classes())?;
        Ok(matrix.with_note(self.split.note().map(str::to_string)))
    }

    /// The images classified right.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn correct(&self) -> Result<Samples> {
        self.samples(|truth, predicted| truth == predicted)
    }

    /// The images classified wrong.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn mistakes(&self) -> Result<Samples> {
        self.samples(|truth, predicted| truth != predicted)
    }

    fn samples(&self, keep: impl Fn(i64, i64) -> bool) -> Result<Samples> {
        let indices =
            (0..self.len()).filter(|&i| keep(self.labels[i], self.predictions[i])).collect();
        Samples::new(&self.split, indices, &self.labels, &self.predictions, &self.probabilities()?)
    }

    /// Loss, accuracy and counts in a table.
    pub fn table(&self) -> Table {
        let right = self.labels.iter().zip(&self.predictions).filter(|(a, b)| a == b).count();
        Table::new(["split", "images", "right", "wrong", "accuracy", "mean loss"])
            .note(self.split.note())
            .row([
                self.split.name().to_string(),
                thousands(self.len() as i64),
                thousands(right as i64),
                thousands((self.len() - right) as i64),
                format!("{:.2}%", 100.0 * self.accuracy),
                format!("{:.4}", self.loss),
            ])
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}
