//! Training losses.

use crate::Result;
use crate::check::{expect_labels, plain};
use crate::model::cross_entropy;
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

/// The loss of a batch, its mean over the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy of logits: softmax, logarithm and negative log-likelihood in one step, which
    /// neither overflows nor loses precision (`torch.nn.CrossEntropyLoss`).
    CrossEntropy {
        /// Fraction of the target that is spread evenly over all classes, 0 ≤ value < 1 (Szegedy et
        /// al., 2016).
        label_smoothing: f64,
    },
    /// Negative log-likelihood, for a model that returns log-probabilities (`torch.nn.NLLLoss`).
    NegativeLogLikelihood,
    /// Binary cross-entropy of each class against a one-hot target, mean over images and classes
    /// (`torch.nn.BCEWithLogitsLoss`).
    BinaryCrossEntropy,
}

impl Default for Loss {
    /// Cross-entropy without smoothing.
    fn default() -> Loss {
        Loss::CrossEntropy { label_smoothing: 0.0 }
    }
}

impl Loss {
    /// Computes the mean loss of a batch, a scalar tensor with gradients.
    ///
    /// # Shapes
    /// `logits` `[N, classes]` float32, `labels` `[N]` int64.
    ///
    /// # Errors
    /// When the shapes or dtypes do not fit, a label is not among the classes, or the smoothing is
    /// out of range.
    ///
    /// ```
    /// use mnist_kit::train::Loss;
    /// use tch::{Kind, Tensor};
    ///
    /// let logits = Tensor::from_slice2(&[[2.0f32, -1.0], [0.5, 0.5]]);
    /// let labels = Tensor::from_slice(&[0i64, 1]);
    /// let cross_entropy = Loss::default().of(&logits, &labels)?.double_value(&[]);
    /// let log_probabilities = logits.log_softmax(1, Kind::Float);
    /// let nll = Loss::NegativeLogLikelihood.of(&log_probabilities, &labels)?.double_value(&[]);
    /// assert!((cross_entropy - nll).abs() < 1e-6);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn of(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check()?;
        plain(expect_labels(logits, labels))?;
        plain(self.compute(logits, labels))
    }

    /// Checks the settings.
    pub(super) fn check(&self) -> Result<()> {
        if let Loss::CrossEntropy { label_smoothing } = self {
            ensure!(
                (0.0..1.0).contains(label_smoothing),
                "label smoothing {label_smoothing}: expected 0 ≤ value < 1"
            );
        }
        Ok(())
    }

    /// [`of`](Loss::of) for settings and labels that have been checked. Looking at the labels of
    /// each batch would make a GPU wait.
    pub(super) fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        match *self {
            Loss::CrossEntropy { label_smoothing } => {
                cross_entropy(logits, labels, label_smoothing)
            }
            Loss::NegativeLogLikelihood => {
                // No label is ignored, see `cross_entropy`.
                Ok(logits.f_nll_loss(labels, None::<&Tensor>, Reduction::Mean, i64::MIN)?)
            }
            Loss::BinaryCrossEntropy => {
                let classes = logits.size().get(1).copied().unwrap_or(0);
                let targets = labels.f_one_hot(classes)?.f_to_kind(Kind::Float)?;
                Ok(logits.f_binary_cross_entropy_with_logits(
                    &targets,
                    None::<&Tensor>,
                    None::<&Tensor>,
                    Reduction::Mean,
                )?)
            }
        }
    }
}
