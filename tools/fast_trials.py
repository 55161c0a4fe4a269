"""The trials by which the recipe of `mnist fast` was chosen, in plain PyTorch.

Each trial trains for one epoch on 50,000 of the training images and measures on the other 10,000;
the test images are not read. Prints the mean accuracy over the seeds with its standard deviation,
and the median processor time of the training on one thread.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from pathlib import Path

import torch
from fast_pytorch import load
from torch import nn

# Name → what differs from the first trial: sizes of the network, settings of the training.
TRIALS: dict[str, tuple[dict, dict]] = {
    "8 and 24 channels, kernels of 5, whole image": ({}, {}),
    "batches of 256, peak 0.015": ({}, {"batch_size": 256, "lr": 1.5e-2}),
    "batches of 512, peak 0.02": ({}, {"batch_size": 512, "lr": 2e-2}),
    "peak 0.015": ({}, {"lr": 1.5e-2}),
    "a tenth rising": ({}, {"warm_up": 0.1}),
    "no label smoothing": ({}, {"smoothing": 0.0}),
    "weight decay 0.1": ({}, {"weight_decay": 0.1}),
    "pixels normalized": ({}, {"mean": 0.1307, "std": 0.3081}),
    "second beta 0.98": ({}, {"beta2": 0.98}),
    "second beta 0.98, batches of 192, peak 0.012": ({}, {"beta2": 0.98, "batch_size": 192, "lr": 1.2e-2}),
    "first convolution with stride 2, no pool; batches of 256, peak 0.015": (
        {"stride": 2, "pool1": 1},
        {"batch_size": 256, "lr": 1.5e-2},
    ),
    "the same with 16 and 24 channels": (
        {"stride": 2, "pool1": 1, "channels": (16, 24)},
        {"batch_size": 256, "lr": 1.5e-2},
    ),
    "crop, 8 and 24 channels; batches of 256, peak 0.015": ({"crop": 2}, {"batch_size": 256, "lr": 1.5e-2}),
    "crop, 8 and 32 channels": ({"crop": 2, "channels": (8, 32)}, {}),
    "crop, second kernel 3, 32 channels (mnist fast with beta 0.999)": (
        {"crop": 2, "channels": (8, 32), "kernel2": 3},
        {},
    ),
    "crop, second kernel 3, 32 channels, second beta 0.98 (mnist fast)": (
        {"crop": 2, "channels": (8, 32), "kernel2": 3},
        {"beta2": 0.98},
    ),
    "mnist fast with 24 channels": ({"crop": 2, "channels": (8, 24), "kernel2": 3}, {"beta2": 0.98}),
    "mnist fast with 48 channels": ({"crop": 2, "channels": (8, 48), "kernel2": 3}, {"beta2": 0.98}),
    "mnist fast with 16 and 32 channels": (
        {"crop": 2, "channels": (16, 32), "kernel2": 3},
        {"beta2": 0.98},
    ),
    "mnist fast with 64 hidden neurons": (
        {"crop": 2, "channels": (8, 32), "kernel2": 3, "hidden": 64},
        {"beta2": 0.98},
    ),
    "mnist fast with a crop to 22 pixels": (
        {"crop": 3, "channels": (8, 32), "kernel2": 3},
        {"beta2": 0.98},
    ),
    "mnist fast with batches of 192, peak 0.012": (
        {"crop": 2, "channels": (8, 32), "kernel2": 3},
        {"beta2": 0.98, "batch_size": 192, "lr": 1.2e-2},
    ),
    "mnist fast with nine tenths of an epoch": (
        {"crop": 2, "channels": (8, 32), "kernel2": 3},
        {"beta2": 0.98, "epochs": 0.9},
    ),
}


def main() -> None:
    """Parses the command line and prints a row for each trial."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("only", nargs="*", help="words in the names of the trials to run (default: all)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parts = halves(*load(Path(os.environ["MNIST_KIT_DATA"]), "train"))
    print("| trial | parameters | validation accuracy | processor time, s |\n|---|---:|---:|---:|")
    for name, (sizes, settings) in TRIALS.items():
        if all(word in name for word in arguments.only):
            runs = [run(parts, seed, sizes, settings) for seed in range(arguments.seeds)]
            accuracies, seconds = [run[0] for run in runs], [run[1] for run in runs]
            spread = f" ± {statistics.stdev(accuracies):.2f}" if len(runs) > 1 else ""
            accuracy = f"{statistics.mean(accuracies):.2f}{spread} %"
            print(f"| {name} | {count(sizes):,} | {accuracy} | {statistics.median(seconds):.1f} |", flush=True)


def halves(images: torch.Tensor, labels: torch.Tensor):
    """Splits the training images: 1,000 of each digit to measure on, the others to train on."""
    generator = torch.Generator().manual_seed(1)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for digit in range(10):
        places = (labels == digit).nonzero()[:, 0]
        held_out[places[torch.randperm(len(places), generator=generator)[:1000]]] = True
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def network(crop=0, stride=1, pool1=2, channels=(8, 24), kernel2=5, hidden=128) -> nn.Module:
    """Makes a network of two convolutions, each with pool, BatchNorm and ReLU, and two linear layers."""
    side = (28 - 2 * crop - 5) // stride + 1
    side = (side // pool1 - kernel2 + 1) // 2
    first, second = channels
    return nn.Sequential(
        nn.ZeroPad2d(-crop),
        nn.Conv2d(1, first, 5, stride, bias=False),
        nn.MaxPool2d(pool1),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.Conv2d(first, second, kernel2, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * side * side, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def count(sizes: dict) -> int:
    """Counts the parameters of a network."""
    return sum(parameter.numel() for parameter in network(**sizes).parameters())


def run(parts, seed: int, sizes: dict, settings: dict) -> tuple[float, float]:
    """Trains once; returns the validation accuracy in percent and the processor time in seconds."""
    defaults = dict(batch_size=128, lr=1e-2, warm_up=0.25, smoothing=0.05, weight_decay=0.02)
    chosen = {**defaults, "beta2": 0.999, "mean": 0.0, "std": 1.0, "epochs": 1.0, **settings}
    (images, labels), (held_images, held_labels) = parts
    torch.manual_seed(seed)
    model = network(**sizes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=chosen["lr"],
        betas=(0.9, chosen["beta2"]),
        weight_decay=chosen["weight_decay"],
        fused=True,
    )
    steps = math.ceil(chosen["epochs"] * len(images) / chosen["batch_size"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, chosen["lr"], total_steps=steps, pct_start=chosen["warm_up"], cycle_momentum=False
    )

    def batch_of(part: torch.Tensor) -> torch.Tensor:
        pixels = (part.float() / 255 - chosen["mean"]) / chosen["std"]
        return pixels.contiguous(memory_format=torch.channels_last)

    started = time.process_time()
    for places in torch.randperm(len(images)).split(chosen["batch_size"])[:steps]:
        logits = model(batch_of(images[places]))
        loss = nn.functional.cross_entropy(logits, labels[places], label_smoothing=chosen["smoothing"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    seconds = time.process_time() - started
    with torch.no_grad():
        logits = torch.cat([model.eval()(batch_of(part)) for part in held_images.split(1000)])
    return 100 * (logits.argmax(1) == held_labels).double().mean().item(), seconds


if __name__ == "__main__":
    main()
