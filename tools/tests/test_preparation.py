"""The progress of a compilation before the first cell, and what happens when it fails."""

import asyncio
import sys

from companion.preparation import Preparation
from test_companion_fast import FastKernel, code

# What cargo prints: a bar that a carriage return overwrites, and lines.
CARGO = """
import sys, time
sys.stderr.write("   Compiling tch v0.26.0\\n")
for done in (3, 9, 9):
    sys.stderr.write(f"    Building [==>   ] {done}/12: tch, mnist_kit\\r")
    sys.stderr.flush()
    time.sleep(0.1)
sys.stderr.write("error: no space left on device\\n")
sys.exit(int(sys.argv[1]))
"""


class Published:
    """Takes the place of the sockets."""

    def __init__(self):
        self.messages = []

    def publish(self, kind, content, request):
        text = content.get("data", {}).get("text/plain", "")
        self.messages.append((kind, text.partition(": ")[2].rpartition(",")[0]))


def prepare(code):
    front = Published()

    async def run():
        preparation = Preparation(front, [sys.executable, "-c", CARGO, str(code)])
        running = asyncio.create_task(preparation.run())
        # It has begun, and cargo has not.
        await asyncio.sleep(0)
        preparation.wait_with({"header": {}})
        # A second cell that waits shows nothing.
        preparation.wait_with({"header": {}})
        return await running

    return asyncio.run(run()), front.messages


def test_the_first_cell_that_waits_shows_the_progress():
    problem, messages = prepare(0)
    assert problem is None
    assert messages == [
        ("display_data", ""),
        ("update_display_data", "3 of 12 crates"),
        ("update_display_data", "9 of 12 crates"),
        ("clear_output", ""),
    ]


def test_a_failure_is_told_with_its_last_lines():
    problem, messages = prepare(1)
    assert problem.splitlines()[-1] == "error: no space left on device"
    assert messages[-1][0] == "update_display_data"


def test_a_kernel_answers_while_its_folder_is_filled(tmp_path):
    started = FastKernel(tmp_path, "--fill")
    try:
        assert started.ok(code(["text", "one\n"])).text() == "one\n"
        assert (tmp_path / "kit.lock").exists() and (tmp_path / "target").exists()
    finally:
        started.close()


def test_every_cell_says_why_the_kernel_cannot_start(tmp_path):
    # The folder cannot be filled.
    (tmp_path / "target").write_text("")
    started = FastKernel(tmp_path, "--fill")
    try:
        for _ in range(2):
            result = started.fails(code(), "NotStarted")
            assert "File exists" in "".join(result.contents("error")[0]["traceback"])
    finally:
        started.close()
