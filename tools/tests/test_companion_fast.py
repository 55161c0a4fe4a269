"""The companion with a fake evcxr, in milliseconds instead of seconds."""

import json
import os
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from kernels import Kernel

TOOLS = Path(__file__).resolve().parent.parent
RUN, COMPLETE = ["event", {"event": "run"}], ["event", {"event": "complete"}]


class FastKernel(Kernel):
    """The companion and a fake evcxr."""

    def __init__(self, folder, *more):
        # evcxr is a program of its own.
        program = folder / "evcxr"
        program.write_text(
            f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_evcxr.py")} "$@"\n'
        )
        program.chmod(0o755)
        self.manager = KernelManager(kernel_name="python3")
        self.manager._kernel_spec = KernelSpec(
            argv=[sys.executable, str(TOOLS / "companion"), str(program), "--connect", "{connection_file}", *more],
            display_name="fake",
            language="rust",
            interrupt_mode="message",
        )
        self.manager.start_kernel(env=os.environ | {"EVCXR_TMPDIR": str(folder)})
        self.client = self.connect()


def code(*steps):
    """A cell that runs to its end."""
    return json.dumps([RUN, *steps, COMPLETE])


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    started = FastKernel(tmp_path_factory.mktemp("fast"))
    yield started
    started.close()


@pytest.fixture
def kernel(shared):
    shared.drain()
    return shared


def kinds(result):
    """What is published, in order."""
    return [
        m["content"].get("execution_state", m["content"].get("text", m["msg_type"]))
        for m in result.messages
    ]


def test_order_and_numbers(kernel):
    live = {"event": "live", "id": "a", "data": {"text/plain": "1"}}
    steps = [["text", "one\n"], ["event", live], ["text", "\x1eMNIST_KIT\n"], ["text", "two\x1e\n"]]
    result = kernel.ok(code(*steps, ["result", "5"]))
    shown = ["one\n", "display_data", "two", "execute_result"]
    assert kinds(result) == ["busy", "execute_input", *shown, "idle"]
    assert result.reply["execution_count"] == 1
    assert result.contents("execute_result")[0]["execution_count"] == 1


def test_a_live_message_without_a_mark_comes_with_the_end(kernel):
    live = {"event": "live", "id": "a", "data": {"text/plain": "1"}}
    assert kinds(kernel.ok(code(["event", live])))[2:] == ["display_data", "idle"]


def test_a_mark_waits_for_its_message(kernel):
    live = {"event": "live", "id": "a", "data": {"text/plain": "1"}}
    place = ["text", "\x1eMNIST_KIT\n"]
    steps = [["text", "a\n"], place, ["text", "b\n"], ["sleep", 0.1], ["event", live]]
    assert kinds(kernel.ok(code(*steps)))[2:] == ["a\n", "display_data", "b\n", "idle"]
    # Marks of the cell's own have no messages, and do not take forever.
    result = kernel.ok(code(*[place] * 100, ["text", "c\n"]))
    assert kinds(result)[2:] == ["c\n", "idle"]


def test_errors_and_aborted_cells(kernel):
    panic = {"event": "panic", "message": "no", "main": True}
    steps = [["event", panic], ["event", {"event": "panicked"}], ["sleep", 0.2]]
    requests = [kernel.send(code(*steps)), kernel.send(code()), kernel.send(code())]
    replies = [kernel.reply(request) for request in requests]
    assert [reply["status"] for reply in replies] == ["error", "aborted", "aborted"]
    assert (replies[0]["ename"], replies[0]["evalue"]) == ("Panic", "no")
    kernel.drain()
    assert kernel.ok(code()).status == "ok"


def test_an_error_of_evcxr_passes_unchanged(kernel):
    result = kernel.run(json.dumps([["error", "mismatched types"]]))
    assert result.errors == [("Error", "mismatched types")]
    assert result.reply["evalue"] == "mismatched types"


def test_a_forged_end_gets_a_new_process(kernel):
    result = kernel.fails(code(COMPLETE), "Forged")
    assert kinds(result) == ["busy", "execute_input", "error", "idle"]
    assert kernel.ok(code(["text", "again\n"])).text() == "again\n"


def test_a_late_panic_fails_the_next_cell_once(kernel):
    first = kernel.ok(code())
    assert first.status == "ok"
    # The process of the cells speaks while nothing runs: before the companion counts the cell.
    late = {"event": "panic", "message": "late", "main": False}
    kernel.reply(kernel.client.complete(json.dumps(late)))
    kernel.fails(code(), "Panic")
    kernel.ok(code())


def test_a_silent_cell_shows_nothing_and_has_no_number(kernel):
    before = kernel.ok(code()).reply["execution_count"]
    assert kinds(kernel.run(code(["result", "5"]), silent=True)) == ["busy", "idle"]
    assert kernel.ok(code()).reply["execution_count"] == before + 1


def test_the_limit(kernel):
    line = "x" * 999 + "\n"
    limit = ["event", {"event": "limit", "bytes": 30_000_000}]
    result = kernel.fails(code(limit, *[["text", line]] * 12_000), "OutputLimit")
    assert result.text("stderr").count("Output limit") == 1
    assert result.text() == line * 10_000


def test_a_shutdown(kernel):
    kernel.manager.shutdown_kernel()
    assert not kernel.manager.is_alive()
