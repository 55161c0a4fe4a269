//! A child process as evcxr starts it, with the other ends of its standard streams and its socket.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The longest time that a test waits for an event.
const LIMIT: Duration = Duration::from_secs(120);

const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";

pub struct Kernel {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    events: Receiver<Value>,
    socket: Option<UnixStream>,
    _folder: TempDir,
}

impl Kernel {
    /// Starts a kernel and waits until its relay says hello.
    pub fn start() -> Kernel {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("companion");
        let listener = UnixListener::bind(&address).unwrap();
        let mut child = spawn(&address);
        let (socket, _) = listener.accept().unwrap();
        let incoming = BufReader::new(socket.try_clone().unwrap());
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in incoming.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("an event is JSON");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            // As evcxr reads them: an error at bytes that are not UTF-8.
            for line in stdout.lines() {
                if sender.send(line.expect("lines are UTF-8")).is_err() {
                    return;
                }
            }
        });
        let (stdin, socket) = (child.stdin.take(), Some(socket));
        let kernel = Kernel { child, stdin, lines, events, socket, _folder: folder };
        let hello = kernel.event();
        assert_eq!(hello, json!({ "event": "hello", "pid": kernel.child.id() }));
        // The test harness has begun that line.
        while !kernel.line().ends_with("ready") {}
        kernel
    }

    /// Sends the command to run an action of [`cell`](super::cell).
    pub fn begin(&mut self, action: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "LOAD_AND_RUN /code.so {action}").unwrap();
    }

    /// Runs an action, and returns the lines that it printed and the events in between.
    pub fn run(&mut self, action: &str) -> (Vec<String>, Vec<Value>) {
        self.begin(action);
        assert_eq!(self.event(), json!({ "event": "run" }));
        self.end()
    }

    /// Waits for the end of an action.
    pub fn end(&self) -> (Vec<String>, Vec<Value>) {
        let lines: Vec<String> =
            std::iter::from_fn(|| Some(self.line())).take_while(|line| line != COMPLETE).collect();
        let events = std::iter::from_fn(|| Some(self.event()))
            .take_while(|event| event["event"] != "complete")
            .collect();
        (lines, events)
    }

    pub fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line")
    }

    /// The lines until the process closes its output.
    pub fn remaining_lines(&self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(LIMIT).ok()).collect()
    }

    pub fn event(&self) -> Value {
        self.events.recv_timeout(LIMIT).expect("an event")
    }

    /// Sends a message of the companion.
    pub fn send(&mut self, message: &Value) {
        writeln!(self.socket.as_mut().unwrap(), "{message}").unwrap();
    }

    /// Ends the companion.
    pub fn disconnect(&mut self) {
        self.socket.take().unwrap().shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// Closes the input, waits for the process, and returns what it wrote to standard error.
    pub fn close(mut self) -> String {
        self.stdin.take();
        self.child.wait().unwrap();
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the process that runs [`cell::child_process`](super::cell).
pub fn spawn(companion: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cell::child_process", "--ignored", "--nocapture", "--test-threads=1"])
        .env("MNIST_KIT_COMPANION", companion)
        .env("EVCXR_IS_RUNTIME", "1")
        .env_remove("EVCXR_TMPDIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
