//! A local HTTP server for tests of downloads.
#![allow(dead_code, reason = "no test binary uses all of it")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An HTTP server on 127.0.0.1 that lives as long as the test program.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the name of the requested file and the connection, and writes the answer.
    pub fn new(
        answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                thread::spawn(move || -> io::Result<()> {
                    let mut stream = stream?;
                    let mut lines = BufReader::new(stream.try_clone()?).lines();
                    let first = lines.next().unwrap_or(Ok(String::new()))?;
                    while !lines.next().unwrap_or(Ok(String::new()))?.is_empty() {}
                    let path = first.split(' ').nth(1).unwrap_or_default();
                    let name = path.strip_prefix("/files/").unwrap_or(path).to_string();
                    log.lock().unwrap().push(name.clone());
                    answer(&name, &mut stream)
                });
            }
        });
        Server { url, requests }
    }

    /// A server that has these files, and answers 404 for others.
    pub fn with_files(files: Vec<(String, Vec<u8>)>) -> Server {
        Server::new(move |name, stream| match files.iter().find(|(known, _)| known == name) {
            Some((_, content)) => ok(stream, content),
            None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        })
    }

    /// The names that were requested so far, sorted.
    pub fn requests(&self) -> Vec<String> {
        let mut names = self.requests.lock().unwrap().clone();
        names.sort();
        names
    }
}

/// Writes a whole answer.
pub fn ok(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    head(stream, body.len())?;
    stream.write_all(body)
}

/// Writes the head of an answer.
pub fn head(stream: &mut TcpStream, length: usize) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
}
