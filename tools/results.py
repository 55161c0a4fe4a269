"""`make results`: trains the models of lessons 1 to 3 with three seeds each and prints a table.

A run writes a checkpoint after each epoch. Repeating the command continues interrupted runs.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
from pathlib import Path

import project

# Subcommand of the program → stem of its output files, seed of the lesson.
MODELS = {
    "mlp": ("mlp", 42),
    "lenet": ("lenet", 42),
    "cnn": ("cnn", 777),
    "deep-cnn": ("deep_cnn", 777),
}
HEADER = """
| model | epochs | test accuracy | by seed, last epoch (highest, in epoch) | seconds per run |
|---|---:|---:|---|---:|"""


def main() -> int:
    """Parses the command line, trains the models and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="runs of each model (default: %(default)s)")
    add("--epochs", type=int, help="epochs of each run (default: as in the lesson)")
    add("--out", type=Path, default=project.ROOT / "out" / "results", help="folder for the runs")
    add("models", nargs="*", choices=MODELS, help="models to train (default: all)")
    arguments = parser.parse_args()
    build = ["cargo", "build", "--release", "--locked", "-p", "mnist_kit_cli"]
    subprocess.run(build, cwd=project.ROOT, check=True)
    rows = []
    for command in arguments.models or MODELS:
        name, first = MODELS[command]
        runs = []
        for seed in range(first, first + arguments.seeds):
            folder = arguments.out / f"{name}-{seed}"
            train(command, seed, arguments.epochs, folder)
            runs.append((seed, history(folder / f"{name}_history.csv")))
        rows.append(row(command, runs))
    print(HEADER)
    print("\n".join(rows))
    return 0


def train(command: str, seed: int, epochs: int | None, folder: Path) -> None:
    """Trains a model, continuing from its checkpoint if there is one."""
    call = [str(project.program()), command, "--seed", str(seed), "--out", str(folder)]
    call += ["--checkpoint", str(folder / "checkpoint")]
    if epochs:
        call += ["--epochs", str(epochs)]
    subprocess.run(call, check=True)


def history(path: Path) -> list[dict[str, str]]:
    """Reads the epochs of a run, as `History::to_csv` writes them."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row(command: str, runs: list[tuple[int, list[dict[str, str]]]]) -> str:
    """Formats a row: the accuracy after the last epoch, and the highest one for comparison.

    Only the last epoch is a result. The highest accuracy is chosen by looking at the test images.
    """
    last = [percent(epochs[-1]) for _, epochs in runs]
    spread = f" ± {statistics.stdev(last):.2f}" if len(last) > 1 else ""
    seeds = []
    for (seed, epochs), accuracy in zip(runs, last):
        best = max(epochs, key=percent)
        seeds.append(f"{seed}: {accuracy:.2f} ({percent(best):.2f} in {best['epoch']})")
    seconds = statistics.mean(total_seconds(epochs) for _, epochs in runs)
    accuracy = f"{statistics.mean(last):.2f}{spread} %"
    return f"| {command} | {len(runs[0][1])} | {accuracy} | {', '.join(seeds)} | {seconds:.0f} |"


def percent(epoch: dict[str, str]) -> float:
    """Reads the test accuracy of an epoch, in percent."""
    return 100 * float(epoch["test_accuracy"])


def total_seconds(epochs: list[dict[str, str]]) -> float:
    """Adds up the seconds of all epochs."""
    return sum(float(epoch["seconds"]) for epoch in epochs)


if __name__ == "__main__":
    project.main(main)
