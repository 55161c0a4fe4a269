//! The relay between a kernel's child process and the companion, which shows its live output.
//!
//! evcxr's child process tells evcxr over its standard output what happens in a cell, and evcxr
//! keeps some of it to itself. The relay puts pipes in the place of standard input and output,
//! passes the lines on, and reports over the companion's Unix socket: the beginning and the end of
//! each execution, panics, failing `?`, live messages, closed descriptors. In the other direction
//! come requests to stop, and pings. Messages are JSON, one a line.
//!
//! The relay lives in the first copy of the kit that a kernel loads. Later copies find it by the
//! environment variables `MNIST_KIT_RELAY` and `MNIST_KIT_STOP_FD`.

use super::channel::RELAY;
use super::descriptors::{self, Standard};
use super::flusher::Flusher;
use super::lines::{COMPLETE_LINE, Lines, Marker, PLACE, Piece};
use super::stop::STOP_FD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Names the companion's socket.
const COMPANION: &str = "MNIST_KIT_COMPANION";

/// Begins evcxr's command to execute a cell.
const COMMAND: &[u8] = b"LOAD_AND_RUN ";

/// The time that an unfinished line waits for its end before it is shown.
const UNFINISHED: Duration = Duration::from_millis(50);

/// The time between two checks of the standard descriptors.
const CHECK: Duration = Duration::from_secs(1);

/// A companion that reads nothing for so long is given up, so that a cell does not wait forever.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most text of an execution that is passed on, in bytes. The companion shows less and says so;
/// a cell that prints without end must not fill evcxr's memory.
const MOST_TEXT: usize = 11_000_000;

/// The longest time that the answer to a ping waits for the end of the execution.
const SETTLING: Duration = Duration::from_secs(2);

/// The most bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// The most bytes of a message that does not take the way through standard output.
const MOST_URGENT: usize = 1 << 16;

/// Installs the relay if the environment names a companion. If that fails, the process goes on with
/// plain output.
pub(super) fn install() {
    let Some(address) = std::env::var_os(COMPANION) else { return };
    // Safety (here and below): `init` comes before anything that reads variables on other threads.
    // Programs that a cell starts must not connect as well.
    unsafe { std::env::remove_var(COMPANION) };
    if let Err(error) = UnixStream::connect(address).and_then(start) {
        eprintln!("No live output: the kernel's companion cannot be reached ({error})");
    }
}

/// The part of the relay that its threads share.
struct Relay {
    /// `None` once the companion is gone.
    companion: Mutex<Option<UnixStream>>,
    flusher: Flusher,
    /// An eventfd, readable while the cell is asked to stop.
    stop: File,
    /// The thread that runs cells.
    thread: libc::pid_t,
    /// The bytes of text that the execution has printed.
    text: AtomicUsize,
}

fn start(companion: UnixStream) -> io::Result<()> {
    let companion: UnixStream = descriptors::high(companion)?;
    companion.set_write_timeout(Some(PATIENCE))?;
    let commands: UnixStream = descriptors::high(companion.try_clone()?)?;
    let stdin: File = descriptors::high(descriptors::copy(0)?)?;
    let stdout: File = descriptors::high(descriptors::copy(1)?)?;
    let stop: File = descriptors::high(descriptors::event()?)?;
    let (printed, print) = descriptors::pipe()?;
    // A socket, because shutting it down ends the input even if a forked process has a copy.
    let (input, feed) = UnixStream::pair()?;
    let feed: UnixStream = descriptors::high(feed)?;
    let printed: File = descriptors::high(printed)?;
    let (urgent, sender) = UnixDatagram::pair()?;
    let (urgent, sender): (UnixDatagram, UnixDatagram) =
        (descriptors::high(urgent)?, descriptors::high(sender)?);
    urgent.set_nonblocking(true)?;
    sender.set_write_timeout(Some(Duration::from_secs(1)))?;
    let standard = Standard::expecting(input.as_raw_fd(), print.as_raw_fd())?;

    let stop_descriptor = stop.as_raw_fd();
    let relay = Arc::new(Relay {
        companion: Mutex::new(Some(companion)),
        flusher: Flusher::start()?,
        stop,
        // Safety: gettid has no requirements.
        thread: unsafe { libc::gettid() },
        text: AtomicUsize::new(0),
    });
    relay.send(&json!({ "event": "hello", "pid": std::process::id() }));

    let output =
        Output { relay: relay.clone(), printed, stdout, urgent, standard, checked: Instant::now() };
    let pipe = output.printed.as_raw_fd();
    spawn("stdout", move || output.run())?;
    let obeying = relay.clone();
    spawn("commands", move || obeying.obey(commands))?;
    spawn("stdin", move || relay.pass_input(stdin, feed))?;

    let _ = io::stdout().flush();
    descriptors::replace(1, &print)?;
    descriptors::replace(0, &input)?;
    pass_on_at_exit(pipe);
    // The descriptor stays open for the panic hook.
    let sender = std::mem::ManuallyDrop::new(sender).as_raw_fd();
    unsafe {
        std::env::set_var(RELAY, format!("{}:{sender}", std::process::id()));
        std::env::set_var(STOP_FD, stop_descriptor.to_string());
    }
    Ok(())
}

/// Starts a thread that receives no signals: their handlers are the cell's, and a broken pipe must
/// not end the process.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let run = move || {
        descriptors::block_signals();
        run();
    };
    thread::Builder::new().name(format!("mnist_kit {name}")).spawn(run)?;
    Ok(())
}

/// A message of the companion.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    Stop,
    Ping { number: Value },
}

impl Relay {
    fn send(&self, event: &Value) {
        self.send_json(&event.to_string());
    }

    fn send_json(&self, json: &str) {
        let mut companion = self.companion.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = companion.as_mut().map_or(Ok(()), |socket| {
            socket.write_all(json.as_bytes()).and(socket.write_all(b"\n"))
        });
        if sent.is_err() {
            // Half a message may have been written.
            if let Some(socket) = companion.take() {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    /// Carries out what the companion asks for.
    fn obey(&self, commands: UnixStream) {
        for line in BufReader::new(commands).lines() {
            let Ok(line) = line else { return };
            match serde_json::from_str(&line) {
                // An eventfd counts what is written to it.
                Ok(Command::Stop) => drop((&self.stop).write_all(&1u64.to_ne_bytes())),
                Ok(Command::Ping { number }) => {
                    let waiting = self.settled();
                    self.send(&json!({ "event": "pong", "number": number, "waiting": waiting }));
                }
                Err(_) => {}
            }
        }
    }

    /// Waits until the thread that runs cells waits for a command, and its output has been passed
    /// on; returns whether it does wait, or `None` where the system does not tell.
    ///
    /// A cell can print the marker of its end and go on.
    fn settled(&self) -> Option<bool> {
        let started = Instant::now();
        loop {
            let waiting = reads_stdin(self.thread)?;
            let passed_on = !descriptors::holds_bytes(PIPE.load(Ordering::SeqCst))
                && !BUSY.load(Ordering::SeqCst);
            if waiting && passed_on || started.elapsed() > SETTLING {
                return Some(waiting);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Passes evcxr's commands on, and reports each execution before it begins.
    fn pass_input(&self, stdin: File, mut feed: UnixStream) {
        let mut stdin = BufReader::new(stdin);
        let mut line = Vec::new();
        while let Ok(1..) = stdin.read_until(b'\n', &mut line) {
            if line.starts_with(COMMAND) {
                let _ = (&self.stop).read(&mut [0; 8]);
                self.text.store(0, Ordering::SeqCst);
                self.flusher.begin();
                self.send(&json!({ "event": "run" }));
            }
            if feed.write_all(&line).is_err() {
                break;
            }
            line.clear();
        }
        let _ = feed.shutdown(std::net::Shutdown::Both);
    }
}

/// The thread that passes output on.
struct Output {
    relay: Arc<Relay>,
    /// The output of the process.
    printed: File,
    /// The destination of that output.
    stdout: File,
    /// Messages that do not take the way through standard output.
    urgent: UnixDatagram,
    standard: Standard,
    checked: Instant,
}

impl Output {
    fn run(mut self) {
        let (mut lines, mut buffer) = (Lines::default(), vec![0; CHUNK]);
        // An error means that evcxr or the pipe is gone.
        while self.step(&mut lines, &mut buffer).is_ok() {}
    }

    /// Waits for output or a message, and passes it on.
    fn step(&mut self, lines: &mut Lines, buffer: &mut [u8]) -> io::Result<()> {
        let wait = if lines.unfinished() { UNFINISHED } else { CHECK };
        let sources = [self.printed.as_raw_fd(), self.urgent.as_raw_fd()];
        let [printed, urgent] = descriptors::wait(sources, wait)?;
        if printed {
            BUSY.store(true, Ordering::SeqCst);
            let count = self.printed.read(buffer)?;
            // A panic is reported before the marker that evcxr prints after it.
            self.pass_urgent();
            self.pass_output(lines, &buffer[..count])?;
        } else if urgent {
            self.pass_urgent();
        } else {
            lines.flush(|piece| self.pass(piece))?;
        }
        BUSY.store(lines.unfinished(), Ordering::SeqCst);
        if self.checked.elapsed() >= CHECK {
            self.check();
        }
        Ok(())
    }

    fn pass_output(&mut self, lines: &mut Lines, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            // The cell has closed its standard output, and there is no end to wait for.
            self.check();
            thread::sleep(UNFINISHED);
        }
        let Some(before) = bytes.strip_suffix(COMPLETE_LINE) else {
            return lines.feed(bytes, |piece| self.pass(piece));
        };
        lines.feed(before, |piece| self.pass(piece))?;
        // Text without a line break may still lie in the buffers of the process. It belongs before
        // the end of the execution.
        self.relay.flusher.end();
        if descriptors::holds_bytes(self.printed.as_raw_fd()) {
            let mut late = vec![0; CHUNK];
            let count = self.printed.read(&mut late)?;
            lines.feed(&late[..count], |piece| self.pass(piece))?;
        }
        lines.feed(COMPLETE_LINE, |piece| self.pass(piece))
    }

    fn pass(&mut self, piece: Piece<'_>) -> io::Result<()> {
        match piece {
            Piece::Text(text) => {
                if self.admits(text.len()) {
                    self.stdout.write_all(text.as_bytes())?;
                }
                Ok(())
            }
            Piece::Evcxr(lines) => self.stdout.write_all(lines.as_bytes()),
            Piece::Message(json) if is_message(json) => {
                self.relay.send_json(json);
                self.stdout.write_all(PLACE.as_bytes())
            }
            Piece::Message(text) => self.stdout.write_all(format!("{text}\n").as_bytes()),
            Piece::Marker(marker) => {
                let event = match marker {
                    Marker::Complete => {
                        self.check();
                        "complete"
                    }
                    Marker::Panicked => "panicked",
                    Marker::Failed => "failed",
                };
                self.relay.send(&json!({ "event": event }));
                self.stdout.write_all(format!("{}\n", marker.text()).as_bytes())
            }
        }
    }

    /// Counts text; returns whether it is passed on. Reports text that is not, a lot at a time.
    fn admits(&self, bytes: usize) -> bool {
        let before = self.relay.text.fetch_add(bytes, Ordering::SeqCst);
        let after = before + bytes;
        if after / MOST_TEXT > before / MOST_TEXT {
            self.relay.send(&json!({ "event": "limit", "bytes": after }));
        }
        after <= MOST_TEXT
    }

    fn pass_urgent(&self) {
        let mut message = [0; MOST_URGENT];
        while let Ok(count) = self.urgent.recv(&mut message) {
            if let Ok(json) = std::str::from_utf8(&message[..count])
                && is_message(json)
            {
                self.relay.send_json(json);
            }
        }
    }

    /// Reports standard descriptors that were closed or replaced.
    fn check(&mut self) {
        self.checked = Instant::now();
        for name in self.standard.changed() {
            self.relay.send(&json!({ "event": "descriptor", "name": name }));
        }
    }
}

/// Returns whether this is a whole message that the kit sends, as opposed to one of the relay.
fn is_message(json: &str) -> bool {
    #[derive(Deserialize)]
    struct Message<'a> {
        event: &'a str,
    }
    serde_json::from_str(json)
        .is_ok_and(|Message { event }| matches!(event, "live" | "panic" | "stopped"))
}

/// Returns whether a thread of this process waits for standard input; `None` if unknown.
fn reads_stdin(thread: libc::pid_t) -> Option<bool> {
    // The number of the system call and its arguments, or `running`.
    let call = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let mut words = call.split_whitespace();
    Some(words.next()?.parse() == Ok(libc::SYS_read) && words.next() == Some("0x0"))
}

/// True while output has been taken from the pipe and not yet been passed on.
static BUSY: AtomicBool = AtomicBool::new(false);

/// The process that has the relay (a forked one has not), and its pipe.
static OWNER: AtomicI32 = AtomicI32::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Makes the process pass on the rest of its output before it ends, if it ends with `exit`.
fn pass_on_at_exit(pipe: RawFd) {
    extern "C" fn wait() {
        const MOST: Duration = Duration::from_secs(1);
        let started = Instant::now();
        let owner = OWNER.load(Ordering::SeqCst) as u32;
        let pipe = PIPE.load(Ordering::SeqCst);
        while owner == std::process::id()
            && (descriptors::holds_bytes(pipe) || BUSY.load(Ordering::SeqCst))
            && started.elapsed() < MOST
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
    OWNER.store(std::process::id() as i32, Ordering::SeqCst);
    PIPE.store(pipe, Ordering::SeqCst);
    // Safety: the function stays loaded, as evcxr never unloads a cell.
    unsafe { libc::atexit(wait) };
}
