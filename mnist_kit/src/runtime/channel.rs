//! The way from the kit to the relay of its process, for every copy of the kit.
//!
//! In a kernel each cell has its own copy of the kit's statics, so what the copies share stands in
//! the process's environment.

use super::lines::MESSAGE;
use serde_json::Value;
use std::io::Write;
#[cfg(unix)]
use std::os::fd::RawFd;
use std::time::SystemTime;

/// Names the process whose output goes through a relay, and the descriptor that takes messages:
/// `pid:descriptor`. Programs that a cell starts inherit the variable and are not meant by it.
pub(super) const RELAY: &str = "MNIST_KIT_RELAY";

/// Returns whether this process is a kernel's, with a companion that shows live output.
pub(crate) fn is_live() -> bool {
    own_relay().is_some()
}

/// Makes the name of a live output, which later messages replace.
pub(crate) fn new_id() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    // Every copy of the kit counts for itself, so the time tells their names apart.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{:x}-{count}", std::process::id(), now.as_nanos())
}

/// Sends a message in order with what the cell prints; does nothing without a relay.
pub(crate) fn send_in_order(message: &Value) {
    if is_live() {
        // An error means that the cell has closed its output, which the relay reports.
        let _ = writeln!(std::io::stdout(), "{MESSAGE}{message}");
    }
}

/// Sends a message at once, even if the cell holds the lock of its output or has closed it; returns
/// whether there is a relay that has received it.
#[cfg(unix)]
pub(super) fn send_at_once(message: &Value) -> bool {
    use std::os::fd::FromRawFd;
    use std::os::unix::net::UnixDatagram;
    let Some(descriptor) = own_relay() else { return false };
    // Safety: the relay opened the descriptor for its messages. It is not closed here.
    let socket = std::mem::ManuallyDrop::new(unsafe { UnixDatagram::from_raw_fd(descriptor) });
    socket.send(message.to_string().as_bytes()).is_ok()
}

#[cfg(not(unix))]
pub(super) fn send_at_once(_message: &Value) -> bool {
    false
}

/// The descriptor for messages, if this process has a relay.
fn own_relay() -> Option<RawFd> {
    let value = std::env::var(RELAY).ok()?;
    let (process, descriptor) = value.split_once(':')?;
    (process.parse() == Ok(std::process::id())).then_some(descriptor.parse().ok()?)
}

#[cfg(not(unix))]
type RawFd = i32;
