"""The socket of the relay, which the kit runs in the process of the cells (runtime/relay.rs)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from companion.wire import log

# A picture is one line.
LONGEST_LINE = 1 << 30


class Relay:
    """The companion's end of the socket. At most one process is connected at a time."""

    def __init__(
        self,
        heard: Callable[[dict], None],
        lost: Callable[[], None],
        belongs: Callable[[int], bool],
    ) -> None:
        self.heard, self.lost, self.belongs = heard, lost, belongs
        self.writer: asyncio.StreamWriter | None = None
        self.process: int | None = None
        self.number = 0
        self.pings: dict[int, asyncio.Future] = {}
        self.hello = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether a relay has said hello and not been lost since."""
        return self.writer is not None and self.hello.is_set()

    async def listen(self, path: Path) -> None:
        """Begins to accept connections."""
        self.server = await asyncio.start_unix_server(self.serve, path, limit=LONGEST_LINE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hands on the events of a process that has connected."""
        pid = peer(writer)
        # A cell could connect as well, to speak in the relay's name.
        if self.writer is not None or not self.belongs(pid):
            writer.close()
            return
        self.gone.clear()
        if self.process is not None:
            os.close(self.process)
        self.writer, self.process = writer, os.pidfd_open(pid)
        try:
            while line := await reader.readline():
                self.take(line)
        except (OSError, ValueError) as error:
            log(f"The relay is lost: {error}")
        except asyncio.CancelledError:
            # The companion ends. asyncio would report this as an error.
            return
        finally:
            self.writer = None
            self.hello.clear()
            self.gone.set()
            writer.close()
            for waiting in self.pings.values():
                if not waiting.done():
                    waiting.set_result(None)
            self.lost()

    async def wait_for_loss(self, seconds: float) -> None:
        """Waits until the process that is being ended is gone."""
        if self.writer is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), seconds)

    def take(self, line: bytes) -> None:
        """Hands on one event."""
        try:
            event = json.loads(line)
            name = event["event"]
        except (ValueError, LookupError, TypeError):
            log(f"The relay sent a line that is no event: {line[:200]!r}")
            return
        if name == "hello":
            self.hello.set()
        elif name == "pong":
            waiting = self.pings.get(event.get("number"))
            if waiting and not waiting.done():
                waiting.set_result(event)
        else:
            self.heard(event)

    def send(self, **command) -> None:
        """Sends a command, if there is a relay."""
        if self.writer is not None:
            self.writer.write(json.dumps(command).encode() + b"\n")

    async def ping(self, seconds: float) -> dict | None:
        """Waits for the relay's answer; None if none comes.

        What the relay has seen before it answers has been heard when this returns.
        """
        if not self.alive:
            return None
        self.number += 1
        answer = self.pings[self.number] = asyncio.get_running_loop().create_future()
        self.send(do="ping", number=self.number)
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            return None
        finally:
            self.pings.clear()

    def end_process(self) -> None:
        """Ends the process that had connected last, if it still runs."""
        if self.process is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self.process, signal.SIGKILL)

    @property
    def process_ended(self) -> bool:
        """Whether the process that had connected last has ended."""
        if self.process is None:
            return True
        try:
            signal.pidfd_send_signal(self.process, 0)
            return False
        except OSError:
            return True


def peer(writer: asyncio.StreamWriter) -> int:
    """Returns the process at the other end."""
    size = struct.calcsize("3i")
    found = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return struct.unpack("3i", found)[0]


def parent_of(pid: int) -> int | None:
    """Returns a process's parent; None if there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None
