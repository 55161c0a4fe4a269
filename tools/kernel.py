"""What Jupyter starts for the kernel: evcxr in a private copy of the warmed build folder.

The process that Jupyter starts becomes the companion (companion/), which starts evcxr. A guard,
forked off before, waits for it to end in whatever way, ends what it left running and removes the
folder. Should the guard be killed too, the next kernel to start finds the folder without a living
owner and does the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import project
import standby
import template

# As `stat --file-system` names them.
LOCAL_FILE_SYSTEMS = ("ext2/ext3", "xfs", "btrfs", "tmpfs", "overlayfs", "zfs", "f2fs", "bcachefs")


def main() -> int:
    """Takes a standby if there is one; otherwise starts a kernel."""
    match sys.argv[1:]:
        case ["--standby", place]:
            start("--standby", place)
        case ["--fill", folder]:
            fill(Path(folder))
            return 0
        case [connection_file]:
            return connect(connection_file)
        case _:
            raise project.Problem("usage: kernel.py CONNECTION_FILE")


def connect(connection_file: str) -> int:
    """Serves Jupyter with a standby, or becomes a new kernel; prepares the next standby."""
    key = standby.key()
    taken = standby.take(key, connection_file) if key else None
    if key:
        standby.prepare(key)
    if taken:
        return standby.serve(taken)
    start("--connect", connection_file)


def start(mode: str, place: str) -> NoReturn:
    """Makes the folder, starts the guard, becomes the companion."""
    evcxr = project.evcxr()
    if evcxr is None or project.toolchain_bin() is None or not project.LIBTORCH.exists():
        raise project.Problem("The kernel is not set up: run `make setup`, and `make doctor` for what is missing.")
    with template.locked():
        folder, lock = claim()
        fresh = template.state() == "fresh"
        if fresh:
            template.copy_to(folder)
    guard(folder, lock)
    variables = template.kernel_variables() | {
        "EVCXR_TMPDIR": str(folder),
        # The companion hands this descriptor to evcxr: see `belongs_to`.
        "MNIST_KIT_KERNEL_LOCK": str(lock),
    }
    companion = Path(__file__).with_name("companion")
    arguments = [sys.executable, str(companion), str(evcxr), mode, place]
    if not fresh:
        # The companion shows the progress of the compilation, which takes its time.
        arguments.append("--fill")
    os.execve(sys.executable, arguments, variables)


def say(line: str) -> None:
    """A line in Jupyter's log."""
    print(f"[mnist_kit] {line}", file=sys.stderr, flush=True)


def fill(folder: Path) -> None:
    """Brings the template up to date and copies it."""
    with template.locked():
        template.ensure(say)
        template.copy_to(folder)


def claim() -> tuple[Path, int]:
    """A folder of the kernel's own, and the open lock file that says its kernel lives."""
    template.LIVE.mkdir(parents=True, exist_ok=True, mode=0o700)
    # cargo finds the settings in a folder above the package that it builds.
    template.write(template.LIVE / ".cargo" / "config.toml", template.CARGO_CONFIG)
    with open(template.LIVE / "lock", "w") as starting:
        # One start at a time: a folder exists for a moment before its lock is taken.
        with contextlib.suppress(OSError):
            fcntl.flock(starting, fcntl.LOCK_EX)
        sweep()
        folder = Path(tempfile.mkdtemp(prefix="", dir=template.LIVE))
        lock = os.open(folder / "alive", os.O_CREAT | os.O_RDWR)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
    # The companion inherits the lock over exec, and passes it on: it is free when all of them and
    # the guard are gone.
    os.set_inheritable(lock, True)
    return folder, lock


def guard(folder: Path, lock: int) -> None:
    """Forks the process that cleans up when this one ends."""
    kernel = os.pidfd_open(os.getpid())
    if os.fork():
        os.close(kernel)
        return
    # A session of its own: Jupyter kills the kernel's whole process group. Its pipes must not stay open either.
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    select.select([kernel], [], [])
    end(folder)
    os._exit(0)


def end(folder: Path) -> None:
    """Ends the processes that work in a kernel's folder, and removes it."""
    for _ in range(50):
        left = [pid for pid in processes() if belongs_to(pid, folder)]
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.05)
    remove(folder)


def remove(folder: Path) -> None:
    """Removes a kernel's folder as far as that is possible.

    The lock file goes last, so that the next kernel to start goes on where this process was killed.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "alive":
                path.unlink()
        if [path.name for path in folder.iterdir()] == ["alive"]:
            (folder / "alive").unlink()
        folder.rmdir()


def belongs_to(pid: int, folder: Path) -> bool:
    """Whether a process was started for a kernel: by its environment or by the files that it holds.

    A process that was started with an empty environment still holds the kernel's lock file.
    """
    if f"EVCXR_TMPDIR={folder}".encode() in environment_of(pid):
        return True
    try:
        held = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    return any(Path(name).is_relative_to(folder) for name in held)


def processes() -> list[int]:
    """All processes but this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def environment_of(pid: int) -> list[bytes]:
    """The variables that a process was started with; none where we may not look."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def sweep() -> None:
    """Removes the folders whose kernel and guard were both killed, if their locks can be trusted.

    The caller holds the lock of a start, so a folder that is still empty belongs to nobody.
    """
    if not template.LIVE.exists() or not has_trusted_locks(template.LIVE):
        return
    for folder in template.LIVE.iterdir():
        if (folder / "alive").exists():
            if not has_owner(folder):
                end(folder)
        elif folder.is_dir():
            # Refused unless it is empty.
            with contextlib.suppress(OSError):
                folder.rmdir()


def has_trusted_locks(folder: Path) -> bool:
    """Whether locks in a folder hold against all processes that can see it.

    On a network file system, a lock may be unknown to other machines.
    """
    return project.output_of("stat", "-f", "-c", "%T", folder) in LOCAL_FILE_SYSTEMS


def has_owner(folder: Path) -> bool:
    """Whether a living process holds the folder's lock, or may hold it."""
    try:
        lock = os.open(folder / "alive", os.O_RDWR)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)


if __name__ == "__main__":
    project.main(main)
