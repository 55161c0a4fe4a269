"""Starts the companion and evcxr, and ends them together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import standby
import zmq.asyncio

from companion import judge
from companion.answers import Answers
from companion.evcxr import INFORMATION, Evcxr
from companion.front import Front
from companion.preparation import Preparation
from companion.requests import Requests
from companion.standby import Claim
from companion.watch import Watch
from companion.wire import log

KERNEL = Path(__file__).resolve().parent.parent / "kernel.py"


class Companion:
    """Everything between Jupyter and evcxr."""

    def __init__(self, program: Path, fill: bool) -> None:
        self.program, self.fill = program, fill
        self.context = zmq.asyncio.Context()
        self.front = Front(self.context)
        self.evcxr = Evcxr(self.context)
        self.watch = Watch(self.front, self.evcxr)
        self.answers = Answers(self.front, self.evcxr, self.watch)
        fill_folder = [str(KERNEL), "--fill", os.environ["EVCXR_TMPDIR"]]
        self.preparation = Preparation(self.front, [sys.executable, *fill_folder])
        self.requests = Requests(
            self.front, self.evcxr, self.watch, self.answers, self.preparation
        )

    async def run(self, connection_file: Path) -> int:
        """Serves until Jupyter or evcxr ends; returns the exit code."""
        self.front.open(connection_file)
        async with self.kernel():
            return await self.serve_until(process_ends("JPY_PARENT_PID"))

    async def stand_by(self, claim: Claim) -> int:
        """Starts evcxr, and serves once a kernel takes this standby; returns the exit code."""
        if not await claim.listen():
            return 0
        code = 0
        async with self.kernel():
            owner = asyncio.create_task(process_ends(standby.OWNER))
            ends = [claim.taken, self.evcxr.exited, owner]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            owner.cancel()
            if claim.taken.done():
                self.front.open(claim.taken.result())
                code = await self.serve_until(claim.released.wait())
        await claim.close(code)
        return code

    @contextlib.asynccontextmanager
    async def kernel(self) -> AsyncIterator[None]:
        """Begins to start evcxr, and ends it in the end."""
        with private_folder() as folder:
            socket = folder / "relay"
            await self.watch.relay.listen(socket)
            os.environ["MNIST_KIT_COMPANION"] = str(socket)
            starting = asyncio.create_task(self.start(folder))
            try:
                yield
            finally:
                starting.cancel()
                self.watch.loss_expected = True
                self.evcxr.kill()
                self.context.destroy()

    async def start(self, folder: Path) -> None:
        """Starts evcxr, after the template has been brought up to date where that is needed."""
        if self.fill:
            # Jupyter shows what a cell publishes only once it knows the kernel.
            self.answers.information = INFORMATION
            problem = await self.preparation.run()
            if problem:
                await self.requests.refuse(problem)
        await self.evcxr.start(self.program, folder)

    async def serve_until(self, jupyter_ends: Coroutine) -> int:
        """Serves until Jupyter or evcxr ends; returns the exit code."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self.watch.interrupt)
        tasks = [
            asyncio.create_task(part)
            for part in (
                self.front.beat(),
                self.requests.receive_shell(),
                self.requests.receive_control(),
                self.requests.receive_stdin(),
                self.requests.serve(),
                self.answers.take_replies(),
                self.answers.take_control(),
                self.answers.take_input_requests(),
                self.answers.take_published(),
                jupyter_ends,
            )
        ]
        ends = [self.requests.stopped, self.evcxr.exited, *tasks]
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
        if self.watch.complaint:
            log(f"After the last cell: {self.watch.complaint.evalue}")
        for task in tasks:
            if task.done() and task.exception():
                raise task.exception()
        if self.requests.stopped.done():
            return self.requests.stopped.result()
        if not self.evcxr.exited.done():
            log("Jupyter has ended")
            return 0
        code = self.evcxr.exited.result()
        log(f"evcxr has ended with code {code}")
        if self.watch.running:
            cell = self.watch.cell
            cell.evidence.answer = None
            await self.requests.finish(cell, judge.verdict(cell.evidence))
        return 1


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


def main(program: str, mode: str, place: str, *fill: str) -> int:
    """Runs a companion and evcxr until the kernel ends; returns the exit code.

    `mode` tells what `place` is: `--connect` Jupyter's connection file, `--standby` the socket of a
    standby. With `--fill`, the kernel's folder has to be filled from the template first.
    """

    async def run() -> int:
        companion = Companion(Path(program), bool(fill))
        if mode == "--standby":
            return await companion.stand_by(Claim(Path(place)))
        return await companion.run(Path(place))

    return asyncio.run(run())
