"""The compilation of the kernel template, where it is out of date, with its progress."""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid

from companion.front import Front
from companion.wire import log

# Where cargo's progress stands: "Building [====>   ] 41/151: tch, mnist_kit".
COUNTS = re.compile(r"\b(\d+)/(\d+)")
# cargo draws its bar for a terminal only, unless told.
CARGO = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "80"}
# The last lines of a failure that are shown.
LINES_KEPT = 20


class Preparation:
    """Fills the kernel's folder, and shows how far that is below the first cell that waits."""

    def __init__(self, front: Front, command: list[str]) -> None:
        self.front, self.command = front, command
        self.running = False
        # The request under which the progress is shown.
        self.request: dict | None = None
        self.display = {"display_id": uuid.uuid4().hex}
        self.done = self.total = 0
        self.started = 0.0
        self.lines: list[str] = []

    async def run(self) -> str | None:
        """Compiles and copies the template; returns why it cannot, or None."""
        self.running, self.started = True, time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | CARGO,
        )
        rest = ""
        while piece := await process.stderr.read(4096):
            *lines, rest = re.split("[\r\n]", rest + piece.decode(errors="replace"))
            for line in lines:
                self.take(line)
        self.take(rest)
        code = await process.wait()
        self.running = False
        if self.request and code == 0:
            self.front.publish("clear_output", {"wait": False}, self.request)
        return None if code == 0 else "\n".join(self.lines[-LINES_KEPT:])

    def take(self, line: str) -> None:
        """Takes a line of cargo's: the state of its bar, or something for Jupyter's log."""
        counts = COUNTS.search(line)
        if counts and line.lstrip().startswith("Building"):
            done, total = map(int, counts.groups())
            if (done, total) != (self.done, self.total):
                self.done, self.total = done, total
                self.show("update_display_data")
        elif line.strip():
            self.lines.append(line)
            log(line.removeprefix("[mnist_kit] "))

    def wait_with(self, request: dict) -> None:
        """Shows the progress as output of a cell, unless another one has it."""
        if self.request is None:
            self.request = request
            self.show("display_data")

    def show(self, kind: str) -> None:
        """Publishes the state, if a cell waits."""
        if self.request is None:
            return
        seconds = time.monotonic() - self.started
        counted = f"{self.done} of {self.total} crates, {seconds:.0f} s" if self.total else "starting"
        text = f"Compiling mnist_kit for this kernel, because it has changed: {counted}"
        bar = f'<progress value="{self.done}" max="{self.total or 1}"></progress>'
        data = {"text/plain": text, "text/html": f"{bar} {text}"}
        content = {"data": data, "metadata": {}, "transient": self.display}
        self.front.publish(kind, content, self.request)
