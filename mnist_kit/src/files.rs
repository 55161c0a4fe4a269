//! Files that are written as a whole or not at all, and where output goes.

use crate::Result;
use anyhow::Context;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The beginning of the name of a file that is being written.
const PARTIAL: &str = ".partial-";

/// Lets `write` fill a temporary file beside `path`, then renames it to `path`. Creates missing
/// folders, and removes what an interrupted writer has left there.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let replace = || -> Result<()> {
        prepare_folder_of(path)?;
        let aside = partial_in(folder_of(path))?;
        write(aside.path())?;
        persist(aside, path)
    };
    replace().with_context(|| format!("cannot write {}", path.display()))
}

/// Creates an empty file in `folder` under a name that nobody can foresee, and locks it, which tells
/// [`remove_leftovers`] that its writer lives. It is deleted when it is dropped.
pub(crate) fn partial_in(folder: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    // Temporary files are private by default; the finished file has the usual permissions.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let aside = builder.tempfile_in(folder)?;
        // Another process may remove it before it is locked.
        match aside.as_file().try_lock() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !aside.path().exists() => {}
            // Nothing is removed on a file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(aside),
        }
    }
}

/// Renames a file that is complete to `path`.
pub(crate) fn persist(aside: NamedTempFile, path: &Path) -> Result<()> {
    // Without this, a power cut after the rename could leave an empty file.
    File::open(aside.path())?.sync_all()?;
    aside.persist(path)?;
    sync_folder(folder_of(path))?;
    Ok(())
}

/// Creates the missing folders of a file, and removes what an interrupted writer has left beside
/// it.
pub(crate) fn prepare_folder_of(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(folder)?;
    // A power cut could take a new folder away, and with it the files that are in it.
    for folder in missing.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
        sync_folder(folder_of(folder))?;
    }
    remove_leftovers(folder);
    Ok(())
}

/// Waits until the names of the files in a folder are on disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Removes the unfinished files of writers that have ended, as far as that is possible.
pub(crate) fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL)
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_partial
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// [`replace`], with the file that was at `path` kept as `previous`. There is a whole file at `path` at
/// every moment.
pub(crate) fn replace_keeping(
    path: &Path,
    previous: &Path,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    replace(path, |aside| {
        write(aside)?;
        if path.exists() {
            keep_as(path, previous)?;
        }
        Ok(())
    })
}

/// Gives the whole file at `path` a second name, which another file may have now. For a moment, the
/// file at `path` can be the only one.
fn keep_as(path: &Path, previous: &Path) -> Result<()> {
    match std::fs::remove_file(previous) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // Some file systems have no hard links.
    std::fs::hard_link(path, previous).map_err(Into::into).or_else(|_: anyhow::Error| {
        let aside = partial_in(folder_of(previous))?;
        std::fs::copy(path, aside.path())?;
        persist(aside, previous)
    })
}

/// Writes a file as a whole or not at all: to a temporary file first, which is then renamed to
/// `path`. Creates missing folders.
///
/// # Errors
/// If the folder is not writable.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes").join("one.txt");
/// mnist_kit::write_whole(&path, b"whole")?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn write_whole(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    replace(path.as_ref(), |aside| Ok(std::fs::write(aside, bytes)?))
}

/// Returns the output path for `name`, under the folder `MNIST_KIT_OUT`, or `out` if the variable
/// is unset or empty. Creates nothing.
///
/// ```
/// let path = mnist_kit::output_path("figures/loss.svg");
/// assert!(path.ends_with("figures/loss.svg"));
/// ```
pub fn output_path(name: &str) -> PathBuf {
    output_in(std::env::var_os("MNIST_KIT_OUT"), name)
}

fn output_in(folder: Option<OsString>, name: &str) -> PathBuf {
    let folder = folder.filter(|folder| !folder.is_empty());
    folder.map_or_else(|| PathBuf::from("out"), PathBuf::from).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_goes_where_the_environment_says() {
        let place = |folder: Option<&str>| output_in(folder.map(OsString::from), "figures/a.svg");
        assert_eq!(place(None), Path::new("out/figures/a.svg"));
        assert_eq!(place(Some("")), Path::new("out/figures/a.svg"));
        assert_eq!(place(Some("reports/1")), Path::new("reports/1/figures/a.svg"));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("new").join("file.txt");
        replace(&path, |aside| Ok(std::fs::write(aside, "old")?))?;
        let failed = replace(&path, |aside| {
            std::fs::write(aside, "half")?;
            anyhow::bail!("disk full")
        });
        assert!(format!("{:#}", failed.unwrap_err()).ends_with("file.txt: disk full"));
        assert_eq!(std::fs::read_to_string(&path)?, "old");
        assert_eq!(std::fs::read_dir(path.parent().unwrap())?.count(), 1);
        Ok(())
    }

    #[test]
    fn the_file_before_is_kept_without_another_name_on_the_way() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let [path, previous] = ["new", "old"].map(|name| folder.path().join(name));
        let replace = |text: &str| {
            replace_keeping(&path, &previous, |aside| Ok(std::fs::write(aside, text)?))
        };
        let names = || -> Result<Vec<OsString>> {
            let mut names: Vec<OsString> = std::fs::read_dir(folder.path())?
                .map(|entry| Ok(entry?.file_name()))
                .collect::<Result<_>>()?;
            names.sort();
            Ok(names)
        };
        replace("1")?;
        assert_eq!(names()?, ["new"]);
        replace("2")?;
        // A run that was killed before its last step leaves one file under both names.
        std::fs::remove_file(&previous)?;
        std::fs::hard_link(&path, &previous)?;
        replace("3")?;
        assert_eq!(names()?, ["new", "old"]);
        assert_eq!(std::fs::read_to_string(&path)?, "3");
        assert_eq!(std::fs::read_to_string(&previous)?, "2");
        Ok(())
    }

    #[test]
    fn what_a_dead_writer_has_left_is_removed_and_what_a_living_one_writes_is_kept() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let [dead, living] =
            ["dead", "living"].map(|who| folder.path().join(".partial-".to_owned() + who));
        std::fs::write(&dead, "half")?;
        let writing = File::create(&living)?;
        writing.lock()?;
        write_whole(folder.path().join("file.txt"), b"whole")?;
        assert!(!dead.exists() && living.exists());
        drop(writing);
        write_whole(folder.path().join("file.txt"), b"again")?;
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
