//! One image with what the model made of it.

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
}
