"""`make bench`: samples a second of the kit and of PyTorch, in turns on the same machine, as a table.

Training steps run on one batch that stays in memory (forward, loss, backward, Adam). The augmentation is lesson 4's:
the kit moves a whole batch, torchvision one PIL image after the other, as the lesson's source does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

import project

sys.path.insert(0, str(project.ROOT / "mnist_kit" / "tests" / "python"))
import oracle

# Model, batch size, steps in a round.
STEPS = [
    ("mlp", oracle.Mlp, 128, 300),
    ("lenet", oracle.LeNet, 128, 100),
    ("cnn", oracle.Cnn, 100, 30),
    ("deep_cnn", oracle.DeepCnn, 100, 30),
    ("resnet", oracle.ResNet, 64, 6),
]
WARM_UP = 3


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: %(default)s)")
    parser.add_argument("only", nargs="*", help="rows to run (default: all)")
    arguments = parser.parse_args()
    build = ["cargo", "bench", "--no-run", "--bench", "speed", "--message-format", "json"]
    messages = subprocess.run(build, cwd=project.ROOT, check=True, capture_output=True, text=True).stdout
    program = executable(messages)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; median of {arguments.rounds} turns\n")
    print("| samples a second | PyTorch | mnist_kit | ratio |\n|---|---:|---:|---:|", flush=True)
    for name, make, batch_size, steps in STEPS:
        if not arguments.only or name in arguments.only:
            row = f"{name}, training step, batch of {batch_size}"
            ours = [program, "train", name, str(batch_size), str(steps)]
            compare(row, ours, lambda: train(make, batch_size, steps), arguments.rounds)
    if not arguments.only or "augment" in arguments.only:
        compare("augmentation of lesson 4", [program, "augment", "1000", "20"], augment, arguments.rounds)
    return 0


def executable(messages: str) -> str:
    """The path of the benchmark that cargo has built."""
    import json

    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "speed":
            return message["executable"]
    raise SystemExit("cargo built no benchmark named speed")


def compare(row: str, ours: list[str], theirs, rounds: int) -> None:
    """Runs both sides in turns and prints a row of the table."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        rates[0].append(theirs())
        rates[1].append(float(subprocess.run(ours, check=True, capture_output=True, text=True).stdout))
    torch_rate, kit_rate = (statistics.median(side) for side in rates)
    print(f"| {row} | {torch_rate:,.0f} | {kit_rate:,.0f} | {kit_rate / torch_rate:.2f} |", flush=True)


def train(make, batch_size: int, steps: int) -> float:
    """PyTorch's training step."""
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
    """torchvision's pipeline, image by image."""
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
    return len(images) / median_seconds(lambda: torch.stack([pipeline(image) for image in images]), 5)


def median_seconds(step, rounds: int) -> float:
    """The median time of a call, after some that are not measured."""
    seconds = []
    for _ in range(WARM_UP + rounds):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


if __name__ == "__main__":
    project.main(main)
