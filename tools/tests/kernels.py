"""A kernel as tests see it: cells, their answers and their outputs."""

import dataclasses
import os
import queue
import time

from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

import kernel
import project

# No test waits for so long unless the kernel is broken: machines that run tests are busy.
LIMIT = 300
START_LIMIT = 1800


@dataclasses.dataclass
class Result:
    """What a cell has come to."""

    reply: dict
    messages: list[dict]

    @property
    def status(self):
        return self.reply["status"]

    def contents(self, *kinds):
        return [m["content"] for m in self.messages if m["msg_type"] in kinds]

    def text(self, name="stdout"):
        return "".join(c["text"] for c in self.contents("stream") if c["name"] == name)

    @property
    def value(self):
        return "".join(c["data"]["text/plain"] for c in self.contents("execute_result"))

    @property
    def errors(self):
        return [(c["ename"], c["evalue"]) for c in self.contents("error")]


class Kernel:
    """A running kernel and a client."""

    def __init__(self):
        self.manager = KernelManager(kernel_name=project.KERNEL_NAME)
        self.manager.start_kernel(cwd=str(project.ROOT / "notebooks"))
        self.client = self.connect()

    def connect(self):
        """Connects a client with a session of its own."""
        client = self.manager.client()
        client.session = Session(key=client.session.key)
        client.start_channels()
        client.wait_for_ready(timeout=START_LIMIT)
        return client

    def restart(self):
        self.client.stop_channels()
        self.manager.restart_kernel()
        self.client = self.connect()

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def send(self, code, **options):
        """Sends a cell; returns the id of the request."""
        return self.client.execute(code, **options)

    def finish(self, request):
        """Waits for the end of a cell."""
        messages = []
        self.read_until(
            lambda m: m["content"].get("execution_state") == "idle", request, messages
        )
        return Result(self.reply(request), messages)

    def reply(self, request):
        """Waits for the answer to a request."""
        deadline = time.monotonic() + LIMIT
        while True:
            reply = self.client.get_shell_msg(timeout=max(deadline - time.monotonic(), 0))
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]

    def read_until(self, found, request=None, messages=None):
        """Reads what is published about a request until a message is found, and returns that."""
        deadline = time.monotonic() + LIMIT
        while True:
            message = self.client.get_iopub_msg(timeout=max(deadline - time.monotonic(), 0))
            if request is None or message["parent_header"].get("msg_id") == request:
                if messages is not None:
                    messages.append(message)
                if found(message):
                    return message

    def until_printed(self, text, request, messages=None):
        """Waits until a cell has printed a text."""
        self.read_until(
            lambda m: m["msg_type"] == "stream" and text in m["content"]["text"], request, messages
        )

    def run(self, code, **options):
        """Runs a cell."""
        return self.finish(self.send(code, **options))

    def ok(self, code):
        """Runs a cell that has to succeed."""
        result = self.run(code)
        assert result.status == "ok", f"{code}\n{result.reply.get('evalue', result.reply)}"
        return result

    def fails(self, code, ename):
        """Runs a cell that has to fail."""
        result = self.run(code)
        found = (result.status, result.reply.get("ename"), result.reply.get("evalue"))
        assert found[:2] == ("error", ename), found
        assert result.errors, "the error is shown"
        return result

    def drain(self):
        """Reads what is left of earlier requests."""
        for read in (self.client.get_iopub_msg, self.client.get_shell_msg):
            try:
                while True:
                    read(timeout=0)
            except queue.Empty:
                pass

    @property
    def folder(self):
        """The kernel's private folder, as its process knows it."""
        variables = kernel.environment_of(self.manager.provisioner.pid)
        (mark,) = (v for v in variables if v.startswith(b"EVCXR_TMPDIR="))
        return mark.split(b"=", 1)[1].decode()

    @property
    def workers(self):
        return workers(self.folder)


def workers(folder):
    """The processes of a kernel."""
    mark = f"EVCXR_TMPDIR={folder}".encode()
    return [pid for pid in kernel.processes() if mark in kernel.environment_of(pid)]


def wait_until(true, seconds=LIMIT):
    """Waits until something is true, and returns whether it is."""
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def is_gone(folder):
    """Waits until a kernel has left neither folder nor process."""
    return wait_until(lambda: not os.path.exists(folder) and not workers(folder))
