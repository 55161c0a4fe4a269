"""Works in one kernel for long: 100 cells, 50 epochs of training, 1,000 figures.

Every cell trains on from a checkpoint, saves ten figures and shows one. Memory, threads and open
files of the kernel's processes must not grow beyond what the cells themselves take. Prints one line
of JSON: cells, of which survived, lost, seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOOLS), str(TOOLS / "tests")]
from kernels import Kernel

EPOCHS_PER_CELL = 0.5
FIGURES_PER_CELL = 10
# After this many cells, everything that a kernel loads once is loaded.
WARM_UP = 10
# evcxr keeps the library of each cell, and rust-analyzer what it knows of the notebook.
MEGABYTES_PER_CELL = 12
MORE_THREADS, MORE_FILES = 8, 16

START = """
:dep mnist_kit = { path = "../mnist_kit" }
use mnist_kit::prelude::*;
let digits: Mnist = Mnist::generated(1, 600, 100)?;
let transform: Compose = Compose::new().to_tensor();
let train: Batches = digits.train.batches(50)?.transform(&transform).shuffle(1);
let validation: Batches = digits.test.batches(100)?.transform(&transform);
let vs: nn::VarStore = nn::VarStore::new(Device::Cpu);
let model: Mlp = Mlp::new(vs.root(), 32)?;
"""
CELL = """
let history: History = fit(&model, &vs, &train).validation(&validation).epochs({epochs})
    .checkpoint("{folder}/run.safetensors").report(Silent).run()?;
for number in 0..{figures} {{
    let figure = history.plot()?.title(format!("cell {cell}, figure {{number}}"));
    figure.save(format!("{folder}/{{number}}.png"))?;
}}
history.plot()?
"""


@dataclasses.dataclass
class Usage:
    """The memory, threads and files of all processes of a kernel."""

    megabytes: int = 0
    threads: int = 0
    files: int = 0

    @classmethod
    def of(cls, processes: list[int]) -> Usage:
        """Adds up the processes; one that has just ended counts nothing."""
        total = cls()
        for pid in processes:
            try:
                status = dict(
                    line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                )
                total.megabytes += int(status.get("VmRSS", "0 kB").split()[0]) >> 10
                total.threads += int(status["Threads"])
                total.files += len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                continue
        return total

    def beyond(self, before: Usage, cells: int) -> list[str]:
        """Names what has grown too much over some cells."""
        limits = {
            "megabytes": before.megabytes + MEGABYTES_PER_CELL * cells,
            "threads": before.threads + MORE_THREADS,
            "files": before.files + MORE_FILES,
        }
        found = dataclasses.asdict(self)
        start = dataclasses.asdict(before)
        return [
            f"{name} grew from {start[name]} to {found[name]} in {cells} cells, more than to {limit}"
            for name, limit in limits.items()
            if found[name] > limit
        ]


def main() -> int:
    """Runs the cells and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=100, help="number of cells (default: %(default)s)")
    arguments = parser.parse_args()
    figures, problems = soak(arguments.cells)
    for problem in problems:
        print(f"LOST: soak: {problem}", file=sys.stderr)
    print(json.dumps(figures), flush=True)
    return 1 if problems else 0


def soak(cells: int) -> tuple[dict, list[str]]:
    """Runs the cells; returns the figures and what has gone wrong."""
    started = time.monotonic()
    problems: list[str] = []
    survived = 0
    before = None
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel()
        try:
            kernel.ok(START)
            for cell in range(1, cells + 1):
                epochs = max(1, round(EPOCHS_PER_CELL * cell))
                names = {"cell": cell, "epochs": epochs, "figures": FIGURES_PER_CELL, "folder": folder}
                result = kernel.run(CELL.format(**names))
                if result.status == "ok" and result.contents("execute_result"):
                    survived += 1
                else:
                    problems.append(f"cell {cell}: {result.reply.get('evalue', 'shows nothing')}")
                if cell == min(WARM_UP, cells):
                    before = Usage.of(kernel.workers)
                    print(f"after {cell} cells: {before}", file=sys.stderr, flush=True)
            after = Usage.of(kernel.workers)
        finally:
            kernel.close()
    print(f"after {cells} cells: {after}", file=sys.stderr, flush=True)
    grown = after.beyond(before, cells - min(WARM_UP, cells))
    figures = {
        "part": "soak: cells of one kernel",
        "attempts": cells,
        "survived": survived if not grown else 0,
        "lost": cells - survived if not grown else cells,
        "seconds": round(time.monotonic() - started, 1),
    }
    return figures, problems + grown


if __name__ == "__main__":
    sys.exit(main())
