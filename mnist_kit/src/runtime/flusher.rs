//! Shows what a cell prints without a line break.

use super::relay::spawn;
use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender, SyncSender};
use std::time::Duration;

/// The time between two flushes while a cell runs.
const INTERVAL: Duration = Duration::from_millis(50);

/// The longest time that the end of a cell waits for its buffers. A cell may have kept their lock.
const PATIENCE: Duration = Duration::from_millis(20);

/// A thread that flushes the buffers of Rust's and C's standard output.
///
/// Cells share Rust's buffer, while evcxr's runtime has one of its own, so evcxr's marker overtakes
/// text that a cell has printed without a line break. The relay's other threads must not flush: the
/// buffer's lock may be held by a thread that waits for them.
pub(super) struct Flusher {
    requests: Sender<Request>,
}

enum Request {
    Begin,
    End(SyncSender<()>),
}

impl Flusher {
    pub(super) fn start() -> io::Result<Flusher> {
        let (requests, received) = mpsc::channel();
        spawn("flusher", move || {
            // Between executions nothing is flushed, so that an idle kernel sleeps.
            let mut running = true;
            loop {
                let request = if running {
                    received.recv_timeout(INTERVAL)
                } else {
                    received.recv().map_err(RecvTimeoutError::from)
                };
                match request {
                    Ok(Request::Begin) => running = true,
                    Ok(Request::End(done)) => {
                        flush();
                        running = false;
                        let _ = done.try_send(());
                    }
                    Err(RecvTimeoutError::Timeout) => flush(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Flusher { requests })
    }

    /// Begins to flush at intervals.
    pub(super) fn begin(&self) {
        let _ = self.requests.send(Request::Begin);
    }

    /// Flushes once more, and ends.
    pub(super) fn end(&self) {
        let (done, waited) = mpsc::sync_channel(1);
        if self.requests.send(Request::End(done)).is_ok() {
            let _ = waited.recv_timeout(PATIENCE);
        }
    }
}

fn flush() {
    let _ = io::stdout().flush();
    // Safety: fflush takes all of C's streams for the null pointer.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}
