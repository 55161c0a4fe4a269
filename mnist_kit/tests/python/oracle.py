"""PyTorch's side of the parity tests: reads and writes safetensors files in a folder."""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Mlp(nn.Module):
    def __init__(self, hidden=100):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images.flatten(1))


def logits_of_rust_weights(folder):
    """Loads the weights that Rust trained and answers with PyTorch's logits."""
    model = Mlp()
    model.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    images = load_file(folder / "images.safetensors")["images"]
    with torch.no_grad():
        save_file({"logits": model(images)}, folder / "logits.safetensors")


def weights_for_rust(folder):
    """Writes PyTorch's weights, images and logits for Rust to read."""
    torch.manual_seed(1)
    model = Mlp()
    images = torch.rand(32, 1, 28, 28)
    save_file(model.state_dict(), folder / "weights.safetensors")
    with torch.no_grad():
        save_file({"images": images, "logits": model(images)}, folder / "answer.safetensors")


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adam_l2": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.99), weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2),
}


def optimizers(folder):
    """Trains the same model on the same batch for 20 steps with each optimiser."""
    torch.manual_seed(2)
    start = Mlp(16).state_dict()
    images, labels = torch.rand(64, 1, 28, 28), torch.randint(0, 10, (64,))
    save_file(start, folder / "weights.safetensors")
    save_file({"images": images, "labels": labels}, folder / "batch.safetensors")
    for name, make in OPTIMIZERS.items():
        model = Mlp(16)
        model.load_state_dict(start)
        optimizer = make(model.parameters())
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        save_file(model.state_dict(), folder / f"{name}.safetensors")


def initialisation(folder):
    """Writes a freshly made model."""
    torch.manual_seed(3)
    save_file(Mlp().state_dict(), folder / "mlp.safetensors")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
