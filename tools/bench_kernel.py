"""`make bench-kernel`: times a plain evcxr kernel and this project's kernel, and prints a table."""

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

import project

FIRST = ':dep mnist_kit = { path = "../mnist_kit" }\nuse mnist_kit::prelude::*;'
TENSOR = "let t0 = Tensor::from_slice(&[1.0f32, 2.0]);\nt0.size()"
LATER = [f"let t{n} = &t{n - 1} + {n}.0;\nt{n}.size()" for n in range(1, 11)]
LIMIT = 1800


def main() -> int:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--ours-only", action="store_true", help="skip the plain kernel, which takes minutes"
    )
    arguments = parser.parse_args()
    columns = {}
    if not arguments.ours_only:
        plain = [str(project.evcxr()), "--control_file", "{connection_file}"]
        columns["plain evcxr"] = time_kernel(plain, plain_environment())
    ours = [sys.executable, str(project.ROOT / "tools" / "kernel.py"), "{connection_file}"]
    columns["mnist_kit"] = time_kernel(ours, dict(os.environ))
    print()
    print(table(columns))
    return 0


def plain_environment() -> dict[str, str]:
    """Returns the variables that a plain kernel needs to compile with libtorch and to load it."""
    libtorch = str(project.LIBTORCH.resolve())
    return os.environ | {"LIBTORCH": libtorch, "LD_LIBRARY_PATH": f"{libtorch}/lib"}


def time_kernel(argv: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Starts a kernel and measures the seconds of each row of the table."""
    print(f"timing {Path(argv[0]).name} {' '.join(argv[1:-1])}", flush=True)
    manager = KernelManager(kernel_name="python3")
    manager._kernel_spec = KernelSpec(
        argv=argv, display_name="timed", language="rust", interrupt_mode="message"
    )
    with TemporaryDirectory() as empty:
        # The user's own evcxr configuration would change what is measured.
        environment = environment | {"EVCXR_CONFIG_DIR": empty}
        started = time.monotonic()
        manager.start_kernel(cwd=str(project.ROOT / "notebooks"), env=environment)
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=LIMIT)
            rows = {"kernel ready": time.monotonic() - started}
            rows["first `:dep` + `use`"] = evaluate(client, FIRST)
            rows["first tensor"] = evaluate(client, TENSOR)
            later = [evaluate(client, cell) for cell in LATER]
            rows["later cell, median of ten"] = statistics.median(later)
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
    return rows


def evaluate(client, code: str) -> float:
    """Runs a cell and measures the seconds until the kernel is idle again."""
    messages = []
    started = time.monotonic()
    reply = client.execute_interactive(code, timeout=LIMIT, output_hook=messages.append)
    seconds = time.monotonic() - started
    if reply["content"]["status"] != "ok":
        errors = [
            message["content"]["evalue"] for message in messages if message["msg_type"] == "error"
        ]
        raise project.Problem(f"The cell\n{code}\nfailed: {' '.join(errors)}")
    print(f"  {seconds:7.2f} s  {code.splitlines()[0]}", flush=True)
    return seconds


def table(columns: dict[str, dict[str, float]]) -> str:
    """Formats the times as a Markdown table."""
    lines = [f"| seconds | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for row in next(iter(columns.values())):
        cells = " | ".join(f"{times[row]:.2f}" for times in columns.values())
        lines.append(f"| {row} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    project.main(main)
