//! The record of a comparison of programs that train the same network, each with many seeds.

use crate::check::plain;
use crate::table::{Table, percent, percent_spread};
use crate::{Result, files};
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The record of a comparison: several programs train the same network with the same seeds, in
/// turns on one machine.
///
/// `make bench-fast` writes one, and lesson 6 loads it.
///
/// ```
/// use mnist_kit::train::{SpeedRecord, SpeedRun};
///
/// let run = |program: &str, seed, test_accuracy, seconds| SpeedRun {
///     program: program.to_string(),
///     seed,
///     test_accuracy,
///     seconds,
///     training_seconds: seconds / 2.0,
/// };
/// let record = SpeedRecord {
///     settings: Default::default(),
///     versions: "torch 2.13.0".to_string(),
///     commit: "da218d6".to_string(),
///     device: "CPU".to_string(),
///     threads: 2,
///     date: "2026-11-28".to_string(),
///     runs: vec![
///         run("mnist_kit", 1, 0.991, 2.0),
///         run("PyTorch", 1, 0.990, 5.0),
///         run("mnist_kit", 2, 0.993, 4.0),
///     ],
/// };
/// assert_eq!(record.programs(), ["mnist_kit", "PyTorch"]);
/// assert_eq!(record.median_seconds("mnist_kit")?, 3.0);
/// assert_eq!(record.mean_accuracy("mnist_kit")?, 0.992);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedRecord {
    /// The settings that all programs share, as JSON.
    pub settings: Map<String, Value>,
    /// The versions of the libraries that were compared.
    pub versions: String,
    /// Short hash of the source's commit, with `+changes` if its files differed from it.
    pub commit: String,
    /// `CPU`, or the name of the GPU.
    pub device: String,
    /// Number of threads on the CPU, 1 or more.
    pub threads: usize,
    /// Day of the comparison (UTC), as `2026-11-28`.
    pub date: String,
    /// The runs in the order in which they took place.
    pub runs: Vec<SpeedRun>,
}

/// One run of one program in a [`SpeedRecord`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedRun {
    /// Name of the program, such as `PyTorch`.
    pub program: String,
    /// Seed of the initial weights and of the order of the images.
    pub seed: u64,
    /// Fraction of the test images that were classified correctly after the training, 0–1.
    pub test_accuracy: f64,
    /// Seconds from the start of the process to its end.
    pub seconds: f64,
    /// Seconds of training and evaluation: without start and loading.
    pub training_seconds: f64,
}

impl SpeedRecord {
    /// Reads a record and checks it.
    ///
    /// # Errors
    /// If the file cannot be read, is no such record, or holds a number that no run can have.
    pub fn load(path: impl AsRef<Path>) -> Result<SpeedRecord> {
        let path = path.as_ref();
        let read = || -> Result<SpeedRecord> {
            let record: SpeedRecord = serde_json::from_str(&std::fs::read_to_string(path)?)?;
            record.check()?;
            Ok(record)
        };
        plain(read().with_context(|| {
            format!(
                "cannot read the record of a comparison from {}; `make bench-fast` writes one",
                path.display()
            )
        }))
    }

    /// Writes the record as JSON, as a whole or not at all.
    ///
    /// # Errors
    /// If [`load`](SpeedRecord::load) would refuse the file, or it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        files::write_whole(path, text.as_bytes())
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.runs.is_empty(), "it has no runs");
        ensure!(self.threads > 0, "its number of threads is 0, expected 1 or more");
        for run in &self.runs {
            let SpeedRun { program, seed, test_accuracy, seconds, training_seconds } = run;
            ensure!(
                (0.0..=1.0).contains(test_accuracy),
                "{program}, seed {seed}: the test accuracy is {test_accuracy}, expected 0 to 1"
            );
            ensure!(
                *training_seconds > 0.0 && training_seconds <= seconds && seconds.is_finite(),
                "{program}, seed {seed}: {training_seconds} of {seconds} seconds were for the \
                 training, expected a part of a finite number above 0"
            );
        }
        Ok(())
    }

    /// The names of the programs, in the order of their first runs.
    pub fn programs(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !names.contains(&run.program.as_str()) {
                names.push(&run.program);
            }
        }
        names
    }

    /// The median seconds of a program's runs, each from the start of the process to its end.
    ///
    /// # Errors
    /// If no run is of this program.
    pub fn median_seconds(&self, program: &str) -> Result<f64> {
        Ok(median(self.values(program, |run| run.seconds)?))
    }

    /// The mean test accuracy of a program's runs, 0–1.
    ///
    /// # Errors
    /// If no run is of this program.
    pub fn mean_accuracy(&self, program: &str) -> Result<f64> {
        let accuracies = self.values(program, |run| run.test_accuracy)?;
        Ok(accuracies.iter().sum::<f64>() / accuracies.len() as f64)
    }

    /// A row for each program: number of runs, test accuracy with its standard deviation and lowest
    /// value, median seconds of the process with their range, and median seconds of training and
    /// evaluation alone.
    pub fn table(&self) -> Result<Table> {
        let header = [
            "program",
            "runs",
            "test accuracy",
            "lowest",
            "seconds (range)",
            "training and evaluation",
        ];
        let title = format!(
            "{}, {} threads, {}, commit {}, {}",
            self.device, self.threads, self.versions, self.commit, self.date
        );
        let mut table = Table::new(header).title(title);
        for program in self.programs() {
            let accuracies = self.values(program, |run| run.test_accuracy)?;
            let mut seconds = self.values(program, |run| run.seconds)?;
            let training = median(self.values(program, |run| run.training_seconds)?);
            seconds.sort_by(f64::total_cmp);
            let (first, last) = (seconds[0], seconds[seconds.len() - 1]);
            table.push([
                program.to_string(),
                seconds.len().to_string(),
                percent_spread(&accuracies),
                percent(accuracies.iter().copied().fold(1.0, f64::min)),
                format!("{:.2} ({first:.2}–{last:.2})", median(seconds)),
                format!("{training:.2}"),
            ]);
        }
        Ok(table)
    }

    /// A number of each of a program's runs.
    fn values(&self, program: &str, of: impl Fn(&SpeedRun) -> f64) -> Result<Vec<f64>> {
        let values: Vec<f64> =
            self.runs.iter().filter(|run| run.program == program).map(of).collect();
        ensure!(
            !values.is_empty(),
            "no run is of {program:?}; there are runs of {}",
            self.programs().join(", ")
        );
        Ok(values)
    }
}

/// The median of at least one value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
