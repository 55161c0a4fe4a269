"""The side of a standby that waits to be taken (see tools/standby.py)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path


class Claim:
    """The socket at which a standby waits, and the connection of the kernel that takes it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.taken: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        self.released = asyncio.Event()
        self.writer: asyncio.StreamWriter | None = None

    async def listen(self) -> bool:
        """Starts to wait; returns False if another standby waits at the same place."""
        waiting = socket.socket(socket.AF_UNIX)
        try:
            # asyncio would take the place away from the other.
            waiting.bind(str(self.place))
        except OSError:
            waiting.close()
            return False
        self.server = await asyncio.start_unix_server(self.accept, sock=waiting)
        return True

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves the first kernel that asks, and waits for its end."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            file = Path(json.loads(await reader.readline())["connection_file"])
            if self.taken.done():
                writer.close()
                return
            self.place.unlink(missing_ok=True)
            self.taken.set_result(file)
            self.writer = writer
            writer.write(b"+")
            await reader.read()
            self.released.set()

    async def close(self, code: int) -> None:
        """Tells the kernel that took the standby how it has ended."""
        if not self.taken.done():
            self.place.unlink(missing_ok=True)
        if self.writer:
            with contextlib.suppress(OSError):
                self.writer.write(str(code).encode())
                await self.writer.drain()
