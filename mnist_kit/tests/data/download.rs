//! Cache and mirrors, and the ways in which a server can fail.

use crate::common::message;
use crate::fixture::{NAMES, archive, good_server, gzip, settings, small_set, write_set};
use crate::server::{Server, head, ok};
use mnist_kit::data::{Mnist, Settings, Source, TimeLimits, download};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tempfile::tempdir;

pub fn load(settings: &Settings) -> Mnist {
    Mnist::load_with(settings).unwrap()
}

pub fn archive_names() -> Vec<String> {
    let mut names: Vec<String> = NAMES.iter().map(|name| format!("{name}.gz")).collect();
    names.sort();
    names
}

/// Loads generated digits, and returns the reason for them.
pub fn reason(settings: &Settings) -> String {
    let mnist = load(settings);
    assert_eq!(mnist.to_string().lines().next(), Some("generated digits (not MNIST)"));
    assert_eq!((mnist.train.len(), mnist.test.len()), (12_000, 2_000));
    // Lesson 5 draws these parts.
    mnist.train.stratified(&[("train", 10_000), ("validation", 2_000)], 42).unwrap();
    mnist.test.stratified(&[("test", 2_000)], 42).unwrap();
    match mnist.source() {
        Source::Generated { reason: Some(reason), .. } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_load_downloads_and_the_second_finds_the_cache() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let settings = settings(cache.path(), &[&server.url]);
    let first = load(&settings);
    assert_eq!(first.source(), &Source::Downloaded(server.url.clone()));
    assert_eq!(first.source().to_string(), format!("downloaded from {}", server.url));
    assert_eq!(first.train.images().size(), [30, 1, 28, 28]);
    assert_eq!((first.test.len(), first.test.num_classes()), (12, 10));
    let second = load(&Settings { offline: true, ..settings });
    assert_eq!(second.source(), &Source::Cache(cache.path().join("mnist")));
    assert_eq!(second.train.images(), first.train.images());
    assert_eq!(server.requests(), archive_names());
    let mut left: Vec<_> = fs::read_dir(cache.path().join("mnist"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let mut expected = [&NAMES[..], &[".lock"]].concat();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[test]
fn mirrors_may_be_named_without_a_slash() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    load(&settings(cache.path(), &[server.url.trim_end_matches('/')]));
    assert_eq!(server.requests(), archive_names());
}

type Answer = fn(&str, &mut TcpStream) -> io::Result<()>;

/// Each kind of bad server, with a part of the reason.
const BAD: [(&str, Answer, &str); 12] = [
    (
        "404",
        |_, stream| write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        "the server answered 404",
    ),
    ("an error page", |_, stream| ok(stream, b"<html>please log in</html>"), ": incomplete, 26 of"),
    (
        "a truncated archive",
        |name, stream| ok(stream, &archive(name)[..archive(name).len() / 2]),
        "",
    ),
    ("an empty answer", |_, stream| ok(stream, b""), ": incomplete, 0 of"),
    (
        "wrong bytes",
        |name, stream| {
            let index = NAMES.iter().position(|known| name == format!("{known}.gz"));
            let mut content = small_set()[index.unwrap_or(0)].clone();
            content[100] ^= 1;
            ok(stream, &gzip(&content))
        },
        ": not the published content, by its SHA-256 sum",
    ),
    (
        "a damaged archive",
        |name, stream| {
            let mut archive = archive(name);
            archive.iter_mut().skip(20).for_each(|byte| *byte = 0xff);
            ok(stream, &archive)
        },
        "corrupt",
    ),
    (
        "a connection cut mid-way",
        |name, stream| {
            head(stream, archive(name).len())?;
            stream.write_all(&archive(name)[..1000])
        },
        "disconnected",
    ),
    (
        "silence",
        |_, _| {
            thread::sleep(Duration::from_secs(4));
            Ok(())
        },
        "silent for 1.5s",
    ),
    (
        "a drip",
        |name, stream| {
            head(stream, archive(name).len())?;
            for byte in archive(name) {
                stream.write_all(&[byte])?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        },
        "not complete after 4s",
    ),
    (
        "far more than asked for",
        |_, stream| ok(stream, &gzip(&vec![0; 1_000_000])),
        ": longer than the published ",
    ),
    ("archives without end", |_, stream| endless(stream, b"more"), ": longer than the published "),
    ("empty archives without end", |_, stream| endless(stream, b""), "not complete after 4s"),
];

/// One archive after another, which gzip reads as one.
fn endless(stream: &mut TcpStream, content: &[u8]) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
    let members = gzip(content).repeat(1000);
    loop {
        stream.write_all(&members)?;
    }
}

#[test]
fn a_bad_mirror_is_followed_by_the_next() {
    let good = good_server();
    for (kind, answer, _) in BAD {
        let (cache, bad) = (tempdir().unwrap(), Server::new(answer));
        let mnist = load(&settings(cache.path(), &[&bad.url, &good.url]));
        assert_eq!(mnist.source(), &Source::Downloaded(good.url.clone()), "{kind}");
        assert_eq!(bad.requests().len(), 1, "{kind}: asked again for the other files");
    }
}

#[test]
fn without_a_good_mirror_digits_are_generated_and_the_reason_names_url_and_cause() {
    for (kind, answer, expected) in BAD {
        let (cache, bad) = (tempdir().unwrap(), Server::new(answer));
        let start = Instant::now();
        let reason = reason(&settings(cache.path(), &[&bad.url]));
        println!("{kind}: {reason}");
        let url = format!("{}{}.gz: ", bad.url, NAMES[0]);
        assert!(reason.starts_with(&url), "{kind}: {reason}");
        assert!(reason[url.len() - 2..].contains(expected), "{kind}: {reason}");
        assert!(start.elapsed() < Duration::from_secs(20), "{kind}: {:?}", start.elapsed());
        let left = fs::read_dir(cache.path().join("mnist")).unwrap().count();
        assert_eq!(left, 1, "{kind}: only the lock file may stay");
    }
}

#[test]
fn limits_may_be_as_long_as_one_likes() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let mut settings = settings(cache.path(), &[&server.url]);
    let forever = Duration::MAX;
    settings.time_limits = TimeLimits { connect: forever, read: forever, total: forever };
    for file in &mut settings.mnist.files {
        file.bytes = 0..=u64::MAX;
    }
    assert_eq!(load(&settings).source(), &Source::Downloaded(server.url.clone()));
}

#[test]
fn mirrors_that_cannot_be_spoken_to_are_named() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = format!("http://127.0.0.1:{port}/");
    // A server without TLS hangs up during the handshake.
    let plain = server.url.replace("http:", "https:");
    let reason = reason(&settings(cache.path(), &[&closed, "not a url", &plain]));
    let causes: Vec<&str> = reason.split("; ").collect();
    assert!(causes[0].starts_with(&closed) && causes[0].contains("refused"), "{reason}");
    assert!(causes[1].starts_with("not a url/"), "{reason}");
    assert!(causes[2].starts_with(&plain) && causes[2].contains("end of file"), "{reason}");
}

#[test]
fn a_mirror_that_has_some_of_the_files_is_completed_by_another() {
    let cache = tempdir().unwrap();
    let half = Server::new(|name, stream| match name.starts_with("train") {
        true => ok(stream, &archive(name)),
        false => write!(stream, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
    });
    let good = good_server();
    let mnist = load(&settings(cache.path(), &[&half.url, &good.url]));
    let expected = format!("downloaded from {} and {}", half.url, good.url);
    assert_eq!(mnist.source().to_string(), expected);
    assert_eq!(good.requests(), archive_names()[..2]);
}

#[test]
fn a_damaged_file_in_the_cache_is_fetched_again_and_only_that() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let settings = settings(cache.path(), &[&server.url]);
    let path = cache.path().join("mnist").join(NAMES[2]);
    let mut flipped = small_set()[2].clone();
    flipped[5000] ^= 1;
    let damaged = [flipped, small_set()[2][..5000].to_vec(), [&small_set()[2][..], b"x"].concat()];
    for (round, damaged) in damaged.iter().enumerate() {
        write_set(&cache.path().join("mnist"), NAMES, &small_set());
        fs::write(&path, damaged).unwrap();
        let offline = reason(&Settings { offline: true, ..settings.clone() });
        assert!(offline.contains("MNIST_KIT_OFFLINE is set"), "{offline}");
        assert!(offline.contains(NAMES[2]), "{offline}");
        assert_eq!(server.requests().len(), round, "offline means offline");
        assert_eq!(load(&settings).source(), &Source::Downloaded(server.url.clone()));
        assert_eq!(fs::read(&path).unwrap(), small_set()[2]);
        assert_eq!(server.requests(), vec![format!("{}.gz", NAMES[2]); round + 1]);
    }
}

#[test]
fn a_cache_that_cannot_be_written_or_named_leads_to_generated_digits() {
    let (folder, server) = (tempdir().unwrap(), good_server());
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let unwritable = settings(&file, &[&server.url]);
    assert!(reason(&unwritable).contains("cannot be written"));
    assert!(reason(&Settings { cache_dir: None, ..unwritable }).contains("MNIST_KIT_CACHE"));
    assert!(reason(&settings(folder.path(), &[])).contains("no mirror"));
}

/// A good server that takes its time.
fn slow() -> Server {
    Server::new(|name, stream| {
        thread::sleep(Duration::from_millis(200));
        ok(stream, &archive(name))
    })
}

#[test]
fn two_threads_at_once_download_once() {
    let (cache, server) = (tempdir().unwrap(), slow());
    let settings = settings(cache.path(), &[&server.url]);
    thread::scope(|scope| {
        for thread in [0, 1].map(|_| scope.spawn(|| load(&settings))) {
            assert_eq!(thread.join().unwrap().train.len(), 30);
        }
    });
    assert_eq!(server.requests(), archive_names());
}

/// Runs in another process for the tests below.
#[test]
#[ignore = "a part of other tests"]
fn child() {
    let cache = env::var_os("TEST_CACHE").expect("other tests set it");
    let url = env::var("TEST_MIRROR").expect("other tests set it");
    println!("\n{}", load(&settings(Path::new(&cache), &[&url])));
}

pub fn child_command(cache: &Path, url: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "download::child", "--nocapture", "--ignored"])
        .env("TEST_CACHE", cache)
        .env("TEST_MIRROR", url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn two_processes_at_once_download_once_and_print_whole_lines() {
    let (cache, server) = (tempdir().unwrap(), slow());
    let spawn = || child_command(cache.path(), &server.url).spawn().unwrap();
    let outputs = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
    assert_eq!(server.requests(), archive_names());
    let text = |output: &Output| {
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout.clone()).unwrap()
    };
    let mut texts = outputs.each_ref().map(text);
    texts.sort_by_key(|text| text.contains("downloaded from"));
    assert!(texts[0].contains("\ncache ") && !texts[0].contains("downloading"), "{}", texts[0]);
    assert_eq!(texts[1].matches("\ndownloading http").count(), 4, "{}", texts[1]);
    assert!(texts.iter().all(|text| !text.contains('\r') && text.ends_with('\n')));
}

/// A child process in the middle of a download.
pub fn child_that_downloads(cache: &Path) -> Child {
    let hanging = Server::new(|name, stream| {
        head(stream, archive(name).len())?;
        for piece in archive(name).chunks(1000) {
            stream.write_all(piece)?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
    let child = child_command(cache, &hanging.url).spawn().unwrap();
    let start = Instant::now();
    while partial(&cache.join("mnist")) == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the download never began");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_process_that_was_killed_while_downloading_leaves_nothing_in_the_way() {
    let cache = tempdir().unwrap();
    let mut child = child_that_downloads(cache.path());
    let folder = cache.path().join("mnist");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(partial(&folder), 1);
    let good = good_server();
    let mnist = load(&settings(cache.path(), &[&good.url]));
    assert_eq!(mnist.source(), &Source::Downloaded(good.url.clone()));
    assert_eq!(partial(&folder), 0);
}

/// The number of unfinished files in a folder.
pub fn partial(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".partial-")).count()
}

#[test]
fn a_link_under_the_name_of_an_unfinished_file_is_not_followed() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let victim = cache.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let folder = cache.path().join("mnist");
    fs::create_dir(&folder).unwrap();
    for name in NAMES {
        std::os::unix::fs::symlink(&victim, folder.join(format!("{name}.part"))).unwrap();
        std::os::unix::fs::symlink(&victim, folder.join(format!(".partial-{name}"))).unwrap();
    }
    load(&settings(cache.path(), &[&server.url]));
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    assert!(NAMES.iter().all(|name| fs::symlink_metadata(folder.join(name)).unwrap().is_file()));
}

#[test]
fn whole_files_need_no_lock() {
    let cache = tempdir().unwrap();
    let settings = settings(cache.path(), &[]);
    write_set(cache.path(), NAMES, &small_set());
    // A folder in the place of the lock cannot be opened for writing, even by root.
    fs::create_dir(cache.path().join(".lock")).unwrap();
    let (files, limits) = (&settings.mnist.files, &settings.time_limits);
    assert!(download(files, cache.path(), &[], limits).unwrap().is_empty());
    fs::remove_file(cache.path().join(NAMES[1])).unwrap();
    let text = message(download(files, cache.path(), &[], limits));
    assert!(text.contains(".lock") && text.contains("cannot be written"), "{text}");
}

#[test]
fn the_wait_for_a_holder_that_makes_no_progress_ends() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let settings = settings(cache.path(), &[&server.url]);
    let lock = fs::File::create(cache.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let limits = TimeLimits {
        connect: Duration::from_millis(400),
        read: Duration::from_millis(600),
        ..settings.time_limits.clone()
    };
    let mirrors = [server.url.clone()];
    let attempt = || download(&settings.mnist.files, cache.path(), &mirrors, &limits);
    let start = Instant::now();
    let text = message(attempt());
    assert!(text.contains(".lock") && text.contains("1s without progress"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A holder that writes is waited for.
    thread::scope(|scope| {
        let waiting = scope.spawn(attempt);
        for length in 1..8 {
            thread::sleep(Duration::from_millis(400));
            fs::write(cache.path().join(".partial-other"), vec![0; length]).unwrap();
        }
        lock.unlock().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), mirrors);
    });
}
