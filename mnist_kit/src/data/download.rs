//! Fetching published files into a folder: mirrors, time limits, checks, and two processes at once.

use super::idx::decompressed;
use crate::Result;
use anyhow::{Context, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use ureq::{Agent, Timeout};

/// A published file: what it is called, and how to know that it is whole.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteFile {
    /// Its name in the folder.
    pub name: String,
    /// What mirrors add to the name: `.gz`, or nothing.
    pub suffix: String,
    /// Size of the decompressed content, in bytes; one number twice where it is published. No more than the
    /// greater one is ever written to disk.
    pub bytes: RangeInclusive<u64>,
    /// SHA-256 of the decompressed content, 64 lower-case hexadecimal digits, or as many of the first as are published.
    pub sha256: String,
}

impl RemoteFile {
    /// The content of the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is not this file as it was published, byte for byte. Hashing takes 0.03–0.3 s for
    /// the 47 MB of MNIST's training images, so it is done at every load.
    ///
    /// ```
    /// use mnist_kit::data::RemoteFile;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("abc");
    /// let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_string();
    /// let file = RemoteFile { name: "abc".to_string(), suffix: ".gz".to_string(), bytes: 3..=3, sha256 };
    /// std::fs::write(&path, "abc")?;
    /// assert_eq!(file.content(&path)?, b"abc");
    /// std::fs::write(&path, "abd")?;
    /// assert!(file.content(&path).is_err());
    /// // Some files are published with the first digits of their sum.
    /// let short = RemoteFile { sha256: "ba7816bf".to_string(), ..file };
    /// assert!(short.content(&path).is_err());
    /// std::fs::write(&path, "abc")?;
    /// assert_eq!(short.content(&path)?, b"abc");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn content(&self, path: &Path) -> Result<Vec<u8>> {
        self.read(path).with_context(|| path.display().to_string())
    }

    /// [`content`](RemoteFile::content), with messages that leave out the path.
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let (least, most) = (*self.bytes.start(), *self.bytes.end());
        File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
        let found = content.len() as u64;
        ensure!(found >= least, "incomplete, {found} of {least} bytes");
        ensure!(found <= most, "longer than the published {most} bytes");
        let sha256: String =
            Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = !self.sha256.is_empty() && sha256.starts_with(&self.sha256);
        ensure!(known, "not the published content, by its SHA-256 sum");
        Ok(content)
    }
}

/// How long a download may take. The defaults let a 30 kB/s line finish MNIST's largest file (9.9 MB).
#[derive(Clone, Debug, PartialEq)]
pub struct TimeLimits {
    /// To reach a server. Default 10 s.
    pub connect: Duration,
    /// Between two pieces of its answer. Default 20 s.
    pub read: Duration,
    /// For one file from one mirror, from first to last; ends servers that drip. Default 6 min.
    pub total: Duration,
}

impl Default for TimeLimits {
    fn default() -> TimeLimits {
        TimeLimits {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(20),
            total: Duration::from_secs(360),
        }
    }
}

/// Puts into `folder` each of `files` that is not there or not whole, decompressed, and returns the mirrors they came from
/// (none when everything was there).
///
/// A file is written under another name, checked, and renamed: readers see whole files only. A lock file lets one process
/// fetch and the others wait and find the files. A mirror that fails in any way is followed by the next one. Each download
/// is a line on standard output, and a progress bar on standard error where that is a terminal.
///
/// # Errors
/// When the folder cannot be written, or no mirror gives a file; the message names each URL with its cause.
///
/// ```
/// use mnist_kit::data::{TimeLimits, download};
///
/// let folder = tempfile::tempdir()?;
/// assert!(download(&[], folder.path(), &[], &TimeLimits::default())?.is_empty());
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn download(
    files: &[RemoteFile],
    folder: &Path,
    mirrors: &[String],
    limits: &TimeLimits,
) -> Result<Vec<String>> {
    let _lock = lock(folder).with_context(|| format!("{}: cannot be written", folder.display()))?;
    let mut mirrors = mirrors.to_vec();
    let mut used = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        match file.content(&path) {
            Ok(_) => continue,
            Err(problem) if path.exists() => println!("{problem:#}; fetching it again"),
            Err(_) => {}
        }
        let mut problems = Vec::new();
        let winner = mirrors.iter().position(|mirror| {
            let url = format!("{}/{}{}", mirror.trim_end_matches('/'), file.name, file.suffix);
            println!("downloading {url}");
            fetch(file, &url, &path, limits)
                .map_err(|problem| problems.push(format!("{url}: {problem:#}")))
                .is_ok()
        });
        match winner {
            // What failed now would fail slowly for each of the other files too.
            Some(winner) => mirrors.rotate_left(winner),
            None if problems.is_empty() => bail!("no mirror to fetch {} from", file.name),
            None => bail!("{}", problems.join("; ")),
        }
        if !used.contains(&mirrors[0]) {
            used.push(mirrors[0].clone());
        }
    }
    Ok(used)
}

/// Creates the folder and holds its lock, after the process that holds it now, for as long as the file is open.
fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock =
        File::options().create(true).truncate(false).write(true).open(folder.join(".lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            println!("waiting for another process, which is fetching the same files");
            lock.lock()?;
        }
        Err(TryLockError::Error(problem)) => return Err(problem),
    }
    Ok(lock)
}

/// One attempt at one file.
fn fetch(file: &RemoteFile, url: &str, path: &Path, limits: &TimeLimits) -> Result<()> {
    // ureq adds these to the time of day, which ends somewhere.
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(limits.connect.min(year)))
        .timeout_per_read(Some(limits.read.min(year)))
        .timeout_global(Some(limits.total.min(year)))
        .build()
        .new_agent();
    let body = agent.get(url).call().map_err(|problem| short(problem, limits))?.into_body();
    let bar = progress_bar(&file.name, body.content_length());
    let part = path.with_file_name(format!("{}.part", file.name));
    let written = decompressed(bar.wrap_read(body.into_reader()))
        .and_then(|content| {
            io::copy(
                &mut content.take(file.bytes.end().saturating_add(1)),
                &mut File::create(&part)?,
            )
        })
        .map_err(|problem| short(problem.into(), limits))
        .and_then(|_| file.read(&part));
    bar.finish_and_clear();
    match written {
        Ok(_) => Ok(fs::rename(&part, path)?),
        Err(problem) => {
            fs::remove_file(&part).ok();
            Err(problem)
        }
    }
}

/// indicatif draws on standard error, and only where that is a terminal.
fn progress_bar(name: &str, bytes: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:20} {bytes}/{total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bytes
        .map_or_else(ProgressBar::no_length, ProgressBar::new)
        .with_style(style)
        .with_message(name.to_string())
}

/// The cause of a failed download in a few words.
fn short(problem: ureq::Error, limits: &TimeLimits) -> anyhow::Error {
    match problem {
        ureq::Error::StatusCode(status) => anyhow!("the server answered {status}"),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            anyhow!("no connection within {:?}", limits.connect)
        }
        ureq::Error::Timeout(Timeout::PerRead) => anyhow!("silent for {:?}", limits.read),
        ureq::Error::Timeout(_) => anyhow!("not complete after {:?}", limits.total),
        ureq::Error::Io(cause) => anyhow!("{cause}"),
        other => anyhow!("{other}"),
    }
}
