"""`make bench-kernel`: times plain evcxr and this project's kernel, and prints a table.

The kernels run side by side and take turns at each cell, so that what else the machine does meets
all of them. The third one, without the companion, shows what the companion adds to a cell.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

import kernel
import project
import template

PLAIN, OURS, BARE = "plain evcxr", "mnist_kit", "without companion"
FIRST = ':dep mnist_kit = { path = "../mnist_kit" }\nuse mnist_kit::prelude::*;'
TENSOR = "let t0 = Tensor::from_slice(&[1.0f32, 2.0]);\nt0.size()"
LATER = [f"let t{n} = &t{n - 1} + {n}.0;\nt{n}.size()" for n in range(1, 11)]
SHORT = [f'println!("{n}");' for n in range(20)]
LIMIT = 1800
MEGABYTE = 1000


class Timed:
    """A running kernel that is timed."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        """Starts the kernel."""
        self.manager = KernelManager(kernel_name="python3")
        self.manager._kernel_spec = KernelSpec(
            argv=argv, display_name="timed", language="rust", interrupt_mode="message"
        )
        self.rows: dict[str, str] = {}
        started = time.monotonic()
        self.manager.start_kernel(cwd=str(project.ROOT / "notebooks"), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LIMIT)
        self.rows["kernel ready, s"] = f"{time.monotonic() - started:.2f}"
        self.run(FIRST)
        self.rows["start to the first cell's answer, s"] = f"{time.monotonic() - started:.2f}"

    def run(self, code: str) -> float:
        """Runs a cell and measures the seconds until the kernel is idle again."""
        messages = []
        started = time.monotonic()
        reply = self.client.execute_interactive(
            code, timeout=LIMIT, output_hook=messages.append
        )
        seconds = time.monotonic() - started
        if reply["content"]["status"] != "ok":
            errors = [m["content"]["evalue"] for m in messages if m["msg_type"] == "error"]
            raise project.Problem(f"The cell\n{code}\nfailed: {' '.join(errors)}")
        return seconds

    def note_memory(self, when: str) -> None:
        """Adds the rows of the memory that the kernel's processes hold now."""
        total = 0
        for role, (resident, proportional) in self.memory().items():
            self.rows[f"{when}: {role}, RSS / PSS, MB"] = f"{resident:,} / {proportional:,}"
            total += proportional
        self.rows[f"{when}: all processes, PSS, MB"] = f"{total:,}"

    def memory(self) -> dict[str, tuple[int, int]]:
        """Sums RSS and PSS, in megabytes, over the processes of each role."""
        found = dict.fromkeys(("evcxr", "cells", "companion"), (0, 0))
        for pid in descendants(self.manager.provisioner.pid):
            role, memory = role_of(pid), memory_of(pid)
            found[role] = tuple(map(sum, zip(found[role], memory)))
        return {role: (rss // MEGABYTE, pss // MEGABYTE) for role, (rss, pss) in found.items()}

    def close(self) -> None:
        """Ends the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel()


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description="Times kernels and prints a table.")
    parser.add_argument(
        "--ours-only", action="store_true", help="skip the plain kernel, which takes minutes"
    )
    # This program starts these for the kernel without the companion.
    parser.add_argument("--bare", metavar="CONNECTION_FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        become_bare(arguments.bare)
    with TemporaryDirectory() as empty:
        # The user's own configuration of evcxr would change what is measured.
        columns = measure({"EVCXR_CONFIG_DIR": empty}, arguments.ours_only)
    print()
    print(table(columns))


def become_bare(connection_file: str) -> None:
    """Becomes evcxr in a copy of the template, as our kernel does, without the companion."""
    folder, lock = kernel.claim()
    kernel.fill(folder)
    kernel.guard(folder, lock)
    variables = template.kernel_variables() | {"EVCXR_TMPDIR": str(folder)}
    evcxr = str(project.evcxr())
    os.execve(evcxr, [evcxr, "--control_file", connection_file], variables)


def measure(variables: dict[str, str], ours_only: bool) -> dict[str, dict[str, str]]:
    """Starts the kernels, runs the cells in turns, and returns the rows of each kernel."""
    environment = os.environ | variables
    launcher = str(project.ROOT / "tools" / "kernel.py")
    kernels = {
        PLAIN: (
            [str(project.evcxr()), "--control_file", "{connection_file}"],
            environment | plain_variables(),
        ),
        OURS: ([sys.executable, launcher, "{connection_file}"], environment),
        BARE: (
            [sys.executable, str(Path(__file__).resolve()), "--bare", "{connection_file}"],
            environment,
        ),
    }
    if ours_only:
        del kernels[PLAIN]
    running: dict[str, Timed] = {}
    try:
        for name, (argv, variables) in kernels.items():
            print(f"starting: {name}", flush=True)
            running[name] = Timed(argv, variables)
        for timed in running.values():
            timed.note_memory("at rest")
        run_cells(running)
        for timed in running.values():
            timed.note_memory("after ten cells")
        short = take_turns(running, SHORT)
        for name, times in short.items():
            running[name].rows["`println!`, median of twenty, s"] = median(times)
        added = [ours - bare for ours, bare in zip(short[OURS], short[BARE])]
        note = f"{statistics.median(added) * 1000:.0f}"
        running[OURS].rows["added by the companion, median of twenty pairs, ms"] = note
    finally:
        for timed in running.values():
            timed.close()
    return {name: timed.rows for name, timed in running.items()}


def plain_variables() -> dict[str, str]:
    """Returns the variables that a plain kernel needs to compile with libtorch and to load it."""
    libtorch = str(project.LIBTORCH.resolve())
    return {"LIBTORCH": libtorch, "LD_LIBRARY_PATH": f"{libtorch}/lib"}


def run_cells(running: dict[str, Timed]) -> None:
    """Times the first tensor and ten later cells."""
    for name, times in take_turns(running, [TENSOR]).items():
        running[name].rows["first tensor, s"] = median(times)
    for name, times in take_turns(running, LATER).items():
        running[name].rows["later cell, median of ten, s"] = median(times)


def take_turns(running: dict[str, Timed], cells: list[str]) -> dict[str, list[float]]:
    """Runs each cell in each kernel, beginning with another kernel each time."""
    times: dict[str, list[float]] = {name: [] for name in running}
    for number, cell in enumerate(cells):
        order = list(running)
        for name in order if number % 2 else reversed(order):
            times[name].append(running[name].run(cell))
    for name, seconds in times.items():
        print(f"  {median(seconds):>7} s  {cells[0].splitlines()[0]}  ({name})", flush=True)
    return times


def median(times: list[float]) -> str:
    """Formats the median of some seconds."""
    return f"{statistics.median(times):.2f}"


def descendants(root: int) -> list[int]:
    """Lists a process and all that it has started, directly or not."""
    parents = {}
    for pid in kernel.processes():
        try:
            # The parent is the second field behind the name, which is in parentheses.
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parents[pid] = int(status[1])
        except OSError:
            continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def role_of(pid: int) -> str:
    """Tells evcxr, the process of the cells and the companion apart."""
    if "evcxr" not in os.path.basename(os.path.realpath(f"/proc/{pid}/exe")):
        return "companion"
    runs_cells = b"EVCXR_IS_RUNTIME=1" in kernel.environment_of(pid)
    return "cells" if runs_cells else "evcxr"


def memory_of(pid: int) -> tuple[int, int]:
    """Reads RSS and PSS of a process, in kilobytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return tuple(int(fields[name].split()[0]) for name in ("Rss", "Pss"))


def table(columns: dict[str, dict[str, str]]) -> str:
    """Formats the rows as a Markdown table."""
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for row in rows:
        cells = " | ".join(column.get(row, "") for column in columns.values())
        lines.append(f"| {row} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    project.main(main)
