//! What a training step makes smaller.

use crate::Result;
use anyhow::ensure;
use tch::{Kind, Reduction, Tensor};

/// The loss of a batch, its mean over the images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Cross-entropy of logits: softmax, logarithm and negative log-likelihood in one, which neither
    /// overflows nor loses digits (`torch.nn.CrossEntropyLoss`).
    CrossEntropy {
        /// Share of the target that is spread evenly over all classes, 0 up to below 1 (Szegedy and
        /// others, 2016).
        label_smoothing: f64,
    },
    /// Negative log-likelihood, for a model that gives log-probabilities (`torch.nn.NLLLoss`).
    NegativeLogLikelihood,
    /// A yes-or-no question for each class, the label's class yes and the others no
    /// (`torch.nn.BCEWithLogitsLoss` with one-hot targets; mean over images and classes).
    BinaryCrossEntropy,
}

impl Default for Loss {
    /// Cross-entropy without smoothing.
    fn default() -> Loss {
        Loss::CrossEntropy { label_smoothing: 0.0 }
    }
}

/// PyTorch skips labels of −100 unless told another number; here they are a mistake like any other.
const NOTHING_IGNORED: i64 = i64::MIN;

impl Loss {
    /// The loss of one batch, a tensor without sides that gradients can be taken of.
    ///
    /// # Shapes
    /// `logits` `[N, classes]` float32, `labels` `[N]` int64.
    ///
    /// # Errors
    /// When shapes or dtypes are others, a label is not among the classes, or the smoothing is out of
    /// range.
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
        match *self {
            Loss::CrossEntropy { label_smoothing } => {
                ensure!(
                    (0.0..1.0).contains(&label_smoothing),
                    "label smoothing {label_smoothing}: expected 0 ≤ value < 1"
                );
                Ok(logits.f_cross_entropy_loss(
                    labels,
                    None::<&Tensor>,
                    Reduction::Mean,
                    NOTHING_IGNORED,
                    label_smoothing,
                )?)
            }
            Loss::NegativeLogLikelihood => {
                Ok(logits.f_nll_loss(labels, None::<&Tensor>, Reduction::Mean, NOTHING_IGNORED)?)
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
