"""Requests of Jupyter."""

from __future__ import annotations

import asyncio
import re

import project

from companion import judge
from companion.answers import Answers
from companion.cell import Cell
from companion.evcxr import Evcxr
from companion.front import Front
from companion.judge import Evidence, Failure
from companion.preparation import Preparation
from companion.watch import Watch
from companion.wire import Channel

# Puts the relay into a new process of the cells. The line is spelled as in evcxr.toml.
INIT = f':dep mnist_kit = {{ path = "{project.KIT}" }}\nmnist_kit::init();'

# Seconds that the relay has for its answer after a cell.
RELAY_PATIENCE = 10
# evcxr does not wait for the end of what a cell writes to stderr: so long must nothing come.
QUIET = 0.01
# After a cell that has printed too much, evcxr may still hold a lot of it.
FLOOD_QUIET = 0.3
FLOOD_PATIENCE = 60
# Requests for execution that have arrived, but have not been read, when a cell fails.
ARRIVING = 0.01

# A command that changes whether cargo may use the network.
CHANGES_SETTINGS = re.compile(r"^\s*:offline\b", re.MULTILINE)


class Requests:
    """Takes Jupyter's requests, and hands evcxr one cell at a time."""

    def __init__(
        self,
        front: Front,
        evcxr: Evcxr,
        watch: Watch,
        answers: Answers,
        preparation: Preparation,
    ) -> None:
        self.front, self.evcxr, self.watch, self.answers = front, evcxr, watch, answers
        self.preparation = preparation
        self.relay = watch.relay
        self.waiting: asyncio.Queue[tuple[list[bytes], dict]] = asyncio.Queue()
        # The number of the last cell.
        self.count = 0
        # The exit code, once Jupyter has asked for the end.
        self.stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def receive_shell(self) -> None:
        """Takes requests; those that need no evcxr are answered while a cell runs."""
        while True:
            identities, request = await self.front.shell.receive()
            if self.preparation.running and request["msg_type"] == "execute_request":
                self.preparation.wait_with(request)
            ready = self.answers.information is not None
            if not (ready and self.answer(self.front.shell, identities, request)):
                self.waiting.put_nowait((identities, request))

    def answer(self, channel: Channel, identities: list[bytes], request: dict) -> bool:
        """Answers a request if evcxr is not needed, or does not answer it."""
        contents = {
            "kernel_info_request": self.answers.information,
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
        await self.answers.ready()
        while True:
            identities, request = await self.waiting.get()
            if request["msg_type"] == "execute_request":
                await self.execute(Cell(identities, request))
            elif not self.answer(self.front.shell, identities, request):
                self.evcxr.shell.send(request, identities)

    async def refuse(self, problem: str) -> None:
        """Answers every cell with the reason why evcxr cannot start."""
        failed = judge.failure("NotStarted", "The kernel cannot start.", problem)
        while True:
            identities, request = await self.waiting.get()
            if request["msg_type"] != "execute_request":
                self.answer(self.front.shell, identities, request)
                continue
            with self.front.busy(request):
                self.front.publish("error", failed.content(), request)
                content = {"status": "error", **failed.content(), "execution_count": self.count}
                self.front.reply(self.front.shell, identities, request, content)

    async def receive_control(self) -> None:
        """Takes what must not wait for a cell: interrupts and the end."""
        while True:
            identities, request = await self.front.control.receive()
            kind = request["msg_type"]
            if kind == "interrupt_request":
                with self.front.busy(request):
                    self.watch.interrupt()
                    self.front.reply(
                        self.front.control, identities, request, {"status": "ok"}
                    )
            elif kind == "shutdown_request":
                await self.shut_down(identities, request)
            elif kind == "kernel_info_request" and self.answers.information is None:
                self.evcxr.control.send(request, identities)
            elif not self.answer(self.front.control, identities, request):
                self.evcxr.control.send(request, identities)

    async def receive_stdin(self) -> None:
        """Hands on the user's input, if a cell has asked for it."""
        while True:
            identities, reply = await self.front.stdin.receive()
            if self.watch.input_wanted:
                self.watch.input_wanted = False
                self.evcxr.stdin.send(reply, identities)

    async def shut_down(self, identities: list[bytes], request: dict) -> None:
        """Ends the kernel; Jupyter starts the next one itself, if it wants to."""
        content = {"status": "ok", "restart": bool(request["content"].get("restart"))}
        with self.front.busy(request):
            self.front.reply(self.front.control, identities, request, content)
            self.front.publish("shutdown_reply", content, request)
        if not self.watch.running:
            # The process of the cells ends by itself when evcxr does.
            self.watch.loss_expected = True
            self.evcxr.ask(self.evcxr.control, "shutdown_request", {"restart": False})
            await asyncio.wait([self.evcxr.exited], timeout=2)
        if not self.stopped.done():
            self.stopped.set_result(0)

    async def execute(self, cell: Cell) -> None:
        """Runs a cell, and answers what it has come to."""
        self.watch.cell = cell
        self.front.publish("status", {"execution_state": "busy"}, cell.request)
        if cell.counts:
            self.count += 1
        cell.number = self.count
        if not cell.silent:
            content = {"code": cell.evidence.code, "execution_count": cell.number}
            self.front.publish("execute_input", content, cell.request)
        failure = await self.obstacle(cell)
        if failure is None:
            cell.sent = True
            self.evcxr.shell.send(cell.request, cell.identities)
            await asyncio.wait([cell.replied, cell.idle], return_when=asyncio.ALL_COMPLETED)
            await self.collect(cell)
            failure = judge.verdict(cell.evidence)
            if failure is None and CHANGES_SETTINGS.search(cell.evidence.code):
                # evcxr writes cargo's settings when it compiles, which comes after it has resolved
                # the next `:dep`.
                await self.answers.execute_hidden("();")
        await self.finish(cell, failure)
        if cell.limit.endless:
            await self.answers.quiet(FLOOD_QUIET, FLOOD_PATIENCE)

    async def obstacle(self, cell: Cell) -> Failure | None:
        """Prepares the process of the cells; returns why a cell cannot run."""
        if self.watch.complaint:
            earlier, self.watch.complaint = self.watch.complaint, None
            return judge.failure(
                earlier.ename,
                f"This cell was not run. After the cell before had ended: {earlier.evalue}",
                *earlier.traceback[1:2],
                "Run the cell again to continue all the same.",
            )
        if self.watch.loss_expected:
            await self.relay.wait_for_loss(RELAY_PATIENCE)
        # The first attempt may only let evcxr find out that the process has ended.
        for _ in range(3):
            if self.relay.alive or cell.evidence.stop:
                break
            await self.answers.execute_hidden(INIT)
        if cell.evidence.stop:
            return judge.failure("Interrupted", "The cell was stopped before it ran.")
        if not self.relay.alive:
            return judge.failure(
                "RelayLost", "The kernel cannot watch its cells. Restart the kernel."
            )
        self.watch.loss_expected = False
        return None

    async def collect(self, cell: Cell) -> None:
        """Completes the evidence after evcxr's answer."""
        evidence = cell.evidence
        await self.answers.quiet(QUIET, 1)
        answer = await self.relay.ping(RELAY_PATIENCE)
        evidence.alive = answer is not None
        evidence.waiting = answer.get("waiting") if answer else None
        evidence.replaced = self.relay.process_ended
        self.watch.show_live(cell, everything=True)
        for panic in judge.caught_panics(evidence):
            content = {"name": "stderr", "text": "\n".join(panic.traceback) + "\n"}
            self.front.publish("stream", content, cell.request)

    async def finish(self, cell: Cell, failure: Failure | None) -> None:
        """Publishes an error if there is one, and answers the request."""
        evidence = cell.evidence
        if cell.due:
            cell.due.cancel()
        content = {"status": "ok", "payload": [], "user_expressions": {}}
        if failure:
            for error in self.errors_shown(evidence, failure):
                self.front.publish("error", error, cell.request)
            content = {"status": "error", **failure.content()}
            if failure.kill and not self.relay.process_ended:
                self.watch.kill_process()
        abandoned = []
        if (failure and cell.stops_others) or evidence.stop == "Interrupted":
            # The client has sent these before it could know.
            await asyncio.sleep(ARRIVING)
            abandoned = self.take_executions()
        content["execution_count"] = cell.number
        cell.ended = True
        self.front.reply(self.front.shell, cell.identities, cell.request, content)
        self.front.publish("status", {"execution_state": "idle"}, cell.request)
        for identities, request in abandoned:
            with self.front.busy(request):
                self.front.reply(self.front.shell, identities, request, {"status": "aborted"})

    @staticmethod
    def errors_shown(evidence: Evidence, failure: Failure) -> list[dict]:
        """Returns evcxr's own errors, one for each mistake in the code, or the verdict."""
        if evidence.errors and failure.ename == evidence.errors[0].get("ename"):
            return judge.with_hint(evidence.errors)
        return [failure.content()]

    def take_executions(self) -> list[tuple[list[bytes], dict]]:
        """Takes the execute requests from the queue, and leaves the others."""
        waiting = [self.waiting.get_nowait() for _ in range(self.waiting.qsize())]
        for item in waiting:
            if item[1]["msg_type"] != "execute_request":
                self.waiting.put_nowait(item)
        return [item for item in waiting if item[1]["msg_type"] == "execute_request"]
