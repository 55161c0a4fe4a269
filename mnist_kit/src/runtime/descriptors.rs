//! Descriptors: pipes, copies, and the check that a cell has left the standard ones in place.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The lowest number of the descriptors that the relay keeps, out of the way of a cell's own.
const LOWEST: RawFd = 500;

/// Moves a descriptor to a high number.
pub(super) fn high<T: From<OwnedFd>>(descriptor: impl AsFd) -> io::Result<T> {
    let number = descriptor.as_fd().as_raw_fd();
    // Safety: the new descriptor belongs to nobody else.
    let moved = checked(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, LOWEST) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(moved) }.into())
}

/// Copies a descriptor by its number.
pub(super) fn copy(number: RawFd) -> io::Result<OwnedFd> {
    // Safety: as above.
    let copy = checked(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes `number` another name of `descriptor`.
pub(super) fn replace(number: RawFd, descriptor: &impl AsRawFd) -> io::Result<()> {
    // Safety: dup2 takes plain numbers. Nothing in Rust owns the standard descriptors.
    checked(unsafe { libc::dup2(descriptor.as_raw_fd(), number) }).map(drop)
}

/// Makes a pipe, its reading end first, that holds as much as the system allows, up to 1 MB.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // Safety: pipe2 fills the two numbers, and the descriptors belong to nobody else.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    unsafe { libc::fcntl(ends[0], libc::F_SETPIPE_SZ, 1 << 20) };
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Makes an eventfd that never blocks.
pub(super) fn event() -> io::Result<OwnedFd> {
    // Safety: the new descriptor belongs to nobody else.
    let number = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Waits until one of the descriptors is readable or at its end, and tells which.
pub(super) fn wait(numbers: [RawFd; 2], limit: Duration) -> io::Result<[bool; 2]> {
    let mut polled = numbers.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // Safety: poll gets two valid entries.
    let result =
        checked(unsafe { libc::poll(polled.as_mut_ptr(), 2, limit.as_millis() as libc::c_int) });
    match result {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
        Err(_) => return Ok([false; 2]),
        Ok(_) => {}
    }
    if polled.iter().any(|entry| entry.revents & libc::POLLNVAL != 0) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    Ok(polled.map(|entry| entry.revents != 0))
}

/// Returns whether a pipe holds bytes.
pub(super) fn holds_bytes(number: RawFd) -> bool {
    let mut count: libc::c_int = 0;
    // Safety: FIONREAD fills one number.
    unsafe { libc::ioctl(number, libc::FIONREAD, &mut count) == 0 && count > 0 }
}

/// Keeps signals away from this thread.
pub(super) fn block_signals() {
    let mut all = MaybeUninit::uninit();
    // Safety: sigfillset fills the set before it is used.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// The files that the standard descriptors refer to.
pub(super) struct Standard {
    expected: [Option<Identity>; 3],
    reported: [bool; 3],
}

/// Device and inode of a descriptor's file.
type Identity = (libc::dev_t, libc::ino_t);

impl Standard {
    const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

    /// Expects standard input and output to refer to what these descriptors refer to.
    pub(super) fn expecting(stdin: RawFd, stdout: RawFd) -> io::Result<Standard> {
        let expected = [Some(identity(stdin)?), Some(identity(stdout)?), identity(2).ok()];
        Ok(Standard { expected, reported: [false; 3] })
    }

    /// Names the descriptors that have been closed or replaced since the last call.
    pub(super) fn changed(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (index, name) in Standard::NAMES.into_iter().enumerate() {
            let changed = identity(index as RawFd).ok() != self.expected[index];
            if changed && !self.reported[index] {
                names.push(name);
            }
            self.reported[index] = changed;
        }
        names
    }
}

fn identity(number: RawFd) -> io::Result<Identity> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // Safety: fstat fills the structure if it succeeds.
    checked(unsafe { libc::fstat(number, status.as_mut_ptr()) })?;
    let status = unsafe { status.assume_init() };
    Ok((status.st_dev, status.st_ino))
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
