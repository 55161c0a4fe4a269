//! The record of a training run, as the program keeps it for the lessons.

use super::History;
use crate::check::plain;
use crate::eval::TestRecord;
use crate::table::{Table, percent, percent_spread};
use crate::{Result, files};
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::path::Path;

/// The record of one training run: its numbers, its log, and what is needed to repeat it.
///
/// `mnist cnn --record records/cnn_777.json` writes one at the end of each epoch. A lesson loads the
/// runs that take too long for a cell.
///
/// ```
/// use mnist_kit::train::{EpochRecord, History, RunRecord, runs_table};
///
/// let mut history = History::new();
/// let test_accuracy = Some(0.9902);
/// history.push(EpochRecord { epoch: 1, test_accuracy, seconds: 14.0, ..EpochRecord::default() });
/// let run = RunRecord {
///     model: "cnn".to_string(),
///     seed: 777,
///     settings: Default::default(),
///     commit: "da218d6".to_string(),
///     device: "CPU".to_string(),
///     threads: 2,
///     date: "2026-11-28".to_string(),
///     history,
///     log: "Epoch 1/1: loss 0.0000, train 0.00 %, test 99.02 %, 14.0 s\n".to_string(),
///     test: None,
/// };
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// run.save(folder.join("cnn_777.json"))?;
/// assert_eq!(RunRecord::load(folder.join("cnn_777.json"))?, run);
/// let runs = RunRecord::load_seeds(folder, "cnn")?;
/// assert_eq!(runs_table(&runs)?.rows()[0][2], "99.02 %");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// Name of the model, such as `cnn`, or of a variant, such as `resnet_one_cycle`.
    pub model: String,
    /// Seed of the initial weights and of the order of the images.
    pub seed: u64,
    /// The program's options that decided the course of the run, as JSON.
    pub settings: Map<String, Value>,
    /// Short hash of the source's commit, with `+changes` if its files differed from it; `unknown`
    /// outside a repository.
    pub commit: String,
    /// `CPU`, or the name of the GPU.
    pub device: String,
    /// Number of threads on the CPU, 1 or more.
    pub threads: usize,
    /// Day on which the last epoch ended (UTC), as `2026-11-28`.
    pub date: String,
    /// The numbers of each epoch, at least of one.
    pub history: History,
    /// The lines that the run printed.
    pub log: String,
    /// The results on the test images after the last epoch. Programs that trained before it was kept
    /// left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestRecord>,
}

impl RunRecord {
    /// Reads a record and checks it.
    ///
    /// # Errors
    /// If the file cannot be read, is no record, holds a number that no run can have, or is not
    /// named `<model>_<seed>.json` after the run in it.
    pub fn load(path: impl AsRef<Path>) -> Result<RunRecord> {
        let path = path.as_ref();
        let read = || -> Result<RunRecord> {
            let record: RunRecord = serde_json::from_str(&std::fs::read_to_string(path)?)?;
            record.check(path)?;
            Ok(record)
        };
        plain(read().with_context(|| {
            format!(
                "cannot read the record of a run from {}; `mnist MODEL --record FILE` writes one",
                path.display()
            )
        }))
    }

    /// Reads the records of a model with all seeds, `<model>_<seed>.json`, in the order of the seeds.
    ///
    /// # Errors
    /// If there is none, or [`load`](RunRecord::load) refuses one of them.
    pub fn load_seeds(folder: impl AsRef<Path>, model: &str) -> Result<Vec<RunRecord>> {
        let folder = folder.as_ref();
        let names = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let mut runs = Vec::new();
        for entry in names {
            let path = entry?.path();
            if name_of_run(&path).is_some_and(|(name, _)| name == model) {
                runs.push(RunRecord::load(path)?);
            }
        }
        ensure!(
            !runs.is_empty(),
            "found no file {model}_<seed>.json in {}; `mnist {} --record FILE` writes one",
            folder.display(),
            model.replace('_', "-")
        );
        runs.sort_by_key(|run| run.seed);
        Ok(runs)
    }

    /// Writes the record as JSON, as a whole or not at all.
    ///
    /// # Errors
    /// If [`load`](RunRecord::load) would refuse the file, or it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.check(path)
            .with_context(|| format!("cannot write the record of a run to {}", path.display()))?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        files::write_whole(path, text.as_bytes())
    }

    /// Refuses a record that contradicts itself or the name of its file.
    fn check(&self, path: &Path) -> Result<()> {
        let expected = format!("{}_{}.json", self.model, self.seed);
        ensure!(
            path.file_name() == Some(OsStr::new(&expected)),
            "it holds the run of {} with seed {}; such a file has to be named {expected}",
            self.model,
            self.seed
        );
        ensure!(!self.history.epochs().is_empty(), "it has no epochs");
        for (name, text) in [
            ("commit", &self.commit),
            ("device", &self.device),
            ("date", &self.date),
            ("log", &self.log),
        ] {
            ensure!(!text.trim().is_empty(), "its {name} is empty");
        }
        ensure!(self.threads > 0, "its number of threads is 0, expected 1 or more");
        if let Some(test) = &self.test {
            test.check()?;
        }
        self.history.check()
    }

    /// The results on the test images.
    ///
    /// # Errors
    /// When the record has none.
    pub fn test(&self) -> Result<&TestRecord> {
        self.test.as_ref().with_context(|| {
            format!(
                "the record of {} with seed {} keeps no test results; a complete run of \
                 `mnist MODEL --record FILE` adds them",
                self.model, self.seed
            )
        })
    }

    /// The history as a table, under model, seed, device, commit and date.
    pub fn table(&self) -> Table {
        let plural = if self.threads == 1 { "" } else { "s" };
        let title = format!(
            "{}, seed {}: {}, {} thread{plural}, commit {}, {}",
            self.model, self.seed, self.device, self.threads, self.commit, self.date
        );
        self.history.table().title(title).note(self.history.note())
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

/// The model and the seed in a file name `<model>_<seed>.json`.
fn name_of_run(path: &Path) -> Option<(&str, u64)> {
    let (model, seed) = path.file_name()?.to_str()?.strip_suffix(".json")?.rsplit_once('_')?;
    Some((model, seed.parse().ok()?))
}

/// The results of several runs: for each the test accuracy after its last epoch, the highest one,
/// which was chosen by looking at the test images, and the seconds. The last row has the mean and
/// the standard deviation, if the runs are of one model.
///
/// # Errors
/// If there is no run, or one has no test accuracy.
///
/// See [`RunRecord`] for an example.
pub fn runs_table(runs: &[RunRecord]) -> Result<Table> {
    let Some(first) = runs.first() else { bail!("there are no runs to compare") };
    let note = runs.iter().find_map(|run| run.history.note());
    let header = ["model", "seed", "test accuracy", "highest, in epoch", "seconds"];
    let mut table = Table::new(header).note(note);
    let mut accuracies = Vec::new();
    for run in runs {
        let named = || format!("the run of {} with seed {}", run.model, run.seed);
        let accuracy = run.history.test_accuracy().with_context(named)?;
        let best = run.history.best_on_test().with_context(named)?;
        let highest = percent(best.test_accuracy.unwrap_or(f64::NAN));
        table.push([
            run.model.clone(),
            run.seed.to_string(),
            percent(accuracy),
            format!("{highest}, {}", best.epoch),
            format!("{:.0}", run.history.seconds()),
        ]);
        accuracies.push(accuracy);
    }
    if runs.len() > 1 && runs.iter().all(|run| run.model == first.model) {
        let seconds = runs.iter().map(|run| run.history.seconds()).sum::<f64>() / runs.len() as f64;
        table.push([
            "mean ± standard deviation",
            "–",
            &percent_spread(&accuracies),
            "–",
            &format!("{seconds:.0}"),
        ]);
    }
    Ok(table)
}
