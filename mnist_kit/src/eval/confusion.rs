//! The confusion matrix.

use crate::Result;
use crate::table::{Table, percent, thousands};
use anyhow::{bail, ensure};
use std::fmt;

/// Counts of images by true class (row) and predicted class (column), as scikit-learn lays it out.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<u64>>,
    class_names: Vec<String>,
    title: Option<String>,
    note: Option<String>,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted class, each in `0..num_classes`. Classes are named "0",
    /// "1", … until [`with_class_names`](ConfusionMatrix::with_class_names) says otherwise.
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
        ConfusionMatrix::from_counts(counts)
    }

    /// Takes counts, `counts[truth][predicted]`.
    ///
    /// # Errors
    /// When there are not as many rows as columns, or the sum of the counts does not fit into 64 bits.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::from_counts(vec![vec![1, 0], vec![1, 2]])?;
    /// assert_eq!(matrix, ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn from_counts(counts: Vec<Vec<u64>>) -> Result<ConfusionMatrix> {
        let num_classes = counts.len();
        if let Some(row) = counts.iter().find(|row| row.len() != num_classes) {
            bail!("a row of {} counts for {num_classes} classes", row.len());
        }
        let total = counts.iter().flatten().try_fold(0u64, |sum, &count| sum.checked_add(count));
        ensure!(total.is_some(), "counts that are too large: their sum is above {}", u64::MAX);
        let class_names = (0..num_classes).map(|class| class.to_string()).collect();
        Ok(ConfusionMatrix { counts, class_names, title: None, note: None })
    }

    /// Sets the names that tables and figures write for the classes.
    ///
    /// # Errors
    /// When there is not one name for each class.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// let matrix = ConfusionMatrix::new(&[0, 1], &[0, 0], 2)?;
    /// let matrix = matrix.with_class_names(["Shirt", "Dress"])?;
    /// assert_eq!(matrix.top_mistakes_table(1).rows()[0], ["Dress", "Shirt", "1"]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn with_class_names<T: Into<String>>(
        self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<ConfusionMatrix> {
        let class_names: Vec<String> = names.into_iter().map(Into::into).collect();
        ensure!(
            class_names.len() == self.counts.len(),
            "{} names for {} classes, expected one for each",
            class_names.len(),
            self.counts.len()
        );
        Ok(ConfusionMatrix { class_names, ..self })
    }

    /// The names of the classes.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Sets the title that figures show, such as the name of the model; without one it is
    /// "Confusion matrix".
    pub fn with_title(self, title: impl Into<String>) -> ConfusionMatrix {
        ConfusionMatrix { title: Some(title.into()), ..self }
    }

    /// The title that figures show.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Sets the note that tables and figures show, see [`Split::note`](crate::data::Split::note).
    pub fn with_note(self, note: Option<String>) -> ConfusionMatrix {
        ConfusionMatrix { note, ..self }
    }

    /// The note that tables and figures show.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Counts, `counts[truth][predicted]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Each row divided by its sum: the fraction of a true class that received each prediction. The
    /// row of a class without images is all 0.
    pub fn normalized(&self) -> Vec<Vec<f64>> {
        self.counts
            .iter()
            .map(|row| {
                let total = row.iter().sum::<u64>().max(1) as f64;
                row.iter().map(|&count| count as f64 / total).collect()
            })
            .collect()
    }

    /// Fraction of all images that were classified correctly, 0–1; `None` without images.
    ///
    /// ```
    /// use mnist_kit::eval::ConfusionMatrix;
    ///
    /// assert_eq!(ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], 2)?.accuracy(), Some(0.75));
    /// assert_eq!(ConfusionMatrix::new(&[], &[], 2)?.accuracy(), None);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn accuracy(&self) -> Option<f64> {
        let images: u64 = self.counts.iter().flatten().sum();
        let right: u64 = self.counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        (images > 0).then(|| right as f64 / images as f64)
    }

    /// Fraction of each class's images that were classified correctly, 0–1 (scikit-learn's recall
    /// by class); `None` for a class without images.
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

    /// Images, correct predictions and accuracy of each class as a table.
    pub fn per_class_table(&self) -> Table {
        let mut table = Table::new(["class", "images", "right", "accuracy"]).note(self.note());
        for (class, (row, accuracy)) in
            self.counts.iter().zip(self.per_class_accuracy()).enumerate()
        {
            table.push([
                self.class_names[class].clone(),
                thousands(row.iter().sum::<u64>() as i64),
                thousands(row[class] as i64),
                percent(accuracy.unwrap_or(f64::NAN)),
            ]);
        }
        table
    }

    /// The most frequent mistakes as `(true class, predicted class, count)`, the most frequent
    /// first.
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
        let mut table = Table::new(["true", "predicted", "times"]).note(self.note());
        for (truth, predicted, times) in self.top_mistakes(count) {
            let name = |class: usize| self.class_names[class].clone();
            table.push([name(truth), name(predicted), times.to_string()]);
        }
        table
    }

    /// The counts as a table, one row for each true class.
    pub fn table(&self) -> Table {
        let header =
            std::iter::once("true \\ predicted".to_string()).chain(self.class_names.clone());
        let mut table = Table::new(header).note(self.note());
        for (name, row) in self.class_names.iter().zip(&self.counts) {
            let counts = row.iter().map(|&count| thousands(count as i64));
            table.push(std::iter::once(name.clone()).chain(counts));
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
