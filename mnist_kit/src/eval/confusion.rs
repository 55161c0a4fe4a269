//! The confusion matrix.

use crate::Result;
use anyhow::ensure;

/// Counts of images by true class (row) and predicted class (column), as scikit-learn lays it out.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<u64>>,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted class, each in `0..num_classes`.
    ///
    /// # Errors
    /// When the lengths differ or a class is out of range.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?;
    /// assert_eq!(matrix.counts(), [[1, 0], [1, 2]]);
    /// assert_eq!(matrix.normalized()[1], [1.0 / 3.0, 2.0 / 3.0]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn new(truths: &[i64], predictions: &[i64], num_classes: usize) -> Result<ConfusionMatrix> {
        ensure!(
            truths.len() == predictions.len(),
            "{} true classes but {} predictions",
            truths.len(),
            predictions.len()
        );
        let mut counts = vec![vec![0; num_classes]; num_classes];
        for (&truth, &predicted) in truths.iter().zip(predictions) {
            let inside = |class: i64| (0..num_classes as i64).contains(&class);
            ensure!(
                inside(truth) && inside(predicted),
                "class {truth} predicted as {predicted}, expected classes 0 to {}",
                num_classes as i64 - 1
            );
            counts[truth as usize][predicted as usize] += 1;
        }
        Ok(ConfusionMatrix { counts })
    }

    /// Counts, `counts[truth][predicted]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Each row divided by its sum: the share of a true class that went to each prediction.
    /// The row of a class without images is all 0.
    pub fn normalized(&self) -> Vec<Vec<f64>> {
        self.counts
            .iter()
            .map(|row| {
                let total = row.iter().sum::<u64>().max(1) as f64;
                row.iter().map(|&count| count as f64 / total).collect()
            })
            .collect()
    }
}
