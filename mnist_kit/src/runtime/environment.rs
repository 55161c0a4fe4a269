//! Tables of the software and the machine.

use crate::table::Table;
use std::process::Command;
use sysinfo::{CpuRefreshKind, System};

/// Returns a table of versions, device and threads. Also prepares the process, see
/// [`init`](crate::init).
///
/// ```
/// let table = mnist_kit::environment();
/// assert_eq!(table.rows()[0][0], "mnist_kit");
/// ```
pub fn environment() -> Table {
    crate::init();
    let cuda = tch::Cuda::is_available();
    let mut table = Table::new(["part", "found"])
        .row(["mnist_kit", env!("CARGO_PKG_VERSION")])
        .row(["tch", env!("MNIST_KIT_TCH_VERSION")])
        .row(["libtorch", &libtorch_version().unwrap_or_else(|| "version unknown".to_string())])
        .row(["CUDA", if cuda { "yes" } else { "no" }]);
    if cuda {
        let gpu = gpus().unwrap_or_else(|| "name unknown (nvidia-smi did not answer)".to_string());
        table.push(["device", &gpu]);
    } else {
        let threads = tch::get_num_threads();
        let plural = if threads == 1 { "" } else { "s" };
        table.push(["device", &format!("CPU, {threads} thread{plural}")]);
    }
    table
}

/// Returns a table of operating system, processor and memory, followed by the rows of
/// [`environment`] and the compiler, number of GPUs, mixed precision and run mode; for reports.
///
/// ```
/// let table = mnist_kit::machine_table();
/// for part in ["processor", "rustc", "number of GPUs", "mixed precision (AMP)", "run mode"] {
///     assert!(table.rows().iter().any(|row| row[0] == part), "{part}");
/// }
/// ```
pub fn machine_table() -> Table {
    let mut system = System::new();
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    system.refresh_memory();
    let unknown = || "unknown".to_string();
    let processor = system.cpus().first().map(|cpu| cpu.brand().trim().to_string());
    let memory = format!("{:.0} GiB", system.total_memory() as f64 / 2f64.powi(30));
    let mut table = Table::new(["part", "found"])
        .row(["operating system", &System::long_os_version().unwrap_or_else(unknown)])
        .row(["architecture", &System::cpu_arch()])
        .row(["processor", &processor.unwrap_or_else(unknown)])
        .row(["cores", &system.cpus().len().to_string()])
        .row(["memory", &memory]);
    for row in environment().rows() {
        table.push(row);
    }
    let gpus = tch::Cuda::device_count();
    let precision = if gpus > 0 { "available" } else { "off: it needs CUDA" };
    let mode = if gpus > 0 { "one process, GPU" } else { "one process, CPU" };
    table
        .row(["rustc", env!("MNIST_KIT_RUSTC_VERSION")])
        .row(["number of GPUs", &gpus.to_string()])
        .row(["mixed precision (AMP)", precision])
        .row(["run mode", mode])
}

/// Reads libtorch's version from its installation: `version.py` of the Python package, or
/// `build-version` of the plain archive.
fn libtorch_version() -> Option<String> {
    let root = super::cuda::folder_of_libtorch()?.parent()?.to_path_buf();
    if let Ok(version) = std::fs::read_to_string(root.join("build-version")) {
        return Some(version.trim().to_string());
    }
    let python = std::fs::read_to_string(root.join("version.py")).ok()?;
    let line = python.lines().find(|line| line.starts_with("__version__"))?;
    line.split(['"', '\'']).nth(1).map(str::to_string)
}

/// Asks nvidia-smi for name and memory of each GPU, which libtorch's C++ interface does not tell.
fn gpus() -> Option<String> {
    let mut query = Command::new("nvidia-smi");
    let output =
        query.args(["--query-gpu=name,memory.total", "--format=csv,noheader"]).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names: Vec<&str> = names.lines().filter(|line| !line.is_empty()).collect();
    (output.status.success() && !names.is_empty()).then(|| names.join("; "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_of_libtorch_is_read_from_the_installation() {
        assert_eq!(tch::Tensor::from_slice(&[1.0f32]).size(), [1]);
        let version = super::libtorch_version().expect("libtorch is loaded");
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
    }
}
