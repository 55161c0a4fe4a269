"""`make bench`: trains each lesson with mnist_kit and with PyTorch, and prints a table.

Each side is a process of its own; they take turns, a round each. The sides are the kit's `fit`
(benches/lessons.rs), the pipeline of the lesson's source, and the fastest PyTorch, with and without
`torch.compile` (bench_pytorch.py). A row's measurements go to out/bench/ROW.json, so that rows can be
measured one at a time; `--table` prints what is there. Then criterion times the parts of the kit's
steps (benches/parts.rs), which `make bench ROWS=parts` does alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import torch

import project

FOLDER = project.ROOT / "out" / "bench"
KIT, SOURCE, EAGER, COMPILED, MATMUL = "kit", "source", "eager", "compiled", "matmul"
OTHER = "other build"  # of the kit, with --against
MEGABYTE = 1024  # in the kilobytes of /proc
PARTS = "parts"


@dataclasses.dataclass(frozen=True)
class Row:
    """A lesson's title, the number of training images in a round, and the number of rounds."""

    title: str
    images: int
    rounds: int


ROWS = {
    "mlp": Row("MLP", 24_000, 5),
    "lenet": Row("LeNet", 12_000, 5),
    "cnn": Row("CNN", 4_000, 3),
    "deep_cnn": Row("deeper CNN", 3_000, 3),
    "resnet": Row("ResNet, with augmentation", 256, 3),
    "augment": Row("lesson 4's augmentation alone", 6_000, 5),
    "features": Row("transfer, features of the frozen ResNet18 once", 128, 3),
    "phase1": Row("transfer, phase 1: 15 epochs of the head", 128, 3),
    "phase2": Row("transfer, phase 2: layer4 and fc", 128, 3),
}


def main() -> int:
    """Parses the command line, measures, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, help="rounds of each side; default: 3 or 5")
    parser.add_argument(
        "--against", metavar="PROGRAM", help="another build of the kit's side, which takes turns, too"
    )
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    known = [*ROWS, PARTS]
    parser.add_argument("only", nargs="*", metavar="ROW", help=f"of {', '.join(known)}; default: all")
    arguments = parser.parse_args()
    names = arguments.only or known
    if unknown := [name for name in names if name not in known]:
        raise project.Problem(f"There is no row {unknown[0]}. Rows: {', '.join(known)}")
    rows = [name for name in names if name != PARTS]
    if rows and not arguments.table:
        if "MNIST_KIT_DATA" not in os.environ:
            raise project.Problem("Set MNIST_KIT_DATA to a folder with the four files of MNIST.")
        program = project.built("lessons", "bench", "--bench", "lessons")
        for name in rows:
            programs = {KIT: program} | ({OTHER: arguments.against} if arguments.against else {})
            rounds = arguments.rounds or ROWS[name].rounds
            measured = measure(name, programs, arguments.threads, rounds)
            project.save(FOLDER / f"{name}.json", json.dumps(measured, indent=1))
    if rows:
        files = [FOLDER / f"{name}.json" for name in ROWS]
        print(table({file.stem: json.loads(file.read_text()) for file in files if file.exists()}))
    if PARTS in names and not arguments.table:
        program = project.built(PARTS, "bench", "--bench", PARTS)
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
        subprocess.run([program, "--bench"], cwd=project.ROOT, env=environment, check=True)
    return 0


class Side:
    """A process that runs a round whenever it is sent a line."""

    def __init__(self, command: list[str], threads: int, announces: bool):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.announces = announces
        self.operations = None
        self.rates: list[float] = []
        self.samples = 0

    def answer(self) -> dict:
        """Reads one line of the process."""
        line = self.process.stdout.readline()
        if not line:
            raise project.Problem(f"{' '.join(self.command)} ended with {self.process.wait()}.")
        return json.loads(line)

    def wait(self) -> None:
        """Waits until the process has loaded its data, and reads its announcement if it makes one."""
        if self.announces:
            self.operations = self.answer()["flops"]

    def round(self) -> float:
        """Runs a round and returns its samples per second."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.samples = answer["samples"]
        return answer["samples"] / answer["seconds"]

    def result(self) -> dict:
        """Returns what was measured. The memory is the largest that was resident so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return {
            "rates": self.rates,
            "peak_mb": round(int(peak.split()[1]) / MEGABYTE),
            "samples": self.samples,
            "flops": self.operations,
        }

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


def measure(name: str, programs: dict[str, str], threads: int, rounds: int) -> dict:
    """Measures one row: a round of each side to warm up, then rounds in turns."""
    row, worker = ROWS[name], str(project.ROOT / "tools" / "bench_pytorch.py")
    images = str(row.images)
    sides: dict[str, Side] = {}
    try:
        for label, program in programs.items():
            sides[label] = Side([program, name, images], threads, announces=False)
        for side in (SOURCE, EAGER, COMPILED, MATMUL):
            command = [sys.executable, worker, name, side, images]
            sides[side] = Side(command, threads, announces=True)
        for side in sides.values():
            side.wait()
        for side in sides.values():
            side.round()
        for number in range(rounds):
            for label, side in sides.items():
                side.rates.append(side.round())
                print(f"{name}, round {number + 1}, {label}: {side.rates[-1]:,.1f}/s", file=sys.stderr)
        measured = {label: side.result() for label, side in sides.items()}
    finally:
        for side in sides.values():
            side.close()
    return {"conditions": conditions(threads), "sides": measured}


def conditions(threads: int) -> str:
    """Describes the machine, the versions and the day."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"torch {torch.__version__}, {project.output_of('rustc', '--version', cwd=project.ROOT)}"
    return (
        f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {threads} threads; {versions}; "
        f"{datetime.date.today()}"
    )


def fastest(sides: dict[str, dict]) -> str:
    """Names the faster one of PyTorch with and without `torch.compile`."""
    return max((EAGER, COMPILED), key=lambda side: statistics.median(sides[side]["rates"]))


def share(sides: dict[str, dict]) -> float | None:
    """Returns the kit's operations per second as a fraction of those of matrix products."""
    operations, samples = sides[EAGER]["flops"], sides[KIT]["samples"]
    if operations is None:
        return None
    rate = statistics.median(sides[KIT]["rates"]) / samples * operations
    return rate / (statistics.median(sides[MATMUL]["rates"]) * sides[MATMUL]["flops"])


def table(rows: dict[str, dict]) -> str:
    """Formats the measurements as Markdown."""
    lines = [
        "| samples per second: median (range) | source's pipeline (a) | fastest PyTorch (b) | mnist_kit "
        "| ÷ (a) | ÷ (b) | memory, MB: (a) / (b) / kit | of matrix products |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        sides = row["sides"]
        fast = fastest(sides)
        kit, source, best = (sides[side]["rates"] for side in (KIT, SOURCE, fast))
        part = share(sides)
        cells = [
            ROWS[name].title,
            spread(source),
            f"{spread(best)}{', compiled' if fast == COMPILED else ''}",
            spread(kit),
            f"{statistics.median(kit) / statistics.median(source):.2f}",
            f"{statistics.median(kit) / statistics.median(best):.2f}",
            " / ".join(f"{sides[side]['peak_mb']:,}" for side in (SOURCE, fast, KIT)),
            "–" if part is None else f"{100 * part:.0f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    # Rows may have been measured on several days.
    found = sorted({row["conditions"] for row in rows.values()})
    return "\n".join([*lines, "", *found])


def spread(rates: list[float]) -> str:
    """Formats the median and the range of a side's rates."""
    digits = 1 if statistics.median(rates) < 1000 else 0
    low, middle, high = (f"{rate:,.{digits}f}" for rate in (min(rates), statistics.median(rates), max(rates)))
    return f"{middle} ({low}–{high})"


if __name__ == "__main__":
    project.main(main)
