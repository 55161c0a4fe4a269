//! What lies between a download and its server: proxies, redirects, silence, and other processes.

use crate::common::message;
use crate::download::{archive_names, child_command, child_that_downloads, load, reason};
use crate::fixture::{archive, good_server, settings};
use crate::server::{Server, ok};
use mnist_kit::data::{MIRRORS, Source, TimeLimits, download};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[test]
fn mirrors_are_asked_in_order_and_no_more_than_needed() {
    let cache = tempdir().unwrap();
    let bad = Server::with_files(vec![]);
    let (first, second) = (good_server(), good_server());
    let mnist = load(&settings(cache.path(), &[&bad.url, &first.url, &second.url]));
    assert_eq!(mnist.source(), &Source::Downloaded(first.url.clone()));
    assert_eq!(bad.requests().len(), 1);
    assert_eq!(first.requests(), archive_names());
    assert!(second.requests().is_empty());
}

#[test]
fn a_redirect_is_followed_and_one_without_end_is_not() {
    let (cache, good) = (tempdir().unwrap(), good_server());
    let target = good.url.clone();
    let moved = Server::new(move |name, stream| redirect(stream, &format!("{target}{name}")));
    let mnist = load(&settings(cache.path(), &[&moved.url]));
    assert_eq!(mnist.source(), &Source::Downloaded(moved.url.clone()));
    let endless = Server::new(|name, stream| redirect(stream, &format!("/files/{name}")));
    let cache = tempdir().unwrap();
    let reason = reason(&settings(cache.path(), &[&endless.url]));
    assert!(reason.contains("too many redirects"), "{reason}");
    assert!(endless.requests().len() < 20);
}

fn redirect(stream: &mut TcpStream, to: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// A proxy that answers in place of every server, which it is asked to connect to.
fn proxy() -> Server {
    Server::new(|target, stream| {
        assert!(target.ends_with(":80"), "{target}");
        write!(stream, "HTTP/1.1 200 Connected\r\n\r\n")?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or(Ok(String::new()))?;
        while !lines.next().unwrap_or(Ok(String::new()))?.is_empty() {}
        let name = first.split(['/', ' ']).find(|part| part.ends_with(".gz"));
        ok(stream, &archive(name.expect("a file")))
    })
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    // Nobody knows the address of this server; the proxy need not.
    let url = "http://mnist.invalid/";
    for variable in ["HTTPS_PROXY", "ALL_PROXY"] {
        let (cache, proxy) = (tempdir().unwrap(), proxy());
        let address = proxy.url.trim_end_matches("/files/");
        let output = child_command(cache.path(), url).env(variable, address).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("downloaded from {url}")), "{text}");
        assert_eq!(proxy.requests(), ["mnist.invalid:80"; 4]);
    }
    // One that is not there is named as the problem, and a server that needs none is found.
    let server = good_server();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (exception, expected) in [("", "refused"), ("127.0.0.1", "downloaded from ")] {
        let cache = tempdir().unwrap();
        let output = child_command(cache.path(), &server.url)
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"))
            .env("NO_PROXY", exception)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up_soon() {
    // Once the queue of connections is full, the system drops what comes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => waiting.push(stream),
            Err(problem) if problem.kind() == ErrorKind::TimedOut => break,
            Err(problem) => panic!("{problem}"),
        }
        assert!(waiting.len() < 100);
    }
    let cache = tempdir().unwrap();
    let mut settings = settings(cache.path(), &[&format!("http://{address}/")]);
    settings.time_limits.connect = Duration::from_millis(700);
    let start = Instant::now();
    let reason = reason(&settings);
    assert!(reason.ends_with("no connection within 700ms"), "{reason}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // With the defaults, all public mirrors are given up within half a minute.
    let limit = TimeLimits::default().connect;
    assert!(limit * MIRRORS.len() as u32 <= Duration::from_secs(30), "{limit:?}");
}

#[test]
fn a_holder_of_the_lock_that_was_stopped_is_named() {
    let cache = tempdir().unwrap();
    let mut child = child_that_downloads(cache.path());
    let folder = cache.path().join("mnist");
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGSTOP) }, 0);
    let server = good_server();
    let mut settings = settings(cache.path(), &[&server.url]);
    settings.time_limits.connect = Duration::from_millis(300);
    settings.time_limits.read = Duration::from_millis(700);
    let attempt =
        || download(&settings.mnist.files, &folder, &settings.mnist.mirrors, &settings.time_limits);
    let text = message(attempt());
    assert!(text.contains(&format!(".lock: process {} on ", child.id())), "{text}");
    assert!(text.contains("has held this lock for 1s without progress"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(attempt().unwrap(), std::slice::from_ref(&server.url));
}

#[test]
fn a_link_in_the_place_of_the_lock_is_not_followed() {
    let (cache, server) = (tempdir().unwrap(), good_server());
    let settings = settings(cache.path(), &[&server.url]);
    let victim = cache.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let folder = cache.path().join("folder");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&victim, folder.join(".lock")).unwrap();
    let mirrors = [server.url.clone()];
    let text = message(download(&settings.mnist.files, &folder, &mirrors, &settings.time_limits));
    assert!(text.contains(".lock: cannot be written"), "{text}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}
