"""What evcxr answers and publishes, on its way to Jupyter."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from companion import stream
from companion.cell import Cell
from companion.evcxr import Evcxr
from companion.front import Front
from companion.watch import Watch

# The characters of stderr that are kept for the message of an error.
STDERR_KEPT = 10_000
# Seconds that a live message may come after the mark of its place.
MARK_PATIENCE = 2


@dataclasses.dataclass
class Hidden:
    """An execute request of the companion's own, of which Jupyter learns nothing."""

    replied: asyncio.Future
    idle: asyncio.Future


class Answers:
    """Takes evcxr's messages."""

    def __init__(self, front: Front, evcxr: Evcxr, watch: Watch) -> None:
        self.front, self.evcxr, self.watch = front, evcxr, watch
        self.loop = asyncio.get_running_loop()
        # evcxr's answer to `kernel_info_request`, once there is one.
        self.information: dict | None = None
        self.hidden: dict[str, Hidden] = {}
        self.probes: set[str] = set()
        self.heard = asyncio.Event()
        self.last_output = 0.0

    async def ready(self) -> None:
        """Waits until evcxr answers, and is heard: what it publishes before is lost."""
        while not (self.information and self.heard.is_set()):
            self.probes.add(self.evcxr.ask(self.evcxr.shell, "kernel_info_request"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.heard.wait(), 0.5)
            await asyncio.sleep(0.01)

    async def execute_hidden(self, code: str) -> None:
        """Runs code of which Jupyter learns nothing."""
        hidden = Hidden(self.loop.create_future(), self.loop.create_future())
        content = {"code": code, "silent": True, "allow_stdin": False}
        request = self.evcxr.ask(self.evcxr.shell, "execute_request", content)
        self.hidden[request] = hidden
        await asyncio.wait([hidden.replied, hidden.idle], return_when=asyncio.ALL_COMPLETED)
        del self.hidden[request]

    async def quiet(self, seconds: float, limit: float) -> None:
        """Waits until evcxr has published no text for some time."""
        started = self.last_output = self.loop.time()
        while (now := self.loop.time()) < self.last_output + seconds and now < started + limit:
            await asyncio.sleep(self.last_output + seconds - now)

    async def take_replies(self) -> None:
        """Takes evcxr's answers."""
        while True:
            identities, reply = await self.evcxr.shell.receive()
            parent = reply["parent_header"].get("msg_id")
            if parent in self.probes:
                self.information = reply["content"]
            elif parent in self.hidden:
                self.hidden[parent].replied.set_result(None)
            elif self.watch.running and parent == self.watch.cell.id:
                self.watch.cell.evidence.answer = reply["content"].get("status", "error")
                self.watch.cell.replied.set_result(None)
            else:
                self.front.shell.send(reply, identities)

    async def take_control(self) -> None:
        """Hands on answers to requests that the companion does not answer itself."""
        while True:
            identities, reply = await self.evcxr.control.receive()
            if identities:
                self.front.control.send(reply, identities)

    async def take_input_requests(self) -> None:
        """Hands on a cell's wish for input."""
        while True:
            identities, request = await self.evcxr.stdin.receive()
            self.watch.input_wanted = True
            self.front.stdin.send(request, identities)

    async def take_published(self) -> None:
        """Hands on what evcxr publishes, with lines of text that come together in one message."""
        while True:
            first = await self.evcxr.iopub.socket.recv_multipart()
            text = stream.Text(self.front.publish)
            for frames in (first, *self.evcxr.waiting_messages()):
                if self.is_surplus(frames):
                    continue
                read = self.evcxr.iopub.read(frames)
                if read:
                    await self.on_published(read[1], text)
            text.flush()
            # Others get their turn, even if this never ends.
            await asyncio.sleep(0)

    def is_surplus(self, frames: list[bytes]) -> bool:
        """Whether a message is text beyond the limit, which is not worth decoding."""
        cell = self.watch.cell
        if not (cell and cell.limit.reached and b'"stream"' in frames[-4]):
            return False
        self.last_output = self.loop.time()
        if not cell.ended:
            cell.limit.admit(len(frames[-1]))
            self.watch.check_limit(cell)
        return True

    async def on_published(self, message: dict, text: stream.Text) -> None:
        """Handles one message of evcxr."""
        kind, content, cell = message["msg_type"], message["content"], self.watch.cell
        parent = message["parent_header"].get("msg_id")
        if kind == "stream":
            self.last_output = self.loop.time()
            if cell:
                # evcxr knows the latest request only, and that may be one of the companion's own.
                await self.on_text(cell, content, text)
            return
        text.flush()
        if parent in self.probes:
            self.heard.set()
        elif parent in self.hidden:
            if content.get("execution_state") == "idle":
                self.hidden[parent].idle.set_result(None)
        elif cell is None or parent != cell.id:
            self.front.forward(message)
        elif kind == "status":
            if content["execution_state"] == "idle" and not cell.idle.done():
                cell.idle.set_result(None)
        elif kind == "error":
            cell.evidence.errors.append(
                {
                    **content,
                    "evalue": stream.clean(content.get("evalue", "")),
                    "traceback": [stream.clean(line) for line in content.get("traceback", [])],
                }
            )
        elif kind == "execute_result":
            # evcxr shows `()` for a loop whose variables it had to treat anew.
            if not cell.silent and content["data"] != {"text/plain": "()"}:
                content["execution_count"] = cell.number
                self.front.forward(message)
        elif kind != "execute_input":
            self.front.forward(message)

    async def on_text(self, cell: Cell, content: dict, text: stream.Text) -> None:
        """Handles one line."""
        name, line = content["name"], content["text"]
        if name == "stdout":
            if stream.is_place(line):
                text.flush()
                await self.live_message(cell)
                self.watch.show_live(cell)
                return
            line = stream.clean(line)
        else:
            kept = cell.evidence.stderr + line
            cell.evidence.stderr = kept[-STDERR_KEPT:]
        if not line:
            return
        if cell.limit.admit(len(line)):
            text.add(name, line, cell.request)
        self.watch.check_limit(cell)

    async def live_message(self, cell: Cell) -> None:
        """Waits for the message that belongs to a mark, which the relay has sent before the mark.

        A mark without a message is one that the cell itself has printed, and then none is trusted.
        """
        deadline = self.loop.time() + MARK_PATIENCE
        while cell.marked and not cell.lives and not cell.ended and self.watch.relay.alive:
            cell.marked = self.loop.time() < deadline
            await asyncio.sleep(0.001)
