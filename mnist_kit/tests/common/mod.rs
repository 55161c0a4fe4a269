//! Helpers that several test binaries share.
#![allow(dead_code, reason = "no test binary uses all of them")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Says aloud that `part` is missing, and fails the test unless `MNIST_KIT_SKIP` names the part.
///
/// `MNIST_KIT_SKIP` is a comma-separated list of `mnist`, `python`, `weights` and `gpu`.
fn missing(part: &str, what_to_do: &str) {
    let skipped = std::env::var("MNIST_KIT_SKIP").unwrap_or_default();
    assert!(
        skipped.split(',').any(|name| name.trim() == part),
        "{part} is missing: {what_to_do}; or allow the skip with MNIST_KIT_SKIP={part}"
    );
    eprintln!("SKIPPED: {part} is missing, and MNIST_KIT_SKIP allows that");
}

/// The interpreter of the project's Python environment: `MNIST_KIT_PYTHON`, or `.venv` at the root
/// of the repository. `None` where it is missing and `MNIST_KIT_SKIP` says `python`.
pub fn python() -> Option<PathBuf> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let python = std::env::var_os("MNIST_KIT_PYTHON")
        .map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    if !python.exists() {
        missing("python", &format!("run `make setup`, which makes {}", python.display()));
        return None;
    }
    Some(python)
}

/// The folder with the four files of MNIST that `MNIST_KIT_DATA` names. `None` where it is missing
/// and `MNIST_KIT_SKIP` says `mnist`.
pub fn mnist_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("MNIST_KIT_DATA").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        missing("mnist", "set MNIST_KIT_DATA to a folder with the four files of MNIST");
    }
    folder.map(PathBuf::from)
}

/// The folder with ImageNet weights that `MNIST_KIT_WEIGHTS` names. `None` where it is missing and
/// `MNIST_KIT_SKIP` says `weights`.
pub fn weights_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("MNIST_KIT_WEIGHTS").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        missing("weights", "set MNIST_KIT_WEIGHTS to a folder with ImageNet weights");
    }
    folder.map(PathBuf::from)
}

/// The GPU. `None`, said aloud, on a machine without one, and where the driver is loaded but libtorch
/// cannot use it and `MNIST_KIT_SKIP` says `gpu`.
pub fn gpu() -> Option<tch::Device> {
    mnist_kit::init();
    if tch::Cuda::is_available() {
        return Some(tch::Device::Cuda(0));
    }
    if Path::new("/proc/driver/nvidia/version").exists() {
        missing("gpu", "libtorch cannot use it; run `MNIST_KIT_CUDA=1 make setup`");
    } else {
        eprintln!("SKIPPED: there is no GPU");
    }
    None
}

/// Runs a script of `tests/python`, and fails the test if the script fails. Returns `false` where
/// Python is missing and `MNIST_KIT_SKIP` says `python`.
pub fn run_python(script: &str, args: &[&str]) -> bool {
    let Some(python) = python() else { return false };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let output = Command::new(python).arg(script).args(args).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Holds libtorch's random generator, which all threads share, for a test that depends on a seed.
pub fn generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of an error, causes included.
pub fn message<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().expect("an error"))
}

/// Runs one test of this test binary in a process of its own, with `variables` in its environment,
/// and returns what it printed. The test must pass.
pub fn run_alone(test: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().expect("the path of the test binary");
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .envs(variables.iter().copied())
        .output()
        .expect("the test binary starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{test}: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Checks that a message shows neither a call stack of libtorch nor how the error was handed on.
pub fn assert_plain(message: &str) {
    for trace in ["Exception raised", "frame #", "CapturedTraceback", "unwrap"] {
        assert!(!message.contains(trace), "{message}");
    }
}

/// Checks that `result` is an error, and that no form of its text shows a call stack.
pub fn assert_plain_error<T>(what: &str, result: anyhow::Result<T>) {
    let Err(error) = result else { panic!("{what}: expected an error") };
    for text in [format!("{error:#}"), format!("{error:?}"), error.to_string()] {
        assert_plain(&text);
    }
}

/// A line of `/proc/self/status`, which is in kilobytes, in bytes.
pub fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    1024 * kilobytes.expect("a number of kilobytes")
}

/// Lets this process take so many megabytes of memory more than it has. Beyond, an allocation
/// fails, which ends the process.
pub fn limit_memory(megabytes: u64) {
    let limit = memory("VmSize") + (megabytes << 20);
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}
