"""The sockets that Jupyter's clients connect to."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import zmq.asyncio
from jupyter_client.session import Session

from companion.wire import Channel


class Front:
    """The five channels of a kernel, bound where the connection file says."""

    def __init__(self, context: zmq.asyncio.Context) -> None:
        self.context = context

    def open(self, connection_file: Path) -> None:
        """Binds the sockets."""
        where = json.loads(connection_file.read_text())
        self.session = Session(
            key=where["key"].encode(), signature_scheme=where["signature_scheme"], username="kernel"
        )
        separator = ":" if where["transport"] == "tcp" else "-"
        address = f"{where['transport']}://{where['ip']}{separator}"

        def bind(kind: int, port: str) -> zmq.asyncio.Socket:
            socket = self.context.socket(kind)
            # A message that a client has not fetched when the kernel ends waits for so long.
            socket.linger = 1000
            # Nothing is dropped for a slow client; the output of a cell is limited elsewhere.
            socket.set_hwm(0)
            if kind == zmq.ROUTER:
                # A client that connects again, as after a reload of the page, takes its place back.
                socket.router_handover = 1
            socket.bind(f"{address}{where[port]}")
            return socket

        self.shell = Channel(bind(zmq.ROUTER, "shell_port"), self.session)
        self.control = Channel(bind(zmq.ROUTER, "control_port"), self.session)
        self.stdin = Channel(bind(zmq.ROUTER, "stdin_port"), self.session)
        self.iopub = Channel(bind(zmq.PUB, "iopub_port"), self.session)
        self.heartbeat = bind(zmq.ROUTER, "hb_port")
        self.publish("status", {"execution_state": "starting"}, None)

    def publish(self, kind: str, content: dict, parent: dict | None) -> None:
        """Sends a message of the companion's own to all clients."""
        self.forward(self.session.msg(kind, content, parent=parent))

    def forward(self, message: dict) -> None:
        """Sends a message to all clients; the topic helps them to filter."""
        self.iopub.send(message, [message["header"]["msg_type"].encode()])

    def reply(
        self, channel: Channel, identities: list[bytes], request: dict, content: dict
    ) -> None:
        """Answers a request."""
        kind = request["header"]["msg_type"].replace("_request", "_reply")
        metadata = {"status": content["status"]} if "status" in content else None
        channel.send(self.session.msg(kind, content, parent=request, metadata=metadata), identities)

    @contextlib.contextmanager
    def busy(self, request: dict):
        """Publishes `busy` before, and `idle` after what is done for a request."""
        self.publish("status", {"execution_state": "busy"}, request)
        yield
        self.publish("status", {"execution_state": "idle"}, request)

    async def beat(self) -> None:
        """Returns what clients send to learn whether the kernel lives."""
        while True:
            self.heartbeat.send_multipart(await self.heartbeat.recv_multipart())
