//! The confusion matrix.

use crate::Result;
use crate::table::{Table, thousands};
use anyhow::ensure;

/// Counts of images by true class (row) and predicted class (column), as scikit-learn lays it out.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<u64>>,
    note: Option<String>,
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
        ensure!(num_classes <= 10_000, "{num_classes} classes, expected 10,000 at most");
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
        Ok(ConfusionMatrix { counts, note: None })
    }

    /// The matrix with a note that its tables and figures show, see
    /// [`Split::note`](crate::data::Split::note).
    pub fn with_note(self, note: Option<String>) -> ConfusionMatrix {
        ConfusionMatrix { note, ..self }
    }

    /// What every table and figure of this matrix has to say.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
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

    /// Share of each class's images that were classified right, 0–1 (scikit-learn's recall by
    /// class); `None` for a class without images.
    pub fn per_class_accuracy(&self) -> Vec<Option<f64>> {
        self.counts
            .iter()
            .enumerate()
            .map(|(class, row)| match row.iter().sum::<u64>() {
                0 => None,
                total => Some(row[class] as f64 / total as f64),
            })
            .collect()
    }

    /// Images, right ones and accuracy of each class, as a table.
    pub fn per_class_table(&self) -> Table {
        let mut table = Table::new(["class", "images", "right", "accuracy"]).note(self.note());
        for (class, (row, accuracy)) in
            self.counts.iter().zip(self.per_class_accuracy()).enumerate()
        {
            table.push([
                class.to_string(),
                thousands(row.iter().sum::<u64>() as i64),
                thousands(row[class] as i64),
                accuracy.map_or("–".to_string(), |share| format!("{:.2}%", 100.0 * share)),
            ]);
        }
        table
    }

    /// The most frequent mistakes: `(true class, predicted class, count)`, the most frequent first.
    pub fn top_mistakes(&self, count: usize) -> Vec<(usize, usize, u64)> {
        let mut mistakes: Vec<(usize, usize, u64)> = Vec::new();
        for (truth, row) in self.counts.iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate() {
                if truth != predicted && count > 0 {
                    mistakes.push((truth, predicted, count));
                }
            }
        }
        mistakes.sort_by_key(|&(_, _, count)| std::cmp::Reverse(count));
        mistakes.truncate(count);
        mistakes
    }

    /// The most frequent mistakes as a table.
    pub fn top_mistakes_table(&self, count: usize) -> Table {
        let mut table = Table::new(["true", "taken for", "times"]).note(self.note());
        for (truth, predicted, times) in self.top_mistakes(count) {
            table.push([truth.to_string(), predicted.to_string(), times.to_string()]);
        }
        table
    }
}
