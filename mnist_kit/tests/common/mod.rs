//! What several tests need.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The interpreter of the project's Python environment: `MNIST_KIT_PYTHON`, or `.venv` at the root
/// of the repository.
fn python() -> PathBuf {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    std::env::var_os("MNIST_KIT_PYTHON")
        .map_or_else(|| root.join(".venv/bin/python"), PathBuf::from)
}

/// Runs a script of `tests/python` and fails the test when the script fails; `false`, said aloud,
/// where there is no Python environment.
#[allow(dead_code, reason = "not every test binary asks Python")]
pub fn run_python(script: &str, args: &[&str]) -> bool {
    let python = python();
    if !python.exists() {
        println!("skipped: no Python at {}; run `make setup`", python.display());
        return false;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let output = Command::new(python).arg(script).args(args).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// libtorch has one random generator for all threads: a test that depends on a seed holds it alone.
#[allow(dead_code, reason = "not every test binary draws")]
pub fn generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an error says, causes included.
#[allow(dead_code, reason = "not every test binary refuses something")]
pub fn message<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().expect("an error"))
}
