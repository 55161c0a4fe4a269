//! The record of a run, which `--record` asks for.

use anyhow::{Context, Result, ensure};
use mnist_kit::eval::{Evaluation, TestRecord};
use mnist_kit::train::{EpochRecord, History, RunRecord};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::Device;
use time::OffsetDateTime;

/// The number of a model's most confident mistakes that a record keeps.
const RECORDED_MISTAKES: usize = 10;

/// Writes the record of a run at the end of each epoch.
pub struct Recorder {
    path: PathBuf,
    record: RunRecord,
}

impl Recorder {
    /// Prepares the record of a run of `model`, the subcommand's name in a file name.
    ///
    /// The file's name says which run it is: `<model>_<seed>.json`, where words that follow the
    /// model's name tell variants apart, as in `resnet_one_cycle_42.json`.
    pub fn new(
        path: &Path,
        model: &str,
        seed: u64,
        settings: Map<String, Value>,
        device: Device,
    ) -> Result<Recorder> {
        let stem = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = stem.strip_suffix(&format!("_{seed}.json")).filter(|name| {
            name.strip_prefix(model).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        let name = name.with_context(|| {
            format!(
                "--record {}: the file has to be named after model and seed, {model}_{seed}.json or \
                 {model}_VARIANT_{seed}.json",
                path.display()
            )
        })?;
        let record = RunRecord {
            model: name.to_string(),
            seed,
            settings,
            commit: commit(),
            device: device_name(device),
            threads: usize::try_from(tch::get_num_threads())?,
            date: today(),
            history: History::new(),
            log: String::new(),
            test: None,
        };
        Ok(Recorder { path: path.to_path_buf(), record })
    }

    /// Continues the record of the epochs that a checkpoint has restored. `line` formats an epoch as
    /// the run prints it.
    pub fn start(
        &mut self,
        restored: &History,
        num_epochs: usize,
        line: impl Fn(&EpochRecord) -> String,
    ) -> Result<()> {
        self.record.history = restored.clone();
        let completed = restored.epochs().len();
        if completed == 0 {
            return Ok(());
        }
        let earlier = self.path.exists().then(|| RunRecord::load(&self.path)).transpose()?;
        let known = earlier.as_ref().map_or(0, |earlier| earlier.history.epochs().len());
        if let Some(earlier) = earlier {
            let common = known.min(completed);
            ensure!(
                earlier.history.epochs()[..common] == restored.epochs()[..common],
                "{} is the record of another run: its epochs are not those of the checkpoint; \
                 remove it or name another file",
                self.path.display()
            );
            if known == completed && completed >= num_epochs {
                // The run was complete, and its record is.
                self.record = earlier;
                return Ok(());
            }
            self.record.log = earlier.log;
        }
        for epoch in restored.epochs().iter().skip(known) {
            self.record.log += &format!("{} (from the checkpoint)\n", line(epoch));
        }
        if completed < num_epochs {
            let RunRecord { commit, date, .. } = &self.record;
            self.record.log +=
                &format!("Resumed after epoch {completed} on {date}, commit {commit}\n");
        }
        self.record.save(&self.path)
    }

    /// Adds an epoch with the line that was printed for it, and writes the record.
    pub fn epoch(&mut self, epoch: &EpochRecord, line: &str) -> Result<()> {
        self.record.history.push(epoch.clone());
        self.record.log += &format!("{line}\n");
        self.record.date = today();
        self.record.save(&self.path)
    }
}

/// Adds the results on the test images to the record of a run.
pub fn add_test(path: &Path, evaluation: &Evaluation) -> Result<()> {
    let mut record = RunRecord::load(path)?;
    record.test = Some(TestRecord::of(evaluation, RECORDED_MISTAKES)?);
    record.save(path)
}

/// The date in UTC, as `2026-11-28`.
fn today() -> String {
    OffsetDateTime::now_utc().date().to_string()
}

fn device_name(device: Device) -> String {
    if !device.is_cuda() {
        return "CPU".to_string();
    }
    let environment = mnist_kit::environment();
    let mut rows = environment.rows().iter();
    rows.find(|row| row[0] == "device").map_or("GPU".to_string(), |row| row[1].clone())
}

/// The commit of the program's source, with `+changes` if files that the program is built from
/// differ from it; `unknown` where the source is not in a repository.
fn commit() -> String {
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_string();
    };
    let sources = ["..", "../../Cargo.toml", "../../Cargo.lock"];
    let changes =
        git(&[&["status", "--porcelain", "--untracked-files=no", "--"], &sources[..]].concat());
    match changes.as_deref() {
        Some("") => commit,
        _ => commit + "+changes",
    }
}

/// The output of a git command in the folder of the program's source, if it succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
