//! Requests to stop, which a kernel sends to the running cell.

use super::channel;
use std::fmt;

/// Names the descriptor that is readable while the running cell is asked to stop.
pub(super) const STOP_FD: &str = "MNIST_KIT_STOP_FD";

/// Returns whether the running cell is asked to stop: in a kernel with live output, from the first
/// interrupt until the cell ends. Always `false` elsewhere.
///
/// [`fit`](crate::train::fit) and the other long calls of the kit ask by themselves. Ask in a loop
/// of your own to keep your variables when you press stop:
///
/// ```
/// let mut steps = 0;
/// while steps < 1000 && !mnist_kit::stop_requested() {
///     steps += 1;
/// }
/// assert_eq!(steps, 1000);
/// ```
pub fn stop_requested() -> bool {
    channel::is_live() && descriptor().is_some_and(is_readable)
}

/// The error of a long call that ends because the cell was asked to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Interrupted {
    at: String,
}

impl Interrupted {
    /// The place where the call ended.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted at {}", self.at)
    }
}

impl std::error::Error for Interrupted {}

/// Ends a long call with [`Interrupted`] if the cell is asked to stop; `place` says where.
pub(crate) fn check(place: impl FnOnce() -> String) -> Result<(), Interrupted> {
    if !stop_requested() {
        return Ok(());
    }
    let at = place();
    channel::send_in_order(&serde_json::json!({ "event": "stopped", "at": at }));
    Err(Interrupted { at })
}

fn descriptor() -> Option<i32> {
    std::env::var(STOP_FD).ok()?.parse().ok()
}

#[cfg(unix)]
fn is_readable(descriptor: i32) -> bool {
    let mut asked = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    // Safety: poll gets one valid entry and does not wait.
    unsafe { libc::poll(&mut asked, 1, 0) == 1 && asked.revents & libc::POLLIN != 0 }
}

#[cfg(not(unix))]
fn is_readable(_descriptor: i32) -> bool {
    false
}
