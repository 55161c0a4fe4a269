"""The companion itself: Jupyter's requests, evcxr's messages and the relay's events come together."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import project
import standby
import zmq.asyncio

from companion import judge, stream
from companion.evcxr import Evcxr
from companion.front import Front
from companion.judge import Evidence, Failure
from companion.limits import Limit
from companion.live import Displays
from companion.relay import Relay, parent_of
from companion.standby import Claim
from companion.wire import log

# Puts the relay into a new process of the cells. The line is spelled as in evcxr.toml.
INIT = f':dep mnist_kit = {{ path = "{project.KIT}" }}\nmnist_kit::init();'

# Seconds between a request to stop and the end of the process, and for a cell that prints without
# end: all it prints is held in memory.
STOP_PATIENCE = 5
FLOOD_STOP_PATIENCE = 1
# Seconds that the relay has for its answer after a cell.
RELAY_PATIENCE = 10
# Seconds that a cell has to end by itself once it cannot be watched any more.
BLIND_PATIENCE = 2
# evcxr does not wait for the end of what a cell writes to stderr: so long must nothing come.
QUIET = 0.01
# After a cell that has printed too much, evcxr may still hold a lot of it.
FLOOD_QUIET = 0.3
FLOOD_PATIENCE = 60
# Requests for execution that have arrived, but have not been read, when a cell fails.
ARRIVING = 0.01
STDERR_KEPT = 10_000


@dataclasses.dataclass(eq=False)
class Cell:
    """An execute request, from its beginning until the next one."""

    identities: list[bytes]
    request: dict
    loop: asyncio.AbstractEventLoop

    def __post_init__(self) -> None:
        content = self.request["content"]
        self.evidence = Evidence(code=content.get("code", ""))
        self.silent = bool(content.get("silent"))
        self.counts = not self.silent and content.get("store_history", True)
        self.stops_others = content.get("stop_on_error", True)
        self.replied, self.idle = self.loop.create_future(), self.loop.create_future()
        self.displays, self.limit = Displays(), Limit()
        self.lives: collections.deque[dict] = collections.deque()
        # Whether evcxr has the request, and whether the client has its answer.
        self.sent = self.ended = False
        self.due: asyncio.TimerHandle | None = None

    @property
    def id(self) -> str:
        """The id of the request, which evcxr's messages name as their parent."""
        return self.request["header"]["msg_id"]


@dataclasses.dataclass
class Hidden:
    """An execute request of the companion's own, of which Jupyter learns nothing."""

    replied: asyncio.Future
    idle: asyncio.Future


class Companion:
    """Everything between Jupyter and evcxr."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.loop = asyncio.get_running_loop()
        self.context = zmq.asyncio.Context()
        self.front: Front
        self.evcxr = Evcxr(self.context)
        self.relay = Relay(self.on_event, self.on_lost, self.runs_cells)
        self.requests: asyncio.Queue[tuple[list[bytes], dict]] = asyncio.Queue()
        self.information: dict | None = None
        self.hidden: dict[str, Hidden] = {}
        self.probes: set[str] = set()
        self.cell: Cell | None = None
        self.count = 0
        self.complaint: Failure | None = None
        self.input_wanted = False
        self.loss_expected = False
        self.last_output = 0.0
        self.stopped: asyncio.Future[int] = self.loop.create_future()

    # Life

    async def run(self, connection_file: Path) -> int:
        """Serves until Jupyter or evcxr ends; returns the exit code."""
        self.open(connection_file)
        async with self.kernel():
            return await self.serve_until(process_ends("JPY_PARENT_PID"))

    async def stand_by(self, claim: Claim) -> int:
        """Starts evcxr, and serves once a kernel takes this standby; returns the exit code."""
        if not await claim.listen():
            return 0
        async with self.kernel():
            owner = asyncio.create_task(process_ends(standby.OWNER))
            ends = [claim.taken, self.evcxr.exited, owner]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            code = 0
            if claim.taken.done():
                self.open(claim.taken.result())
                code = await self.serve_until(claim.released.wait())
        await claim.close(code)
        return code

    def open(self, connection_file: Path) -> None:
        """Opens the sockets towards Jupyter."""
        self.front = Front(self.context, connection_file)
        self.front.publish("status", {"execution_state": "starting"}, None)

    @contextlib.asynccontextmanager
    async def kernel(self) -> AsyncIterator[None]:
        """Starts evcxr, and ends it in the end."""
        with private_folder() as folder:
            socket = folder / "relay"
            await self.relay.listen(socket)
            os.environ["MNIST_KIT_COMPANION"] = str(socket)
            await self.evcxr.start(self.program, folder)
            try:
                yield
            finally:
                self.loss_expected = True
                self.evcxr.kill()
                self.context.destroy()

    async def serve_until(self, jupyter_ends: Coroutine) -> int:
        """Serves until Jupyter or evcxr ends; returns the exit code."""
        self.loop.add_signal_handler(signal.SIGINT, self.interrupt)
        tasks = [
            asyncio.create_task(part)
            for part in (
                self.front.beat(),
                self.receive_shell(),
                self.receive_control(),
                self.receive_stdin(),
                self.evcxr_shell(),
                self.evcxr_control(),
                self.evcxr_stdin(),
                self.evcxr_iopub(),
                self.serve(),
                jupyter_ends,
            )
        ]
        ends = [self.stopped, self.evcxr.exited, *tasks]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        try:
            return await self.end(tasks)
        finally:
            # They must not find their sockets closed.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def end(self, tasks: list[asyncio.Task]) -> int:
        """Tells a running cell, and the log, why the kernel ends; returns the exit code."""
        if self.complaint:
            log(f"After the last cell: {self.complaint.evalue}")
        for task in tasks:
            if task.done() and task.exception():
                raise task.exception()
        if self.stopped.done():
            return self.stopped.result()
        if not self.evcxr.exited.done():
            log("Jupyter has ended")
            return 0
        code = self.evcxr.exited.result()
        log(f"evcxr has ended with code {code}")
        if self.cell and not self.cell.ended:
            self.cell.evidence.answer = None
            await self.finish(self.cell, judge.verdict(self.cell.evidence))
        return 1

    def runs_cells(self, pid: int) -> bool:
        """Whether a process is evcxr's child."""
        return parent_of(pid) == self.evcxr.process.pid

    # Requests of Jupyter

    async def receive_shell(self) -> None:
        """Takes requests; those that need no evcxr are answered while a cell runs."""
        while True:
            identities, request = await self.front.shell.receive()
            if self.information is None or not self.answer(self.front.shell, identities, request):
                self.requests.put_nowait((identities, request))

    def answer(self, channel, identities: list[bytes], request: dict) -> bool:
        """Answers a request if evcxr is not needed, or does not answer it."""
        contents = {
            "kernel_info_request": self.information,
            "comm_info_request": {"status": "ok", "comms": {}},
            "history_request": {"status": "ok", "history": []},
        }
        content = contents.get(request["msg_type"])
        if content is None:
            return False
        with self.front.busy(request):
            self.front.reply(channel, identities, request, content)
        return True

    async def serve(self) -> None:
        """Waits for evcxr, then hands it the requests, one cell at a time."""
        await self.ready()
        while True:
            identities, request = await self.requests.get()
            if request["msg_type"] == "execute_request":
                await self.execute(Cell(identities, request, self.loop))
            elif not self.answer(self.front.shell, identities, request):
                self.evcxr.shell.send(request, identities)

    async def ready(self) -> None:
        """Waits until evcxr answers, and is heard: what it publishes before is lost."""
        self.heard = asyncio.Event()
        while not (self.information and self.heard.is_set()):
            self.probes.add(self.evcxr.ask(self.evcxr.shell, "kernel_info_request"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.heard.wait(), 0.5)
            await asyncio.sleep(0.01)

    async def receive_control(self) -> None:
        """Takes what must not wait for a cell: interrupts and the end."""
        while True:
            identities, request = await self.front.control.receive()
            kind = request["msg_type"]
            if kind == "interrupt_request":
                with self.front.busy(request):
                    self.interrupt()
                    self.front.reply(
                        self.front.control, identities, request, {"status": "ok"}
                    )
            elif kind == "shutdown_request":
                await self.shut_down(identities, request)
            elif kind == "kernel_info_request" and self.information is None:
                self.evcxr.control.send(request, identities)
            elif not self.answer(self.front.control, identities, request):
                self.evcxr.control.send(request, identities)

    async def receive_stdin(self) -> None:
        """Hands on the user's input, if a cell has asked for it."""
        while True:
            identities, reply = await self.front.stdin.receive()
            if self.input_wanted:
                self.input_wanted = False
                self.evcxr.stdin.send(reply, identities)

    async def shut_down(self, identities: list[bytes], request: dict) -> None:
        """Ends the kernel; Jupyter starts the next one itself, if it wants to."""
        content = {"status": "ok", "restart": bool(request["content"].get("restart"))}
        with self.front.busy(request):
            self.front.reply(self.front.control, identities, request, content)
            self.front.publish("shutdown_reply", content, request)
        if self.cell is None or self.cell.ended:
            # The process of the cells ends by itself when evcxr does.
            self.loss_expected = True
            self.evcxr.ask(self.evcxr.control, "shutdown_request", {"restart": False})
            await asyncio.wait([self.evcxr.exited], timeout=2)
        if not self.stopped.done():
            self.stopped.set_result(0)

    # Cells

    async def execute(self, cell: Cell) -> None:
        """Runs a cell, and answers what it has come to."""
        self.cell = cell
        self.front.publish("status", {"execution_state": "busy"}, cell.request)
        if cell.counts:
            self.count += 1
        if not cell.silent:
            content = {"code": cell.evidence.code, "execution_count": self.count}
            self.front.publish("execute_input", content, cell.request)
        failure = await self.obstacle(cell)
        if failure is None:
            cell.sent = True
            self.evcxr.shell.send(cell.request, cell.identities)
            await asyncio.wait([cell.replied, cell.idle], return_when=asyncio.ALL_COMPLETED)
            await self.collect(cell)
            failure = judge.verdict(cell.evidence)
        await self.finish(cell, failure)
        if cell.limit.endless:
            await self.quiet(FLOOD_QUIET, FLOOD_PATIENCE)

    async def obstacle(self, cell: Cell) -> Failure | None:
        """Prepares the process of the cells; returns why a cell cannot run."""
        if self.complaint:
            earlier, self.complaint = self.complaint, None
            return judge.failure(
                earlier.ename,
                f"This cell was not run. After the cell before had ended: {earlier.evalue}",
                *earlier.traceback[1:2],
                "Run the cell again to continue all the same.",
            )
        if self.loss_expected:
            await self.relay.wait_for_loss(RELAY_PATIENCE)
        # The first attempt may only let evcxr find out that the process has ended.
        for _ in range(3):
            if self.relay.alive or cell.evidence.stop:
                break
            await self.execute_hidden(INIT)
        if cell.evidence.stop:
            return judge.failure("Interrupted", "The cell was stopped before it ran.")
        if not self.relay.alive:
            return judge.failure(
                "RelayLost", "The kernel cannot watch its cells. Restart the kernel."
            )
        self.loss_expected = False
        return None

    async def execute_hidden(self, code: str) -> None:
        """Runs code of which Jupyter learns nothing."""
        hidden = Hidden(self.loop.create_future(), self.loop.create_future())
        content = {"code": code, "silent": True, "allow_stdin": False}
        request = self.evcxr.ask(self.evcxr.shell, "execute_request", content)
        self.hidden[request] = hidden
        await asyncio.wait([hidden.replied, hidden.idle], return_when=asyncio.ALL_COMPLETED)
        del self.hidden[request]

    async def collect(self, cell: Cell) -> None:
        """Completes the evidence after evcxr's answer."""
        evidence = cell.evidence
        await self.quiet(QUIET, 1)
        answer = await self.relay.ping(RELAY_PATIENCE)
        evidence.alive = answer is not None
        evidence.waiting = answer.get("waiting") if answer else None
        evidence.replaced = self.relay.process_ended
        self.show_live(cell, everything=True)
        for panic in judge.caught_panics(evidence):
            content = {"name": "stderr", "text": "\n".join(panic.traceback) + "\n"}
            self.front.publish("stream", content, cell.request)

    async def quiet(self, seconds: float, limit: float) -> None:
        """Waits until evcxr has published no text for some time."""
        started = self.last_output = self.loop.time()
        while (now := self.loop.time()) < self.last_output + seconds and now < started + limit:
            await asyncio.sleep(self.last_output + seconds - now)

    async def finish(self, cell: Cell, failure: Failure | None) -> None:
        """Publishes an error if there is one, and answers the request."""
        evidence = cell.evidence
        if cell.due:
            cell.due.cancel()
        content = {"status": "ok", "execution_count": self.count, "payload": [], "user_expressions": {}}
        if failure:
            for error in self.errors_shown(evidence, failure):
                self.front.publish("error", error, cell.request)
            content = {"status": "error", "execution_count": self.count, **failure.content()}
            if failure.kill and not self.relay.process_ended:
                self.kill_process()
        abandoned = []
        if (failure and cell.stops_others) or evidence.stop == "Interrupted":
            # The client has sent these before it could know.
            await asyncio.sleep(ARRIVING)
            abandoned = self.take_executions()
        cell.ended = True
        self.front.reply(self.front.shell, cell.identities, cell.request, content)
        self.front.publish("status", {"execution_state": "idle"}, cell.request)
        for identities, request in abandoned:
            with self.front.busy(request):
                self.front.reply(self.front.shell, identities, request, {"status": "aborted"})

    @staticmethod
    def errors_shown(evidence: Evidence, failure: Failure) -> list[dict]:
        """evcxr's own errors, such as one for each mistake that the compiler found, or the verdict."""
        if evidence.errors and failure.ename == evidence.errors[0].get("ename"):
            return evidence.errors
        return [failure.content()]

    def take_executions(self) -> list[tuple[list[bytes], dict]]:
        """Takes the execute requests from the queue, and leaves the others."""
        waiting = [self.requests.get_nowait() for _ in range(self.requests.qsize())]
        for item in waiting:
            if item[1]["msg_type"] != "execute_request":
                self.requests.put_nowait(item)
        return [item for item in waiting if item[1]["msg_type"] == "execute_request"]

    # Stopping

    def interrupt(self) -> None:
        """Asks the running cell to stop; asked again, ends its process."""
        cell = self.cell
        if cell is None or cell.ended:
            return
        if cell.evidence.stop is None:
            self.stop(cell, "Interrupted")
        else:
            self.kill(cell)

    def stop(self, cell: Cell, reason: str) -> None:
        """Asks a cell to stop at its next batch. It has some seconds for that."""
        cell.evidence.stop = reason
        self.relay.send(do="stop")
        if cell.evidence.running:
            self.wait_for_stop(cell)

    def wait_for_stop(self, cell: Cell) -> None:
        """Sets the time at which a cell that does not stop is killed."""
        if cell.due:
            cell.due.cancel()
        patience = STOP_PATIENCE if cell.evidence.stop == "Interrupted" else FLOOD_STOP_PATIENCE
        cell.due = self.loop.call_later(patience, self.kill, cell)

    def kill(self, cell: Cell) -> None:
        """Ends the process of the cells because a cell does not stop."""
        if not cell.ended and cell.sent:
            cell.evidence.killed = True
            self.kill_process()

    def kill_process(self) -> None:
        """Ends the process of the cells; evcxr notices, and starts another."""
        self.loss_expected = True
        self.evcxr.ask(self.evcxr.control, "interrupt_request")
        if self.input_wanted:
            # evcxr waits for it.
            self.input_wanted = False
            self.evcxr.ask(self.evcxr.stdin, "input_reply", {"value": ""})

    # Events of the relay

    def on_event(self, event: dict) -> None:
        """Notes what the relay reports."""
        cell = self.cell
        if cell is None or not cell.sent:
            # It is about code of the companion's own.
            return
        if cell.ended:
            self.on_late_event(cell, event)
            return
        evidence = cell.evidence
        match event["event"]:
            case "run":
                evidence.runs += 1
                if evidence.stop:
                    # The request came while the cell was compiled.
                    self.relay.send(do="stop")
                    self.wait_for_stop(cell)
            case "complete":
                evidence.completions += 1
            case "panicked":
                evidence.panicked = True
            case "failed":
                evidence.failed = True
            case "question":
                evidence.question = event.get("message")
            case "panic":
                evidence.panics.append(event)
            case "descriptor":
                evidence.descriptors.append(event.get("name", "a standard stream"))
                # A cell without stdout cannot tell evcxr that it has ended.
                self.loop.call_later(BLIND_PATIENCE, self.end_blind, cell)
            case "limit":
                cell.limit.report(event.get("bytes", 0))
                self.check_limit(cell)
            case "live" | "stopped":
                cell.lives.append(event)

    def on_late_event(self, cell: Cell, event: dict) -> None:
        """What happens after a cell has ended is the fault of its threads, or it was not its end."""
        match event["event"]:
            case "live":
                self.front.publish(*cell.displays.message(event), cell.request)
            case "panic":
                self.complain(judge.late_panic(event, cell.evidence.code))
            case "descriptor":
                evidence = Evidence(descriptors=[event.get("name", "a standard stream")])
                self.complain(judge.descriptors(evidence))
            case "complete":
                if not self.loss_expected:
                    self.complain(judge.forged(Evidence(completions=1)))

    def complain(self, failure: Failure) -> None:
        """Reports an error of a cell that has ended: there, at the next cell and in the log."""
        log(f"After a cell had ended: {failure.ename}: {failure.evalue}")
        self.complaint = failure
        self.front.publish("error", failure.content(), self.cell.request)
        if failure.kill:
            self.kill_process()

    def on_lost(self) -> None:
        """The process of the cells has ended, or has closed the socket."""
        cell = self.cell
        if cell is None or self.loss_expected:
            return
        if cell.ended:
            ended = f"The process of the cells has ended. {judge.LOST}"
            self.complain(judge.failure("ProcessEnded", ended, kill=True))
        # If it lives on, evcxr may wait forever for its end.
        self.loop.call_later(BLIND_PATIENCE, self.end_unwatched, cell)

    def end_unwatched(self, cell: Cell) -> None:
        """Ends a process that has closed the relay's socket and runs on."""
        if not self.relay.alive and not cell.ended:
            self.relay.end_process()

    def end_blind(self, cell: Cell) -> None:
        """Ends a cell that has closed a standard stream and runs on."""
        if not cell.ended and not cell.replied.done():
            self.kill_process()

    # Messages of evcxr

    async def evcxr_shell(self) -> None:
        """Takes evcxr's answers."""
        while True:
            identities, reply = await self.evcxr.shell.receive()
            parent = reply["parent_header"].get("msg_id")
            if parent in self.probes:
                self.information = reply["content"]
            elif parent in self.hidden:
                self.hidden[parent].replied.set_result(None)
            elif self.cell and parent == self.cell.id and not self.cell.replied.done():
                self.cell.evidence.answer = reply["content"].get("status", "error")
                self.cell.replied.set_result(None)
            else:
                self.front.shell.send(reply, identities)

    async def evcxr_control(self) -> None:
        """Hands on answers to requests that the companion does not answer itself."""
        while True:
            identities, reply = await self.evcxr.control.receive()
            if identities:
                self.front.control.send(reply, identities)

    async def evcxr_stdin(self) -> None:
        """Hands on a cell's wish for input."""
        while True:
            identities, request = await self.evcxr.stdin.receive()
            self.input_wanted = True
            self.front.stdin.send(request, identities)

    async def evcxr_iopub(self) -> None:
        """Hands on what evcxr publishes, with lines of text that come together in one message."""
        while True:
            first = await self.evcxr.iopub.socket.recv_multipart()
            text = Text(self)
            for frames in (first, *self.evcxr.waiting_messages()):
                if self.is_surplus(frames):
                    continue
                read = self.evcxr.iopub.read(frames)
                if read:
                    self.on_published(read[1], text)
            text.flush()
            # Others get their turn, even if this never ends.
            await asyncio.sleep(0)

    def is_surplus(self, frames: list[bytes]) -> bool:
        """Whether a message is text beyond the limit, which is not worth decoding."""
        cell = self.cell
        if not (cell and cell.limit.reached and b'"stream"' in frames[-4]):
            return False
        self.last_output = self.loop.time()
        if not cell.ended:
            cell.limit.admit(len(frames[-1]))
            self.check_limit(cell)
        return True

    def on_published(self, message: dict, text: Text) -> None:
        """Handles one message of evcxr."""
        kind, content, cell = message["msg_type"], message["content"], self.cell
        parent = message["parent_header"].get("msg_id")
        if kind == "stream":
            self.last_output = self.loop.time()
            if cell:
                # evcxr knows the latest request only, and that may be one of the companion's own.
                self.on_text(cell, content, text)
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
                content["execution_count"] = self.count
                self.front.forward(message)
        elif kind != "execute_input":
            self.front.forward(message)

    def on_text(self, cell: Cell, content: dict, text: Text) -> None:
        """Handles one line."""
        name, line = content["name"], content["text"]
        if name == "stdout":
            if stream.is_place(line):
                text.flush()
                self.show_live(cell)
                return
            line = stream.clean(line)
        else:
            kept = cell.evidence.stderr + line
            cell.evidence.stderr = kept[-STDERR_KEPT:]
        if not line:
            return
        if cell.limit.admit(len(line)):
            text.add(name, line, cell)
        self.check_limit(cell)

    def check_limit(self, cell: Cell) -> None:
        """Says once that a cell has printed too much, and stops one that goes on."""
        note = cell.limit.note()
        if note:
            self.front.publish("stream", {"name": "stderr", "text": note}, cell.request)
        if cell.limit.endless and not cell.ended and cell.evidence.stop is None:
            self.stop(cell, "OutputLimit")

    def show_live(self, cell: Cell, everything: bool = False) -> None:
        """Shows the live message that is due at this place of the text, or all that wait."""
        while cell.lives:
            event = cell.lives.popleft()
            # The kit itself says where it has stopped.
            if event["event"] == "live":
                self.front.publish(*cell.displays.message(event), cell.request)
            if not everything:
                return


class Text:
    """Collects lines that come together, to publish them in one message."""

    def __init__(self, companion: Companion) -> None:
        self.companion = companion
        self.name, self.cell, self.lines = "", None, []

    def add(self, name: str, line: str, cell: Cell) -> None:
        """Adds a line to the message, or begins a new one."""
        if (name, cell) != (self.name, self.cell):
            self.flush()
            self.name, self.cell = name, cell
        self.lines.append(line)

    def flush(self) -> None:
        """Publishes the lines."""
        if self.lines:
            content = {"name": self.name, "text": "".join(self.lines)}
            self.companion.front.publish("stream", content, self.cell.request)
            self.lines = []


@contextlib.contextmanager
def private_folder():
    """The folder for sockets: the kernel's own, unless its path is too long for the system."""
    folder = Path(os.environ["EVCXR_TMPDIR"]) / "companion"
    if len(str(folder)) < 80:
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mnist_kit-") as short:
        yield Path(short)


async def process_ends(variable: str) -> None:
    """Waits for the end of the process whose id a variable holds; for ever if there is none."""
    ended = asyncio.Event()
    with contextlib.suppress(OSError, KeyError, ValueError):
        process = os.pidfd_open(int(os.environ[variable]))
        asyncio.get_running_loop().add_reader(process, ended.set)
    await ended.wait()


def main(program: str, mode: str, place: str) -> int:
    """Runs a companion and evcxr until the kernel ends; returns the exit code.

    `mode` tells what `place` is: `--connect` Jupyter's connection file, `--standby` the socket of a
    standby.
    """

    async def run() -> int:
        companion = Companion(Path(program))
        if mode == "--standby":
            return await companion.stand_by(Claim(Path(place)))
        return await companion.run(Path(place))

    return asyncio.run(run())
