//! A small data set in IDX format, and a local HTTP server.

use flate2::{Compression, write::GzEncoder};
use mnist_kit::data::{RemoteFile, Settings, TimeLimits};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// An IDX file of these dimensions.
pub fn idx(dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|dimension| file.extend(dimension.to_be_bytes()));
    file.extend(bytes);
    file
}

/// Bytes that gzip cannot make smaller.
fn noise(count: usize) -> Vec<u8> {
    (0..count as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8).collect()
}

/// 30 training and 12 test images of 28×28, four classes, in the order of [`NAMES`].
pub fn small_set() -> [Vec<u8>; 4] {
    let labels = |count: u32| (0..count).map(|i| (i % 4) as u8).collect::<Vec<u8>>();
    let images = |count: u32| idx(&[count, 28, 28], &noise(count as usize * 784));
    [images(30), idx(&[30], &labels(30)), images(12), idx(&[12], &labels(12))]
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn write_set(folder: &Path, names: [&str; 4], contents: &[Vec<u8>; 4]) {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in names.iter().zip(contents) {
        fs::write(folder.join(name), content).unwrap();
    }
}

/// Settings that look for the small set in this cache and at these mirrors, and do not wait long.
pub fn settings(cache: &Path, mirrors: &[&str]) -> Settings {
    let contents = small_set();
    Settings {
        cache_dir: Some(cache.to_path_buf()),
        mirrors: mirrors.iter().map(|url| url.to_string()).collect(),
        time_limits: TimeLimits {
            connect: Duration::from_secs(5),
            read: Duration::from_millis(1500),
            total: Duration::from_millis(4000),
        },
        files: [0, 1, 2, 3].map(|i| RemoteFile {
            name: NAMES[i].to_string(),
            suffix: ".gz".to_string(),
            bytes: contents[i].len() as u64..=contents[i].len() as u64,
            sha256: Sha256::digest(&contents[i]).iter().map(|b| format!("{b:02x}")).collect(),
        }),
        ..Settings::default()
    }
}

/// An HTTP server on 127.0.0.1 that lives as long as the test program.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the requested file's name and the connection, and writes the whole answer.
    pub fn new(
        answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mnist/", listener.local_addr().unwrap());
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
                    let name = path.strip_prefix("/mnist/").unwrap_or(path).to_string();
                    log.lock().unwrap().push(name.clone());
                    answer(&name, &mut stream)
                });
            }
        });
        Server { url, requests }
    }

    /// A server that has the small set.
    pub fn good() -> Server {
        Server::new(|name, stream| ok(stream, &archive(name)))
    }

    /// The names asked for so far, sorted.
    pub fn requests(&self) -> Vec<String> {
        let mut names = self.requests.lock().unwrap().clone();
        names.sort();
        names
    }
}

/// What a good server sends for `<name>.gz`.
pub fn archive(name: &str) -> Vec<u8> {
    let index = NAMES.iter().position(|known| format!("{known}.gz") == name).unwrap();
    gzip(&small_set()[index])
}

pub fn ok(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    head(stream, body.len())?;
    stream.write_all(body)
}

pub fn head(stream: &mut TcpStream, length: usize) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
}
