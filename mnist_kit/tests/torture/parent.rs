//! Starts the children, and counts what they survive.

use crate::Part;
use serde_json::json;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Cases of one child: what it leaks must not add up.
const CASES: u64 = 20_000;

pub struct Outcome {
    pub attempts: u64,
    pub lost: u64,
    /// The cases whose files were read; the others were refused.
    pub read: u64,
    seconds: f64,
}

impl Outcome {
    pub fn json(&self, part: &Part) -> String {
        json!({
            "part": format!("read {}", part.name),
            "attempts": self.attempts,
            "survived": self.attempts - self.lost,
            "lost": self.lost,
            "seconds": (10.0 * self.seconds).round() / 10.0,
            "note": format!("{} files read, {} MiB", self.read, part.mebibytes),
        })
        .to_string()
    }
}

/// Has `count` cases of a part read, from the one with the number `first`.
pub fn run(part: &Part, first: u64, count: u64) -> Outcome {
    let start = Instant::now();
    // In memory where possible: files are written by the hundred thousand.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder");
    let mut outcome = Outcome { attempts: count, lost: 0, read: 0, seconds: 0.0 };
    let (mut next, end) = (first, first + count);
    while next < end {
        let cases = CASES.min(end - next);
        next = batch(part, next, cases, folder.path(), &mut outcome);
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome
}

/// Runs one child, and returns the case to go on with: one after that of which it died.
fn batch(part: &Part, first: u64, count: u64, folder: &Path, outcome: &mut Outcome) -> u64 {
    let stderr = File::create(folder.join("stderr")).expect("a file");
    let _ = fs::remove_file(folder.join("progress"));
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env("MNIST_KIT_TORTURE", format!("{}:{first}:{count}", part.name))
        .env("MNIST_KIT_TORTURE_FOLDER", folder)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .output()
        .expect("this program starts");
    let mut done = false;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(lost) = line.strip_prefix("LOST ") {
            outcome.lost += 1;
            eprintln!("{}, case {lost}", part.name);
        } else if let Some(read) = line.strip_prefix("READ ") {
            outcome.read += read.parse::<u64>().expect("a number");
            done = true;
        }
    }
    if done {
        return first + count;
    }
    let stderr = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
    let case = fs::read(folder.join("progress")).ok().and_then(|bytes| bytes.try_into().ok());
    let case = case.map(u64::from_le_bytes).unwrap_or_else(|| {
        panic!("{}: the child did not start: {}, {stderr}", part.name, output.status)
    });
    outcome.lost += 1;
    let death = match output.status.signal() {
        Some(libc::SIGPROF | libc::SIGALRM) => "it took too long".to_string(),
        Some(libc::SIGABRT) => "it aborted".to_string(),
        Some(signal) => format!("signal {signal}"),
        None => output.status.to_string(),
    };
    eprintln!("{}, case {case}: {death}. {}", part.name, stderr.lines().last().unwrap_or_default());
    case + 1
}
