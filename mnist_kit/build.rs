//! Puts the folder of libtorch into the run path of this package's programs, tests and examples, and
//! passes on the versions of tch and of the compiler.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    println!("cargo:rerun-if-changed={}", lock.display());
    let version = std::fs::read_to_string(lock).ok().and_then(|lock| locked_version(&lock, "tch"));
    let version = version.as_deref().unwrap_or("version unknown");
    println!("cargo:rustc-env=MNIST_KIT_TCH_VERSION={version}");
    let rustc = compiler_version().unwrap_or_else(|| "version unknown".to_string());
    println!("cargo:rustc-env=MNIST_KIT_RUSTC_VERSION={rustc}");
}

/// The version that the compiler gives of itself, without its name.
fn compiler_version() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    Some(line.trim().trim_start_matches("rustc ").to_string())
}

/// The version that stands under a package's name in `Cargo.lock`.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_string())
}
