//! Downloads of published files into a folder: mirrors, time limits, checksums, and a lock for
//! processes that want the same files at once.

use super::idx::decompressed;
use crate::Result;
use crate::files::{partial_in, persist, prepare_folder_of};
use crate::runtime::{ProgressBar, stop};
use anyhow::{Context, anyhow, bail, ensure};
use indicatif::ProgressStyle;
use md5::Md5;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use sysinfo::System;
use ureq::{Agent, Timeout};

/// A published file: its name, and the means to tell whether a copy is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteFile {
    /// The name in the folder.
    pub name: String,
    /// The suffix that mirrors add to the name: `.gz`, or nothing.
    pub suffix: String,
    /// The size of the file in the folder, in bytes; the same number twice if it is known exactly.
    /// Nothing beyond the upper bound is written to disk.
    pub bytes: RangeInclusive<u64>,
    /// The published checksum.
    pub checksum: Checksum,
}

/// A checksum in lower-case hexadecimal digits. Its kind decides how the file is stored, because
/// the stored file is checked at every load.
#[derive(Clone, Debug, PartialEq)]
pub enum Checksum {
    /// SHA-256 of the decompressed content: all 64 digits, or the first ones if no more are
    /// published. The file is stored decompressed.
    Sha256OfContent(String),
    /// MD5 of the file that mirrors serve. The file is stored as it is served. MD5 detects damage,
    /// but not a file that somebody forged.
    Md5OfDownload(String),
}

impl Checksum {
    /// Returns whether the rest of `file` has this checksum.
    fn matches(&self, file: &mut File) -> io::Result<bool> {
        let (sum, published) = match self {
            Checksum::Sha256OfContent(sum) => (hash::<Sha256>(file)?, sum),
            Checksum::Md5OfDownload(sum) => (hash::<Md5>(file)?, sum),
        };
        Ok(!published.is_empty() && sum.starts_with(published))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Checksum::Sha256OfContent(_) => "SHA-256",
            Checksum::Md5OfDownload(_) => "MD5",
        }
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let sum = || hash::<Sha256>(&mut File::open(path)?);
    sum().with_context(|| path.display().to_string())
}

/// The digest of what is left to read, in hexadecimal.
fn hash<D: Digest>(file: &mut File) -> io::Result<String> {
    let (mut digest, mut buffer) = (D::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl RemoteFile {
    /// Opens the copy at `path` after checking its size and checksum.
    ///
    /// Every load checks. Hashing MNIST's training images (47 MB) takes 0.03 to 0.3 s.
    ///
    /// # Errors
    /// When the file cannot be read, or differs from the published one.
    ///
    /// ```
    /// use mnist_kit::data::{Checksum, RemoteFile};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("abc");
    /// // Some files are published with the first digits of their sum only.
    /// let checksum = Checksum::Sha256OfContent("ba7816bf".to_string());
    /// let file = RemoteFile { name: "abc".into(), suffix: ".gz".into(), bytes: 3..=3, checksum };
    /// std::fs::write(&path, "abc")?;
    /// assert!(file.open(&path).is_ok());
    /// std::fs::write(&path, "abd")?;
    /// assert!(file.open(&path).is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn open(&self, path: &Path) -> Result<File> {
        self.checked(path).with_context(|| path.display().to_string())
    }

    /// [`open`](RemoteFile::open), with messages that leave out the path.
    fn checked(&self, path: &Path) -> Result<File> {
        let mut file = File::open(path)?;
        let (least, most, found) = (*self.bytes.start(), *self.bytes.end(), file.metadata()?.len());
        ensure!(found >= least, "incomplete, {found} of {least} bytes");
        ensure!(found <= most, "longer than the published {most} bytes");
        ensure!(
            self.checksum.matches(&mut file)?,
            "not the published content, by its {} sum",
            self.checksum.algorithm()
        );
        file.rewind()?;
        Ok(file)
    }
}

/// Limits on the duration of a download.
///
/// With the defaults, a connection of 30 kB/s finishes MNIST's largest file (9.9 MB).
#[derive(Clone, Debug, PartialEq)]
pub struct TimeLimits {
    /// Until the name of a server is resolved, and again until it accepts the connection. Defaults
    /// to 10 s.
    pub connect: Duration,
    /// Between two pieces of the answer. Defaults to 20 s.
    pub read: Duration,
    /// For one file from one mirror, so that a server that sends a byte at a time is given up.
    /// Defaults to 6 minutes. A file whose size may exceed 100 MB gets one second more for each
    /// megabyte.
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

/// Downloads each of `files` that `folder` lacks or has in a damaged copy.
///
/// Returns the mirrors that were used, none if every file was there; then nothing is written, not
/// even a lock. A file is written under another name, checked, and then renamed, so that readers see
/// complete files only. A lock makes other processes wait and then find the files. If a mirror fails
/// in any way, the next one is tried; one whose URL starts with `https:` must not redirect to
/// `http:`. Each download prints a line on standard output, and draws a progress bar on standard
/// error if that is a terminal, or in a notebook with live output.
///
/// # Errors
/// When the folder cannot be written, another process holds the lock without any progress for the
/// time that it takes to give up a silent server (30 s by default), or no mirror gives a file; the
/// message names that process, or each URL with the cause. [`Interrupted`](crate::Interrupted) when the cell is asked
/// to stop.
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
    if files.iter().all(|file| file.open(&folder.join(&file.name)).is_ok()) {
        return Ok(Vec::new());
    }
    let lock = lock(folder, limits.connect.saturating_add(limits.read))?;
    let mut mirrors = mirrors.to_vec();
    let mut used = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        match file.open(&path) {
            Ok(_) => continue,
            Err(problem) if path.exists() => println!("{problem:#}; fetching it again"),
            Err(_) => {}
        }
        let mut problems = Vec::new();
        let winner = mirrors.iter().position(|mirror| {
            let url = format!("{}/{}{}", mirror.trim_end_matches('/'), file.name, file.suffix);
            if stop::stop_requested() {
                return false;
            }
            println!("downloading {url}");
            // Tells those who wait for the lock that something happens.
            let _ = lock.set_modified(SystemTime::now());
            fetch(file, &url, folder, limits)
                .map_err(|problem| problems.push(format!("{url}: {problem:#}")))
                .is_ok()
        });
        stop::check(|| format!("the download of {}", file.name))?;
        match winner {
            // A mirror that failed now would fail for the other files too, and slowly.
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

/// Creates the folder and takes its lock, which is held until the returned file is closed. Gives up
/// when the holder makes no progress for `patience`. The file names the holder.
fn lock(folder: &Path, patience: Duration) -> Result<File> {
    let path = folder.join(".lock");
    let open = || {
        prepare_folder_of(&path)?;
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        // A link could lead to any file, which would then be overwritten.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
        options.open(&path)
    };
    let unwritable = || format!("{}: cannot be written", path.display());
    let mut lock = open().with_context(unwritable)?;
    let (mut seen, mut since) = (Vec::new(), None);
    loop {
        match lock.try_lock() {
            Ok(()) => {
                let host = System::host_name().unwrap_or_else(|| "an unknown host".to_string());
                let name = format!("process {} on {host}", std::process::id());
                lock.set_len(0)
                    .and_then(|()| lock.write_all(name.as_bytes()))
                    .with_context(unwritable)?;
                return Ok(lock);
            }
            Err(TryLockError::Error(problem)) => {
                return Err(problem).with_context(unwritable);
            }
            Err(TryLockError::WouldBlock) if since.is_none() => {
                println!("waiting for {}, which is fetching the same files", holder(&path));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(100)),
        }
        stop::check(|| format!("the wait for {}", path.display()))?;
        let state = state(folder);
        let start = since.get_or_insert_with(Instant::now);
        if state != seen {
            (seen, *start) = (state, Instant::now());
        }
        ensure!(
            start.elapsed() < patience,
            "{}: {} has held this lock for {patience:?} without progress; end that process, then \
             try again",
            path.display(),
            holder(&path)
        );
    }
}

/// The process that holds a lock, as far as it is known.
fn holder(lock: &Path) -> String {
    // The name is short; the file may be anything.
    let mut name = String::new();
    let read = File::open(lock).and_then(|file| file.take(200).read_to_string(&mut name));
    match read {
        Ok(1..) if name.starts_with("process ") && !name.contains(char::is_control) => name,
        _ => "another process".to_string(),
    }
}

/// Lists what changes in a folder while somebody downloads into it: names, sizes and times.
fn state(folder: &Path) -> Vec<(OsString, u64, Option<SystemTime>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut state: Vec<_> = entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((entry.file_name(), metadata.len(), metadata.modified().ok()))
        })
        .collect();
    state.sort();
    state
}

/// Tries one mirror for one file.
fn fetch(file: &RemoteFile, url: &str, folder: &Path, limits: &TimeLimits) -> Result<()> {
    let limits = &TimeLimits { total: total(file, limits), ..limits.clone() };
    let body =
        agent(url, limits).get(url).call().map_err(|problem| short(problem, limits))?.into_body();
    let bar = progress_bar(&file.name, body.content_length());
    let part = partial_in(folder)?;
    let live = ProgressBar::new(&file.name, body.content_length().unwrap_or(0) as usize);
    let served = bar.wrap_read(body.into_reader());
    let served = Watched { served, live: live.unit("bytes") };
    let content: io::Result<Box<dyn Read>> = match file.checksum {
        Checksum::Sha256OfContent(_) => decompressed(served),
        Checksum::Md5OfDownload(_) => Ok(Box::new(served)),
    };
    let written = content
        .and_then(|content| {
            let mut content = content.take(file.bytes.end().saturating_add(1));
            let mut writer = BufWriter::with_capacity(1 << 20, part.as_file());
            io::copy(&mut content, &mut writer)?;
            writer.flush()
        })
        .map_err(|problem| short(problem.into(), limits))
        .and_then(|()| file.checked(part.path()));
    bar.finish_and_clear();
    written.and_then(|_| persist(part, &folder.join(&file.name)))
}

/// The HTTP client for a URL.
fn agent(url: &str, limits: &TimeLimits) -> Agent {
    // ureq adds these to the time of day, which would overflow.
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    Agent::config_builder()
        .timeout_resolve(Some(limits.connect.min(year)))
        .timeout_connect(Some(limits.connect.min(year)))
        .timeout_per_read(Some(limits.read.min(year)))
        .timeout_global(Some(limits.total.min(year)))
        // Plain HTTP is for a mirror that is named with it, not for a redirect.
        .https_only(!url.to_ascii_lowercase().starts_with("http:"))
        .build()
        .new_agent()
}

/// A progress bar on standard error; indicatif draws it only on a terminal.
fn progress_bar(name: &str, bytes: Option<u64>) -> indicatif::ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:20} {bytes}/{total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bytes
        .map_or_else(indicatif::ProgressBar::no_length, indicatif::ProgressBar::new)
        .with_style(style)
        .with_message(name.to_string())
}

/// Shows in a notebook how much has been read, and ends where the cell is asked to stop.
struct Watched<R> {
    served: R,
    live: ProgressBar,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if stop::stop_requested() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.served.read(buffer)?;
        self.live.advance(count);
        Ok(count)
    }
}

/// The total time limit for a file.
fn total(file: &RemoteFile, limits: &TimeLimits) -> Duration {
    let megabytes = file.bytes.end() / 1_000_000;
    let extra = if megabytes > 100 { megabytes } else { 0 };
    limits.total.saturating_add(Duration::from_secs(extra))
}

/// Describes a failed download in a few words.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_from_https_to_http_is_refused() {
        let only = |url| agent(url, &TimeLimits::default()).config().https_only();
        assert!(only("https://a.example/file") && only("HTTPS://a.example/file"));
        assert!(!only("http://a.example/file") && !only("HTTP://a.example/file"));
        // As at a redirect, the client looks at each URL that it is led to.
        let agent = agent("https://a.example/file", &TimeLimits::default());
        let refused = agent.get("http://127.0.0.1:1/file").call();
        assert!(matches!(refused, Err(ureq::Error::RequireHttpsOnly(_))), "{refused:?}");
    }
}
