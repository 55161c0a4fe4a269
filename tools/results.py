"""`make results`: trains the models of lessons 1 to 3 with three seeds each and prints a table.

A run writes a checkpoint and its record after each epoch. Repeating the command continues
interrupted runs. The records of whole runs belong to the lessons: notebooks/records/.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path

import project

RECORDS = project.ROOT / "notebooks" / "records"
# Name of the records → arguments of the program, seed of the lesson.
MODELS = {
    "mlp": (["mlp"], 42),
    "lenet": (["lenet"], 42),
    "cnn": (["cnn"], 777),
    "deep_cnn": (["deep-cnn"], 777),
    "resnet": (["resnet"], 42),
    # Three epochs, which take an hour on two cores.
    "resnet_one_cycle": (["resnet", "--schedule", "one-cycle", "--epochs", "3"], 42),
    # As lesson 4 trains it in its mode "small".
    "resnet_small": (
        ["resnet", "--width", "16", "--schedule", "one-cycle", "--lr", "3e-3", "--epochs", "5"],
        42,
    ),
    # Lesson 5 loads the records of both. They need MNIST_KIT_WEIGHTS or internet access.
    "transfer_resnet18": (["transfer", "--views", "1", "--head-epochs", "15"], 42),
    "transfer_mobilenet_v2": (
        ["transfer", "--backbone", "mobilenet-v2", "--views", "1", "--head-epochs", "15"],
        42,
    ),
}
# Commands that train several seeds themselves: `mnist best --records notebooks/records`.
OF_SEVERAL_SEEDS = ("best", "small")
# The full residual networks take hours.
DEFAULT = ["mlp", "lenet", "cnn", "deep_cnn"]
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
    add("--epochs", type=int, help="epochs of each run (default: as in the lesson); keeps records in --out")
    add("--out", type=Path, default=project.ROOT / "out" / "results", help="folder for the runs")
    add("models", nargs="*", choices=MODELS, help=f"models to train (default: {' '.join(DEFAULT)})")
    arguments = parser.parse_args()
    build = ["cargo", "build", "--release", "--locked", "-p", "mnist_kit_cli"]
    subprocess.run(build, cwd=project.ROOT, check=True)
    rows = []
    records = arguments.out if arguments.epochs else RECORDS
    for name in arguments.models or DEFAULT:
        _, first = MODELS[name]
        runs = []
        for seed in range(first, first + arguments.seeds):
            record = records / f"{name}_{seed}.json"
            train(name, seed, arguments.epochs, arguments.out / f"{name}-{seed}", record)
            runs.append(json.loads(record.read_text(encoding="utf-8")))
        rows.append(row(name, runs))
    print(HEADER)
    print("\n".join(rows))
    return 0


def train(name: str, seed: int, epochs: int | None, folder: Path, record: Path) -> None:
    """Trains a model, continuing from its checkpoint if there is one."""
    arguments, _ = MODELS[name]
    call = [str(project.program()), *arguments, "--seed", str(seed), "--out", str(folder)]
    call += ["--checkpoint", str(folder / "checkpoint"), "--record", str(record)]
    if epochs:
        call += ["--epochs", str(epochs)]
    subprocess.run(call, check=True)


def row(name: str, runs: list[dict]) -> str:
    """Formats a row: the accuracy after the last epoch, and the highest one for comparison.

    Only the last epoch is a result. The highest accuracy is chosen by looking at the test images.
    """
    histories = [run["history"]["epochs"] for run in runs]
    last = [percent(epochs[-1]) for epochs in histories]
    spread = f" ± {statistics.stdev(last):.2f}" if len(last) > 1 else ""
    seeds = []
    for run, epochs, accuracy in zip(runs, histories, last):
        best = max(epochs, key=percent)
        seeds.append(f"{run['seed']}: {accuracy:.2f} ({percent(best):.2f} in {best['epoch']})")
    seconds = statistics.mean(sum(epoch["seconds"] for epoch in epochs) for epochs in histories)
    accuracy = f"{statistics.mean(last):.2f}{spread} %"
    return f"| {name} | {len(histories[0])} | {accuracy} | {', '.join(seeds)} | {seconds:.0f} |"


def percent(epoch: dict) -> float:
    """Returns the test accuracy of an epoch, in percent.

    Transfer learning measures validation only after each epoch; the test accuracy is in its log.
    """
    test = epoch["test_accuracy"]
    return 100 * (epoch["val_accuracy"] if test is None else test)


if __name__ == "__main__":
    project.main(main)
