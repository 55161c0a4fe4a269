"""`make bench-fast`: lesson 6's recipe, trained by the program `mnist` and by PyTorch in turns.

Each run is a process of its own, and its seconds are those from its start to its end: loading,
training and evaluation. Each program runs once before, so that files are in memory and Python has
its modules compiled. Writes all runs to notebooks/records/fast_comparison.json, which lesson 6
loads, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import project

RECORD = project.ROOT / "notebooks" / "records" / "fast_comparison.json"
PYTORCH = Path(__file__).with_name("fast_pytorch.py")


def main() -> int:
    """Parses the command line, runs the programs and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=int, default=30, help="runs of each program (default: %(default)s)")
    add("--first", type=int, default=1, help="first seed (default: %(default)s)")
    add("--compiled", type=int, default=3, help="runs of PyTorch with torch.compile (default: %(default)s)")
    add("--record", type=Path, default=RECORD, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    build = ["cargo", "build", "--release", "--locked", "-p", "mnist_kit_cli"]
    subprocess.run(build, cwd=project.ROOT, check=True)
    kit(0), pytorch(0, False), pytorch(0, True)
    runs, about = [], {}
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for number, seed in enumerate(seeds):
        ours, about = kit(seed)
        runs += [ours, pytorch(seed, False)]
        if number < arguments.compiled:
            runs.append(pytorch(seed, True))
        print(f"seed {seed}: " + ", ".join(line(run) for run in runs if run["seed"] == seed), flush=True)
    record = {**about, "versions": versions(), "runs": runs}
    project.save(arguments.record, json.dumps(record, indent=1) + "\n")
    print(table(runs))
    return 0


def kit(seed: int) -> tuple[dict, dict]:
    """Runs `mnist fast`; returns the run, and what its record says about settings and machine."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"fast_{seed}.json"
        call = [str(project.program()), "fast", "--seed", str(seed), "--record", str(path)]
        seconds, _ = timed(call)
        record = json.loads(path.read_text(encoding="utf-8"))
    (epoch,) = record["history"]["epochs"]
    about = {name: record[name] for name in ("settings", "commit", "device", "threads", "date")}
    run = of("mnist_kit", seed, epoch["test_accuracy"], seconds, epoch["seconds"])
    return run, about


def pytorch(seed: int, compiled: bool) -> dict:
    """Runs PyTorch's version of the recipe."""
    call = [str(project.python()), str(PYTORCH), "--seed", str(seed), *["--compile"] * compiled]
    seconds, output = timed(call)
    answer = json.loads(output.splitlines()[-1])
    name = "PyTorch, compiled" if compiled else "PyTorch"
    return of(name, seed, answer["test_accuracy"], seconds, answer["training_seconds"])


def timed(call: list[str]) -> tuple[float, str]:
    """Runs a program; returns the seconds from its start to its end, and its output."""
    started = time.perf_counter()
    done = subprocess.run(
        call, check=True, stdout=subprocess.PIPE, text=True, cwd=project.ROOT, env=variables()
    )
    return time.perf_counter() - started, done.stdout


def variables() -> dict[str, str]:
    """Returns environment variables that let Python keep its compiled modules.

    An environment made by uv has none, and without them PyTorch takes seconds longer to start.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(project.BUILD / "pycache")}


def of(program: str, seed: int, accuracy: float, seconds: float, training: float) -> dict:
    """Makes the record of a run."""
    return {
        "program": program,
        "seed": seed,
        "test_accuracy": accuracy,
        "seconds": round(seconds, 3),
        "training_seconds": round(training, 3),
    }


def versions() -> str:
    """Returns the version of PyTorch; the kit's libtorch is the same."""
    return f"torch {project.torch_version()}"


def line(run: dict) -> str:
    """Formats a run."""
    return f"{run['program']} {100 * run['test_accuracy']:.2f} % in {run['seconds']:.2f} s"


def table(runs: list[dict]) -> str:
    """Formats means, medians and ratios as a Markdown table."""
    names = list(dict.fromkeys(run["program"] for run in runs))
    of_program = {name: [run for run in runs if run["program"] == name] for name in names}
    ours = medians(of_program["mnist_kit"])
    lines = [
        "| program | runs | test accuracy, lowest | seconds, range | training and evaluation | ours ÷ this |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, its in of_program.items():
        accuracies = [100 * run["test_accuracy"] for run in its]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(its) > 1 else ""
        seconds = [run["seconds"] for run in its]
        whole, training = medians(its)
        lines.append(
            f"| {name} | {len(its)} | {statistics.mean(accuracies):.2f}{spread} %, {min(accuracies):.2f} % "
            f"| {whole:.2f}, {min(seconds):.2f}–{max(seconds):.2f} | {training:.2f} "
            f"| {ours[0] / whole:.2f} |"
        )
    return "\n".join(lines)


def medians(runs: list[dict]) -> tuple[float, float]:
    """Returns the median seconds of whole processes, and of training and evaluation alone."""
    return tuple(statistics.median(run[name] for run in runs) for name in ("seconds", "training_seconds"))


if __name__ == "__main__":
    project.main(main)
