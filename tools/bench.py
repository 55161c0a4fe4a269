"""`make bench`: compares the samples per second of mnist_kit and PyTorch, and prints a table.

The two take turns on the same machine. A training step (forward, loss, backward, Adam) runs on one
batch that stays in memory. The augmentation is that of lesson 4: the kit transforms a whole batch,
torchvision one PIL image at a time, as usual with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

import project

sys.path.insert(0, str(project.ROOT / "mnist_kit" / "tests" / "python"))
import oracle

# Name of the model in benches/speed.rs, model in PyTorch, batch size, training steps per round.
STEPS = [
    ("mlp", oracle.Mlp, 128, 300),
    ("lenet", oracle.LeNet, 128, 100),
    ("cnn", oracle.Cnn, 100, 30),
    ("deep_cnn", oracle.DeepCnn, 100, 30),
    ("resnet", oracle.ResNet, 64, 6),
]
WARM_UP = 3


def main() -> int:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds of each program (default: %(default)s)"
    )
    parser.add_argument("only", nargs="*", help="rows to measure, by name (default: all)")
    arguments = parser.parse_args()
    build = ["cargo", "bench", "--locked", "-p", "mnist_kit", "--no-run", "--bench", "speed"]
    # cargo's progress goes to stderr, where the user sees it.
    built = subprocess.run(
        [*build, "--message-format", "json"],
        cwd=project.ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    program = executable(built.stdout)
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads; median of {arguments.rounds} rounds\n")
    print("| samples per second | PyTorch | mnist_kit | ratio |\n|---|---:|---:|---:|", flush=True)
    for name, make, batch_size, steps in STEPS:
        if not arguments.only or name in arguments.only:
            row = f"{name}, training step, batch of {batch_size}"
            ours = [program, "train", name, str(batch_size), str(steps)]
            compare(row, ours, lambda: train(make, batch_size, steps), arguments.rounds)
    if not arguments.only or "augment" in arguments.only:
        ours = [program, "augment", "1000", "20"]
        compare("augmentation of lesson 4", ours, augment, arguments.rounds)
    return 0


def executable(messages: str) -> str:
    """Finds the path of the benchmark in cargo's messages."""
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "speed":
            return message["executable"]
    raise project.Problem("cargo has built no benchmark named speed: see mnist_kit/Cargo.toml")


def compare(row: str, ours: list[str], theirs, rounds: int) -> None:
    """Runs both programs in turns and prints a row of the table."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        rates[0].append(theirs())
        answer = subprocess.run(ours, check=True, capture_output=True, text=True).stdout
        rates[1].append(float(answer))
    torch_rate, kit_rate = (statistics.median(rate) for rate in rates)
    ratio = kit_rate / torch_rate
    print(f"| {row} | {torch_rate:,.0f} | {kit_rate:,.0f} | {ratio:.2f} |", flush=True)


def train(make, batch_size: int, steps: int) -> float:
    """Measures PyTorch's training step, in samples per second."""
    torch.manual_seed(1)
    model = make().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, labels = torch.rand(batch_size, 1, 28, 28), torch.arange(batch_size) % 10

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return batch_size / median_seconds(step, steps)


def augment() -> float:
    """Measures torchvision's augmentation, image by image, in samples per second."""
    from PIL import Image
    from torchvision import transforms

    pipeline = transforms.Compose([
        transforms.RandomRotation(10),
        transforms.RandomAffine(0, shear=10, scale=(0.8, 1.2)),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
    ])
    pixels = torch.randint(0, 256, (1000, 28, 28), dtype=torch.uint8).numpy()
    images = [Image.fromarray(image) for image in pixels]

    def run() -> None:
        torch.stack([pipeline(image) for image in images])

    return len(images) / median_seconds(run, 5)


def median_seconds(step, rounds: int) -> float:
    """Measures the median time of a call, after a few calls to warm up."""
    seconds = []
    for _ in range(WARM_UP + rounds):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


if __name__ == "__main__":
    project.main(main)
