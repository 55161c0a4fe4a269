"""`make results`: trains the models of lessons 1 to 3 with three seeds each, and prints mean and spread as a table.

Every run writes a checkpoint after each epoch, and goes on from it when the command is repeated.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
from pathlib import Path

import project

# Command of the program, name of its files, seed of the lesson.
MODELS = {
    "mlp": ("mlp", 42),
    "lenet": ("lenet", 42),
    "cnn": ("cnn", 777),
    "deep-cnn": ("deep_cnn", 777),
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each model (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="epochs of each run (default: the lesson's)")
    parser.add_argument("--out", type=Path, default=project.ROOT / "out" / "results", help="folder for the runs")
    parser.add_argument("models", nargs="*", choices=MODELS, help="models to train (default: all)")
    arguments = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--bin", "mnist"], cwd=project.ROOT, check=True)
    rows = []
    for command in arguments.models or MODELS:
        name, first = MODELS[command]
        runs = []
        for seed in range(first, first + arguments.seeds):
            folder = arguments.out / f"{name}-{seed}"
            train(command, seed, arguments.epochs, folder)
            runs.append((seed, history(folder / f"{name}_history.csv")))
        rows.append(row(command, runs))
    print("\n| model | epochs | test accuracy % | by seed (best epoch) | seconds a run |\n|---|---:|---:|---|---:|")
    print("\n".join(rows))
    return 0


def train(command: str, seed: int, epochs: int | None, folder: Path) -> None:
    """One run of the program, or what is left of it."""
    call = [str(project.program()), command, "--seed", str(seed), "--out", str(folder)]
    call += ["--checkpoint", str(folder / "checkpoint")]
    if epochs:
        call += ["--epochs", str(epochs)]
    subprocess.run(call, check=True)


def history(path: Path) -> list[dict[str, str]]:
    """The epochs of a run."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row(command: str, runs: list[tuple[int, list[dict[str, str]]]]) -> str:
    """A model's row of the table: last epochs, and the best ones beside them."""
    last = [float(epochs[-1]["test acc %"]) for _, epochs in runs]
    spread = f" ± {statistics.stdev(last):.2f}" if len(last) > 1 else ""
    seeds = []
    for (seed, epochs), accuracy in zip(runs, last):
        best = max(epochs, key=lambda epoch: float(epoch["test acc %"]))
        seeds.append(f"{seed}: {accuracy:.2f} ({best['test acc %']} in {best['epoch']})")
    seconds = statistics.mean(sum(float(epoch["seconds"]) for epoch in epochs) for _, epochs in runs)
    accuracy = f"{statistics.mean(last):.2f}{spread}"
    return f"| {command} | {len(runs[0][1])} | {accuracy} | {', '.join(seeds)} | {seconds:.0f} |"


if __name__ == "__main__":
    project.main(main)
