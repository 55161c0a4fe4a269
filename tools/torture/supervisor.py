"""Runs a program and lets one of its system calls fail, or kills it there.

The kernel reports each call that changes files to this process before it is made (seccomp's user
notification, Linux 5.5 or newer), so that calls are seen whatever library or thread makes them, and
in child processes, too. No privileges are needed. Calls on files outside the watched folders go on
untouched; those inside are the steps, counted from 1.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import stat
import struct
import subprocess
import threading

# System calls with their numbers on x86-64 and on arm64, which lacks the oldest ones.
CALLS = [
    ("open", 2, None),
    ("creat", 85, None),
    ("openat", 257, 56),
    ("openat2", 437, 437),
    ("write", 1, 64),
    ("pwrite64", 18, 68),
    ("writev", 20, 66),
    ("pwritev", 296, 70),
    ("pwritev2", 328, 287),
    ("ftruncate", 77, 46),
    ("fallocate", 285, 47),
    ("copy_file_range", 326, 285),
    ("sendfile", 40, 71),
    ("rename", 82, None),
    ("renameat", 264, 38),
    ("renameat2", 316, 276),
    ("link", 86, None),
    ("linkat", 265, 37),
    ("unlink", 87, None),
    ("unlinkat", 263, 35),
    ("rmdir", 84, None),
    ("mkdir", 83, None),
    ("mkdirat", 258, 34),
    ("fsync", 74, 82),
    ("fdatasync", 75, 83),
]
COLUMN = {"x86_64": 1, "aarch64": 2}
# The argument that holds the descriptor of a written file.
WRITES = {
    "write": 0, "pwrite64": 0, "writev": 0, "pwritev": 0, "pwritev2": 0,
    "ftruncate": 0, "fallocate": 0, "copy_file_range": 2, "sendfile": 0,
}  # fmt: skip
SECCOMP = {"x86_64": 317, "aarch64": 277}
# From linux/seccomp.h, linux/filter.h and linux/prctl.h.
NO_NEW_PRIVILEGES, SET_FILTER, NEW_LISTENER = 38, 1, 8
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NOTIFY, ALLOW = 0x7FC00000, 0x7FFF0000
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
NOTIFICATION = struct.Struct("=QIIiIQ6Q")
RESPONSE = struct.Struct("=QqiI")
# A full disk stays full; a bad sector fails once.
LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
NEEDS_SPACE = ("create", "truncate", "write", "mkdir", "link")

libc = ctypes.CDLL(None, use_errno=True)


class Unsupported(Exception):
    """This machine cannot watch system calls."""


class Instruction(ctypes.Structure):
    """An instruction of the filter."""

    _fields_ = [
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    ]


class Program(ctypes.Structure):
    """A filter."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction))]


@dataclasses.dataclass
class Fault:
    """The fault at a step: an error number, or 0 for SIGKILL of all processes."""

    step: int
    error: int


@dataclasses.dataclass
class Call:
    """A step: its kind, the files it names, and the inode it writes to."""

    kind: str
    paths: list[str]
    inode: int = 0


@dataclasses.dataclass
class Outcome:
    """The end of a program: exit code (negative for a signal, None for a timeout) and output."""

    code: int | None
    output: str
    steps: list[str]

    @property
    def said(self) -> str:
        """The last lines of the output."""
        return "\n".join(self.output.strip().splitlines()[-5:])


def run(command, watched, fault: Fault | None = None, record=None, timeout=600, **options) -> Outcome:
    """Runs a command; calls on files in the `watched` folders are its steps.

    `record(call)` is told of each call on any file before it is made.
    """
    numbers = call_numbers()
    ours, theirs = socket.socketpair()
    watcher = Watcher(numbers, [str(path) for path in watched], fault, record)

    def prepare():
        listener = install(numbers)
        socket.send_fds(theirs, [b"x"], [listener])
        os.close(listener)

    thread = threading.Thread(target=watcher.serve, args=(ours,), daemon=True)
    thread.start()
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=prepare,
            start_new_session=True,
            **options,
        )
    except subprocess.SubprocessError:
        raise Unsupported("seccomp's user notification (Linux 5.5) is missing or not permitted") from None
    finally:
        theirs.close()
    try:
        output, _ = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        end_session(process.pid)
        output, code = process.communicate()[0], None
    end_session(process.pid)
    thread.join(timeout=10)
    ours.close()
    if watcher.problem:
        raise watcher.problem
    return Outcome(code, output, watcher.steps)


def end_session(leader: int) -> None:
    """Kills the processes of a session that `run` has started."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def call_numbers() -> dict[int, str]:
    """Maps the numbers of the watched system calls on this machine to their names."""
    column = COLUMN.get(platform.machine())
    if platform.system() != "Linux" or column is None:
        raise Unsupported("faults need Linux on x86-64 or arm64")
    return {row[column]: row[0] for row in CALLS if row[column] is not None}


def install(numbers: dict[int, str]) -> int:
    """Installs the filter in this process and all it starts; returns the listening descriptor."""
    instructions = [Instruction(LOAD, 0, 0, 0)]
    for number in numbers:
        instructions.append(Instruction(JUMP_IF_EQUAL, 0, 1, number))
        instructions.append(Instruction(RETURN, 0, 0, NOTIFY))
    instructions.append(Instruction(RETURN, 0, 0, ALLOW))
    program = Program(len(instructions), (Instruction * len(instructions))(*instructions))
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = libc.syscall(
        SECCOMP[platform.machine()], SET_FILTER, NEW_LISTENER, ctypes.byref(program)
    )
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


class Watcher:
    """Answers the kernel's notifications."""

    def __init__(self, numbers, watched, fault, record):
        self.numbers, self.watched, self.fault, self.record = numbers, watched, fault, record
        self.steps: list[str] = []
        self.over = False
        self.problem: Exception | None = None

    def serve(self, channel: socket.socket) -> None:
        """Serves until no process is left that has the filter."""
        try:
            _, [listener], _, _ = socket.recv_fds(channel, 1, 1)
        except (OSError, ValueError):
            return
        waiting = select.poll()
        waiting.register(listener, select.POLLIN)
        try:
            while True:
                events = [event for _, event in waiting.poll()]
                if any(event & (select.POLLHUP | select.POLLERR) for event in events):
                    return
                self.answer(listener)
        except Exception as problem:
            self.problem = problem
        finally:
            os.close(listener)

    def answer(self, listener: int) -> None:
        """Lets one system call go on, fail or never return."""
        buffer = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, RECEIVE, buffer)
        except OSError as gone:
            if gone.errno in (errno.ENOENT, errno.EINTR):
                return
            raise
        call_id, pid, _, number, _, _, *arguments = NOTIFICATION.unpack(buffer)
        error = self.judge(pid, self.numbers[number], arguments)
        flags = 0 if error else CONTINUE
        response = RESPONSE.pack(call_id, 0, -error, flags)
        try:
            fcntl.ioctl(listener, SEND, bytearray(response))
        except OSError as gone:
            if gone.errno not in (errno.ENOENT, errno.EINPROGRESS):
                raise

    def judge(self, pid: int, name: str, arguments: list[int]) -> int:
        """Returns the error with which a system call fails, or 0."""
        try:
            call = understand(pid, name, arguments)
        except (OSError, ValueError):
            # The process has just ended, or gave an address that it may not read.
            return 0
        error = 0
        if call and any(self.is_watched(path) for path in call.paths):
            error = self.step(pid, call)
        if call and self.record and not error:
            self.record(call)
        return error

    def step(self, pid: int, call: Call) -> int:
        """Counts a step; returns the error with which it fails, or 0."""
        self.steps.append(call.kind)
        if self.fault is None:
            return 0
        if len(self.steps) == self.fault.step:
            self.over = True
            if self.fault.error == 0:
                os.killpg(os.getpgid(pid), signal.SIGKILL)
                # The call does not return any more.
                return errno.EIO
            refused = call.kind != "read" or self.fault.error == errno.EIO
            return self.fault.error if refused else 0
        lasts = self.over and self.fault.error in LASTING and call.kind in self.impossible()
        return self.fault.error if lasts else 0

    def impossible(self) -> tuple[str, ...]:
        """The kinds of calls that a full or read-only file system refuses."""
        more = ("rename", "unlink") if self.fault.error == errno.EROFS else ()
        return NEEDS_SPACE + more

    def is_watched(self, path: str) -> bool:
        """Returns whether a path lies in a watched folder, or is one."""
        return any(path == folder or path.startswith(folder + "/") for folder in self.watched)


def understand(pid: int, name: str, arguments: list[int]) -> Call | None:
    """Describes a system call; None for one that names no file."""
    signed = [value - (1 << 32) if value & 0x80000000 else value & 0xFFFFFFFF for value in arguments]

    def path(folder: int | None, text: int) -> str:
        return path_of(pid, -100 if folder is None else signed[folder], arguments[text])

    if name in WRITES:
        return on_descriptor("write", pid, signed[WRITES[name]])
    match name:
        case "fsync" | "fdatasync":
            return on_descriptor("fsync", pid, signed[0])
        case "open" | "creat" | "openat" | "openat2":
            at = name in ("openat", "openat2")
            opened = path(0 if at else None, 1 if at else 0)
            return Call(kind_of_open(opened, flags_of(pid, name, arguments)), [opened])
        case "rename" | "link":
            return Call(name, [path(None, 0), path(None, 1)])
        case "renameat" | "renameat2" | "linkat":
            return Call(name.split("at")[0], [path(0, 1), path(2, 3)])
        case "unlink" | "rmdir":
            return Call("unlink", [path(None, 0)])
        case "unlinkat":
            return Call("unlink", [path(0, 1)])
        case "mkdir":
            return Call("mkdir", [path(None, 0)])
        case "mkdirat":
            return Call("mkdir", [path(0, 1)])
    raise ValueError(name)


def on_descriptor(kind: str, pid: int, descriptor: int) -> Call | None:
    """A call on an open file or folder."""
    link = f"/proc/{pid}/fd/{descriptor}"
    about = os.stat(link)
    if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
        return None
    return Call(kind, [os.readlink(link).removesuffix(" (deleted)")], about.st_ino)


def flags_of(pid: int, name: str, arguments: list[int]) -> int:
    """The flags with which a file is opened."""
    if name == "creat":
        return os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    if name == "openat2":
        return struct.unpack("=Q", memory(pid, arguments[2], 8))[0]
    return arguments[1 if name == "open" else 2]


def kind_of_open(path: str, flags: int) -> str:
    """Returns the effect of opening a file: `create`, `truncate`, `change` or `read`."""
    if not flags & (os.O_WRONLY | os.O_RDWR):
        return "read"
    if flags & os.O_CREAT and not os.path.lexists(path):
        return "create"
    return "truncate" if flags & os.O_TRUNC else "change"


def path_of(pid: int, folder: int, address: int) -> str:
    """The absolute path that a process names."""
    text = os.fsdecode(memory(pid, address, 4096).split(b"\0")[0])
    if not os.path.isabs(text):
        base = f"/proc/{pid}/cwd" if folder == -100 else f"/proc/{pid}/fd/{folder}"
        text = os.path.join(os.readlink(base), text)
    return os.path.normpath(text)


def memory(pid: int, address: int, size: int) -> bytes:
    """Reads the memory of a process, up to the end of the page if the next one does not exist."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        file.seek(address)
        try:
            return file.read(size)
        except OSError:
            file.seek(address)
            return file.read(4096 - address % 4096)
