//! Files that are written as a whole or not at all, and where output goes.

use crate::Result;
use anyhow::Context;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Lets `write` fill a temporary file beside `path`, then renames it to `path`. Creates missing
/// folders.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let replace = || -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        // Temporary files are private by default; the finished file has the usual permissions.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let aside = builder.tempfile_in(folder)?;
        write(aside.path())?;
        // Without this, a power cut after the rename could leave an empty file.
        File::open(aside.path())?.sync_all()?;
        aside.persist(path)?;
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    };
    replace().with_context(|| format!("cannot write {}", path.display()))
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
            let mut second_name = previous.as_os_str().to_owned();
            second_name.push(".partial");
            // What an interrupted run has left.
            let _ = std::fs::remove_file(&second_name);
            // Some file systems have no hard links.
            std::fs::hard_link(path, &second_name)
                .or_else(|_| std::fs::copy(path, &second_name).map(|_| ()))?;
            std::fs::rename(&second_name, previous)?;
        }
        Ok(())
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
}
