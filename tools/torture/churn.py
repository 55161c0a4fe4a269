"""Starts kernels and kills them at random moments.

The process that Jupyter knows is killed while it makes its folder, copies the template, starts evcxr
or loads libtorch; every third time together with the guard that cleans up. Then no process lives on,
and after the next start there is no folder and no held lock. Prints one line of JSON: kernels,
survived, lost, seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOOLS), str(TOOLS / "tests")]
from jupyter_client.manager import KernelManager

import kernel
import project
import template
from kernels import wait_until

# A start takes five seconds where nothing has to be compiled.
LATEST = 6.0
SECONDS_TO_CLEAN_UP = 60


def main() -> int:
    """Starts and kills kernels, and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kernels", type=int, default=50, help="number of kernels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments (default: %(default)s)")
    arguments = parser.parse_args()
    figures, problems = churn(arguments.kernels, arguments.seed)
    for problem in problems:
        print(f"LOST: churn: {problem}", file=sys.stderr)
    print(json.dumps(figures), flush=True)
    return 1 if problems else 0


def churn(kernels: int, seed: int = 1) -> tuple[dict, list[str]]:
    """Starts and kills kernels; returns the figures and what is left of some."""
    # A standby would live on, as it should.
    os.environ["MNIST_KIT_STANDBY"] = "0"
    started = time.monotonic()
    moments = random.Random(seed)
    if processes():
        raise project.Problem("Kernels of this checkout are running. End them, then repeat the command.")
    with template.locked():
        template.ensure(lambda line: print(line, file=sys.stderr, flush=True))
    before = present()
    problems = []
    for number in range(1, kernels + 1):
        seconds, with_guard = moments.uniform(0, LATEST), number % 3 == 0
        problem = cycle(seconds, with_guard, before)
        if problem:
            problems.append(f"kernel {number}, killed after {seconds:.2f} s: {problem}")
    return {
        "part": "churn: killed kernels",
        "attempts": kernels,
        "survived": kernels - len(problems),
        "lost": len(problems),
        "seconds": round(time.monotonic() - started, 1),
    }, problems


def cycle(seconds: float, with_guard: bool, before: set[Path | int]) -> str | None:
    """Starts a kernel and kills it; returns what is left of it, if anything."""
    manager = KernelManager(kernel_name=project.KERNEL_NAME)
    manager.start_kernel(cwd=str(project.ROOT / "notebooks"))
    time.sleep(seconds)
    made = folders() - before
    if with_guard:
        for pid in (pid for folder in made for pid in holders(folder)):
            kill(pid)
    kill(manager.provisioner.pid)
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()
    return remains(before)


def remains(before: set[Path | int]) -> str | None:
    """Waits until nothing is left that was not there before; returns what is left nevertheless."""

    def left() -> set[Path | int]:
        sweep()
        return present() - before

    if wait_until(lambda: not left(), SECONDS_TO_CLEAN_UP):
        return None
    return f"left: {', '.join(map(str, left()))}"


def present() -> set[Path | int]:
    """The folders of kernels, and the processes that work in them."""
    return folders() | set(processes())


def processes() -> list[int]:
    """The processes of the kernels of this checkout."""
    mark = b"EVCXR_TMPDIR=" + bytes(template.LIVE) + b"/"
    return [
        pid
        for pid in kernel.processes()
        if any(variable.startswith(mark) for variable in kernel.environment_of(pid))
    ]


def sweep() -> None:
    """Does what the next kernel to start and its guard do; removes what others have left."""
    folder, lock = kernel.claim()
    os.close(lock)
    kernel.end(folder)


def folders() -> set[Path]:
    """The folders of kernels."""
    if not template.LIVE.exists():
        return set()
    return {path for path in template.LIVE.iterdir() if path.is_dir() and path.name != ".cargo"}


def holders(folder: Path) -> list[int]:
    """The processes that work in a folder or hold its lock, the guard among them."""
    return [pid for pid in kernel.processes() if kernel.belongs_to(pid, folder)]


def kill(pid: int) -> None:
    """Kills a process, if it still lives."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    project.main(main)
