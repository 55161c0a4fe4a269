"""Signed Jupyter messages over ZeroMQ."""

from __future__ import annotations

import sys

import zmq.asyncio
from jupyter_client.session import Session


def log(text: str) -> None:
    """Writes a line to Jupyter's log."""
    print(f"[mnist_kit] {text}", file=sys.stderr, flush=True)


class Channel:
    """A socket, with the session that signs and checks its messages."""

    def __init__(self, socket: zmq.asyncio.Socket, session: Session) -> None:
        self.socket, self.session = socket, session

    def send(self, message: dict, identities: list[bytes] = ()) -> None:
        """Sends a message to the peer that the identities name."""
        frames = self.session.serialize(message, list(identities))
        # pyzmq sends at once if it can, and keeps the order if it cannot.
        self.socket.send_multipart(frames + list(message.get("buffers", [])))

    async def receive(self) -> tuple[list[bytes], dict]:
        """Waits for a message; returns the identities it came with, and the message."""
        while True:
            message = self.read(await self.socket.recv_multipart())
            if message:
                return message

    def read(self, frames: list[bytes]) -> tuple[list[bytes], dict] | None:
        """Checks and decodes a message; returns None for one that is not signed or damaged."""
        try:
            identities, frames = self.session.feed_identities(frames)
            return identities, self.session.deserialize(frames)
        except (ValueError, TypeError, KeyError) as error:
            log(f"A message is ignored: {error}")
            return None
