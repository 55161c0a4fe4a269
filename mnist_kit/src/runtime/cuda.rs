//! Loads libtorch's CUDA library, which the linker leaves out of every program.

use std::path::{Path, PathBuf};

/// Loads `libtorch_cuda.so` from the folder that libtorch was loaded from, if it is there and the
/// machine has NVIDIA's driver. Without a driver there is no GPU to use, and the library alone would
/// take a fifth of a second of every start.
pub(crate) fn preload() {
    if let Some(folder) = folder_of_libtorch().filter(|_| has_driver()) {
        load(&folder.join("libtorch_cuda.so"));
    }
}

/// Returns the folder that this process loaded libtorch from (Linux only).
pub(crate) fn folder_of_libtorch() -> Option<PathBuf> {
    folder_in(&std::fs::read_to_string("/proc/self/maps").ok()?)
}

/// Finds the folder of `libtorch_cpu.so` in the text of `/proc/self/maps`, whose lines end with a
/// file's path.
fn folder_in(maps: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])))
        .find(|path| path.file_name().is_some_and(|name| name == "libtorch_cpu.so"))
        .and_then(|path| path.parent().map(Path::to_owned))
}

/// Returns whether NVIDIA's driver is installed: its library is found as CUDA itself finds it.
#[cfg(unix)]
fn has_driver() -> bool {
    load(Path::new("libcuda.so.1"))
}

#[cfg(not(unix))]
fn has_driver() -> bool {
    false
}

/// Loads a library until the process ends, with its symbols visible to all others. Returns whether
/// that worked.
#[cfg(unix)]
fn load(library: &Path) -> bool {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // Safety: the initializers of libtorch's library only register operators; it is never unloaded.
    match unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(loaded) => {
            std::mem::forget(loaded);
            true
        }
        Err(_) => false,
    }
}

/// On other systems the linker keeps the library.
#[cfg(not(unix))]
fn load(_library: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> String {
        std::fs::read_to_string("/proc/self/maps").unwrap_or_default()
    }

    #[test]
    fn the_cuda_library_is_loaded_if_there_is_one() {
        // Uses tch, so that the linker keeps libtorch in the test.
        assert_eq!(tch::Tensor::from_slice(&[1.0f32]).size(), [1]);
        let folder = folder_of_libtorch().expect("libtorch is loaded");
        let library = folder.join("libtorch_cuda.so");
        crate::init();
        crate::init();
        assert_eq!(maps().contains("/libtorch_cuda.so"), has_driver() && library.is_file());
        // A machine without a driver can load it all the same.
        if library.is_file() {
            assert!(load(&library) && maps().contains("/libtorch_cuda.so"));
        } else {
            eprintln!("SKIPPED: {} has no libtorch_cuda.so", folder.display());
            assert!(!maps().contains("libtorch_cuda.so"));
        }
    }

    #[test]
    fn a_missing_or_broken_library_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!load(&folder.path().join("libtorch_cuda.so")));
        std::fs::write(folder.path().join("libtorch_cuda.so"), "not a library").unwrap();
        assert!(!load(&folder.path().join("libtorch_cuda.so")));
    }

    #[test]
    fn finds_the_folder_of_libtorch_in_a_memory_map() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 12 /usr/lib/libc.so.6\n\
                    7f02-7f03 r-xp 00000000 fe:00 13                         /opt/my torch/lib/libtorch_cpu.so\n\
                    7f04-7f05 rw-p 00000000 00:00 0 \n";
        assert_eq!(folder_in(maps), Some(PathBuf::from("/opt/my torch/lib")));
        assert_eq!(folder_in("7f04-7f05 rw-p 00000000 00:00 0 [heap]\n"), None);
    }
}
