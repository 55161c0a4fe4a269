"""Runs cells in a kernel, inside the sandbox. Started by `sandbox.py` with `python driver.py`.

Reads one request a line from standard input, `{"code": …, "seconds": …}`, and answers each with one
line, `{"status": …, "outputs": […], "seconds": …}`. The first line it writes is `{"ready": true}`.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import resource
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
# The sandbox waits for less.
START_SECONDS = 24_000
# Seconds after an interrupt until a cell counts as stuck; the companion kills it after 5.
INTERRUPT_PATIENCE = 15
TEXT_KEPT = 50_000
PICTURE_KEPT = 2_000_000
OUTPUTS_KEPT = 200
PR_SET_DUMPABLE = 4
KINDS = ("text/plain", "image/png")


class Cells:
    """A kernel, and the cells that run in it."""

    def __init__(self) -> None:
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="mnist_kit")
        launcher = str(TOOLS / "kernel.py")
        # Not the installed kernelspec, which may belong to another checkout.
        self.manager._kernel_spec = KernelSpec(
            argv=[sys.executable, launcher, "{connection_file}"],
            display_name="mnist_kit",
            language="rust",
            interrupt_mode="message",
        )
        self.manager.start_kernel(cwd=os.environ.get("HOME", "/tmp"), stdout=sys.stderr)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START_SECONDS)
        # Cells must not find the key with which requests are signed.
        Path(self.manager.connection_file).unlink(missing_ok=True)

    def run(self, code: str, seconds: float) -> dict:
        """Runs a cell; after `seconds` it is stopped."""
        started = time.monotonic()
        outputs = Outputs()
        request = self.client.execute(code)
        deadline, interrupted = started + seconds, False
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and interrupted:
                return outputs.answer("stuck", started)
            if left <= 0:
                interrupted, deadline = True, time.monotonic() + INTERRUPT_PATIENCE
                self.manager.interrupt_kernel()
                continue
            try:
                message = self.client.get_iopub_msg(timeout=min(left, 1))
            except queue.Empty:
                if not self.manager.is_alive():
                    return outputs.answer("dead", started)
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["content"].get("execution_state") == "idle":
                break
            outputs.take(message)
        status = self.reply(request)
        return outputs.answer("timeout" if interrupted else status, started)

    def reply(self, request: str) -> str:
        """Waits for the kernel's verdict on a cell."""
        while True:
            try:
                reply = self.client.get_shell_msg(timeout=INTERRUPT_PATIENCE)
            except queue.Empty:
                return "dead"
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]["status"]


class Outputs:
    """The outputs of one cell, cut to a size that a reader can take in."""

    def __init__(self) -> None:
        self.kept: list[dict] = []
        self.text = 0
        self.pictures = 0

    def take(self, message: dict) -> None:
        """Keeps what is worth keeping of a message."""
        kind, content = message["msg_type"], message["content"]
        if len(self.kept) >= OUTPUTS_KEPT:
            return
        if kind == "stream":
            self.stream(content["name"], content["text"])
        elif kind == "error":
            traceback = [line[:2000] for line in content["traceback"][:40]]
            error = {"ename": content["ename"][:200], "evalue": content["evalue"][:4000]}
            self.kept.append({"output_type": "error", **error, "traceback": traceback})
        elif kind in ("execute_result", "display_data"):
            # No HTML and no SVG: they would end up in the teacher's browser.
            data = {name: value for name, value in content["data"].items() if name in KINDS}
            data["text/plain"] = str(data.get("text/plain", ""))[:TEXT_KEPT]
            self.pictures += sum(len(str(value)) for value in data.values())
            if self.pictures <= PICTURE_KEPT:
                self.kept.append({"output_type": "display_data", "data": data, "metadata": {}})

    def stream(self, name: str, text: str) -> None:
        """Appends text, up to the limit."""
        text = text[: max(TEXT_KEPT - self.text, 0)]
        self.text += len(text)
        if not text:
            return
        last = self.kept[-1] if self.kept else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"] += text
        else:
            self.kept.append({"output_type": "stream", "name": name, "text": text})

    def answer(self, status: str, started: float) -> dict:
        """The answer to a request."""
        seconds = round(time.monotonic() - started, 2)
        return {"status": status, "outputs": self.kept, "seconds": seconds}


def limit_resources() -> None:
    """Sets limits that all processes of the submission inherit, and hides this process from them."""
    for name, value in json.loads(os.environ.get("MNIST_KIT_LIMITS", "{}")).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    # The submission runs as the same user: it must not read or write this process's descriptors.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)


def main() -> int:
    """Serves requests until standard input ends."""
    limit_resources()
    # Only this process can answer: what it starts gets standard error in the place of its output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def send(message: dict) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    cells = Cells()
    send({"ready": True})
    for line in requests:
        request = json.loads(line)
        send(cells.run(request["code"], request["seconds"]))
    cells.manager.shutdown_kernel(now=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
