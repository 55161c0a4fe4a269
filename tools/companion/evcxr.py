"""evcxr_jupyter: its process, and the sockets towards it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import project
import zmq.asyncio
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session

from companion.wire import Channel, log

PR_SET_PDEATHSIG = 1
# Somebody else may take a port between its choice and evcxr's start.
ATTEMPTS = 3

# evcxr's answer to `kernel_info_request`, for the time before it runs.
INFORMATION = {
    "protocol_version": "5.3",
    "implementation": "evcxr_jupyter",
    "implementation_version": project.EVCXR_VERSION,
    "language_info": {
        "name": "Rust",
        "version": "",
        "mimetype": "text/rust",
        "file_extension": ".rs",
        "pygment_lexer": "rust",
        "codemirror_mode": "rust",
    },
    "banner": f"EvCxR {project.EVCXR_VERSION} - Evaluation Context for Rust",
    "help_links": [{"text": "Rust std docs", "url": "https://doc.rust-lang.org/stable/std/"}],
    "status": "ok",
}


class Evcxr:
    """A running evcxr_jupyter. It knows nothing of the companion: for it, this is Jupyter."""

    def __init__(self, context: zmq.asyncio.Context) -> None:
        self.session = Session(key=secrets.token_hex(16).encode(), username="companion")
        # evcxr sends a request for input to the identity of the shell's socket.
        identity = secrets.token_hex(8).encode()

        def socket(kind: int) -> zmq.asyncio.Socket:
            made = context.socket(kind)
            made.linger = 0
            made.set_hwm(0)
            if kind == zmq.DEALER:
                made.identity = identity
            else:
                made.subscribe(b"")
            return made

        self.shell = Channel(socket(zmq.DEALER), self.session)
        self.control = Channel(socket(zmq.DEALER), self.session)
        self.stdin = Channel(socket(zmq.DEALER), self.session)
        self.iopub = Channel(socket(zmq.SUB), self.session)
        self.process: asyncio.subprocess.Process | None = None
        # The exit code, once it has ended.
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def start(self, program: Path, folder: Path) -> None:
        """Starts the process and connects to it."""
        # Everything that a cell starts holds the kernel's lock, by which kernel.py finds it.
        lock = os.environ.get("MNIST_KIT_KERNEL_LOCK")
        for _ in range(ATTEMPTS):
            file, where = write_connection_file(
                str(folder / "evcxr.json"), key=self.session.key, ip="127.0.0.1"
            )
            self.process = await asyncio.create_subprocess_exec(
                program,
                "--control_file",
                file,
                stdin=asyncio.subprocess.DEVNULL,
                # A signal for Jupyter's process group is not meant for evcxr.
                start_new_session=True,
                pass_fds=[int(lock)] if lock else [],
                preexec_fn=die_with_parent,
            )
            ended = asyncio.create_task(self.process.wait())
            if await self.accepts(where["control_port"], ended):
                break
        ended.add_done_callback(self.on_end)
        for channel, port in (
            (self.shell, "shell_port"),
            (self.control, "control_port"),
            (self.stdin, "stdin_port"),
            (self.iopub, "iopub_port"),
        ):
            channel.socket.connect(f"tcp://127.0.0.1:{where[port]}")

    def on_end(self, ended: asyncio.Task) -> None:
        """Notes the exit code."""
        if not ended.cancelled() and not self.exited.done():
            self.exited.set_result(ended.result())

    async def accepts(self, port: int, ended: asyncio.Task) -> bool:
        """Waits until evcxr listens; returns False if it has ended instead."""
        while not ended.done():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return True
            await asyncio.sleep(0.02)
        log(f"evcxr has ended with code {ended.result()} before it listened")
        return False

    def ask(self, channel: Channel, kind: str, content: dict | None = None) -> str:
        """Sends a request of the companion's own; returns its id."""
        message = self.session.msg(kind, content or {})
        channel.send(message)
        return message["header"]["msg_id"]

    def waiting_messages(self) -> Iterator[list[bytes]]:
        """Takes what has been published and not been read, without waiting."""
        # Much faster than asyncio's way, for cells that print a lot.
        socket = zmq.Socket.shadow(self.iopub.socket.underlying)
        for _ in range(1000):
            try:
                yield socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return

    def kill(self) -> None:
        """Ends the process, and the one that runs the cells, at once."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def die_with_parent() -> None:
    """Makes the kernel of the system end this process when the companion ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
