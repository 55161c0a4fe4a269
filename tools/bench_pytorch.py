"""PyTorch's sides of `make bench`: trains as a lesson does, one round for each line on stdin.

`bench_pytorch.py ROW SIDE IMAGES` answers each line with the seconds and the number of samples of a
round, as JSON; the first answer, before any line, has the floating-point operations of a round.
The sides:

source    the pipeline of the lesson's source, as written there: a DataLoader over single pictures,
          torchvision's transforms, the statistics that its loop collects
eager     the fastest loop that PyTorch offers without compilation: the whole data set in memory as
          one float32 tensor, channels-last, fused optimizer, denormal numbers flushed to zero, the
          same statistics without waiting for them
compiled  the same with the model under `torch.compile`
matmul    products of two matrices of 2048 x 2048 float32 values; ROW and IMAGES are ignored
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

import project

sys.path.insert(0, str(project.ROOT / "mnist_kit" / "tests" / "python"))
import oracle

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Epochs of the head in lesson 5's first phase.
HEAD_EPOCHS = 15


def main() -> None:
    """Runs a round for each line on stdin."""
    row, side, images = sys.argv[1:]
    torch.manual_seed(1)
    if side != "source":
        # Before the first parallel operation, so that all threads inherit it.
        torch.set_flush_denormal(True)
    if side == "matmul":
        run, operations = matmul()
    elif side == "source":
        run, operations = SOURCES[row](int(images)), None
    else:
        run, operations = FAST[row](int(images), side == "compiled")
    print(json.dumps({"flops": operations}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        samples = run()
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "samples": samples}), flush=True)


def matmul():
    """Returns a round of matrix products, and the operations of one."""
    size, count = 2048, 10
    a, b = torch.rand(size, size), torch.rand(size, size)

    def run() -> int:
        for _ in range(count):
            a @ b
        return count

    return run, 2 * size**3


# --- data ------------------------------------------------------------------------------------


def read(name: str) -> bytes:
    """Reads one of MNIST's files, gzipped or not."""
    folder = Path(os.environ["MNIST_KIT_DATA"])
    plain = folder / name
    return plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())


def pixels(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the first training images, [N, 28, 28] uint8, and labels, [N] int64."""
    images = torch.frombuffer(bytearray(read(TRAIN_IMAGES)[16:]), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(read(TRAIN_LABELS)[8:]), dtype=torch.uint8)
    return images.view(-1, 28, 28)[:count].clone(), labels[:count].long()


def mnist(count: int, transform) -> Dataset:
    """Returns the first images of torchvision's MNIST, as the sources of lessons 2 to 5 load it."""
    import atexit

    from torchvision import datasets

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in (TRAIN_IMAGES, TRAIN_LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (raw / name).write_bytes(read(name))
    return Subset(datasets.MNIST(root=folder, train=True, transform=transform), range(count))


class Pictures(Dataset):
    """A stand-in for lesson 1's `datasets.load_dataset("mnist")` with a transform.

    As there, a batch's PNG files come out of an Arrow table and each is decoded on its own.
    """

    def __init__(self, count: int, transform):
        import pyarrow
        from PIL import Image

        images, labels = pixels(count)
        files = []
        for image in images.numpy():
            file = io.BytesIO()
            Image.fromarray(image).save(file, "png")
            files.append(file.getvalue())
        self.table = pyarrow.table({"image": files, "label": labels.numpy()})
        self.transform = transform
        self.open = Image.open

    def __len__(self) -> int:
        return len(self.table)

    def __getitems__(self, indices: list[int]) -> list[dict]:
        rows = self.table.take(indices)
        decoded = [self.open(io.BytesIO(file)) for file in rows["image"].to_pylist()]
        images = torch.stack([self.transform(image).view(-1) for image in decoded])
        labels = torch.tensor(rows["label"].to_pylist())
        return [{"image": image, "label": label} for image, label in zip(images, labels)]


# --- the sources' pipelines --------------------------------------------------------------------


def source_mlp(count: int):
    from torchvision import transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    loader = DataLoader(Pictures(count, transform), batch_size=128, shuffle=True)
    model, criterion = oracle.Mlp(), nn.CrossEntropyLoss()

    def run() -> int:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        running_loss, correct, total = 0.0, 0, 0
        for batch in loader:
            images, labels = batch["image"], batch["label"]
            optimizer.zero_grad()
            outputs = model(images)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
        return total

    return run


def source_lenet(count: int):
    from torchvision import transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0, 1)])
    loader = DataLoader(mnist(count, transform), batch_size=128, shuffle=True)
    model, criterion = oracle.LeNet(), nn.CrossEntropyLoss()

    def run() -> int:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        loss_sum, correct = 0, 0
        for images, labels in loader:
            optimizer.zero_grad()
            outputs = model(images)
            _, predicted = torch.max(outputs.data, 1)
            correct += (predicted == labels).sum().item()
            loss = criterion(outputs, labels)
            loss_sum += loss.item()
            loss.backward()
            optimizer.step()
        return count

    return run


def source_cnn(make, count: int):
    from torchvision import transforms

    loader = DataLoader(mnist(count, transforms.ToTensor()), batch_size=100, shuffle=True, drop_last=True)
    model, criterion = make(), nn.CrossEntropyLoss()

    def run() -> int:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        cost_sum = 0
        for images, labels in loader:
            optimizer.zero_grad()
            cost = criterion(model(images), labels)
            cost.backward()
            optimizer.step()
            cost_sum += cost / len(loader)
        return len(loader) * 100

    return run


def source_augmentation():
    """Lesson 4's transform of a picture."""
    from torchvision import transforms

    return transforms.Compose([
        transforms.RandomRotation(10),
        transforms.RandomAffine(0, shear=10, scale=(0.8, 1.2)),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
    ])


def source_resnet(count: int):
    loader = DataLoader(mnist(count, source_augmentation()), batch_size=64, shuffle=True)
    model, criterion = oracle.ResNet().train(), nn.CrossEntropyLoss()

    def run() -> int:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for index, (images, labels) in enumerate(loader):
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            if index % 100 == 0:
                loss.item()
        return count

    return run


def source_augment(count: int):
    from PIL import Image

    transform = source_augmentation()
    images = [Image.fromarray(image) for image in pixels(count)[0].numpy()]

    def run() -> int:
        torch.stack([transform(image) for image in images])
        return count

    return run


def source_transfer(count: int, trained: tuple[str, ...]):
    """An epoch of lesson 5, in which only the parameters under these names are trained.

    The source is a report without code. The transforms are those that it describes, in the order in
    which it describes them: pictures are augmented at 28 x 28 pixels and then scaled.
    """
    from torchvision import transforms

    transform = transforms.Compose([
        transforms.RandomRotation(15),
        transforms.RandomAffine(0, translate=(0.1, 0.1)),
        transforms.Grayscale(3),
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
        transforms.Normalize(*IMAGENET),
    ])
    loader = DataLoader(mnist(count, transform), batch_size=128, shuffle=True, drop_last=True)
    model, groups = transfer_model(trained)
    criterion = nn.CrossEntropyLoss()

    def run() -> int:
        optimizer = torch.optim.AdamW(groups)
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            loss.item()
        return len(loader) * 128

    return run


def transfer_model(trained: tuple[str, ...]):
    """ResNet18 with ten classes, and the groups of an optimizer. Weights are random: speed is the same."""
    from torchvision.models import resnet18

    model = resnet18(num_classes=10)
    groups = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(trained)
        if parameter.requires_grad:
            rate = 1e-3 if name.startswith("fc") else 1e-5
            groups.append({"params": [parameter], "lr": rate})
    return model, groups


SOURCES = {
    "mlp": source_mlp,
    "lenet": source_lenet,
    "cnn": functools.partial(source_cnn, oracle.Cnn),
    "deep_cnn": functools.partial(source_cnn, oracle.DeepCnn),
    "resnet": source_resnet,
    "augment": source_augment,
    "features": lambda count: source_transfer(count, ("fc",)),
    # Every epoch of the source runs the whole network, so one is measured for all.
    "phase1": lambda count: source_transfer(count, ("fc",)),
    "phase2": lambda count: source_transfer(count, ("layer4", "fc")),
}


# --- the fastest PyTorch -----------------------------------------------------------------------


def resident(count: int, mean: float, std: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns normalized images [N, 28, 28, 1] float32 and labels."""
    images, labels = pixels(count)
    return images.float().div_(255).sub_(mean).div_(std).unsqueeze(-1), labels


def channels_first(images: torch.Tensor) -> torch.Tensor:
    """Views images [B, 28, 28, 1] as [B, 1, 28, 28], channels-last in memory."""
    return images.permute(0, 3, 1, 2)


def fast_training(count, compiled, make, batch_size, optimizer_of, mean=0.0, std=1.0, loss=True, accuracy=True):
    """A loop over a resident data set. Collects the statistics that the lesson's source collects."""
    images, labels = resident(count, mean, std)
    model = make().train().to(memory_format=torch.channels_last)
    forward = torch.compile(model) if compiled else model

    def run() -> int:
        optimizer = optimizer_of(model.parameters())
        loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for index in torch.randperm(count).split(batch_size):
            x, y = channels_first(images.index_select(0, index)), labels.index_select(0, index)
            outputs = forward(x)
            value = nn.functional.cross_entropy(outputs, y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if loss:
                loss_sum += value.detach()
            if accuracy:
                correct += (outputs.detach().argmax(1) == y).sum()
        loss_sum.item(), correct.item()
        return count

    batch = channels_first(images[:batch_size])
    return run, count / batch_size * step_operations(model, batch, labels[:batch_size])


def step_operations(model, images, labels) -> float:
    """Counts the floating-point operations of products and convolutions in a training step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(model(images), labels).backward()
    return counter.get_total_flops()


def augmented(images: torch.Tensor) -> torch.Tensor:
    """Lesson 4's augmentation of a batch [B, 28, 28, 1] float32, in one movement."""
    return moved(images, degrees=10, shear=10, scale=(0.8, 1.2))


def moved(images, degrees, shear=0.0, scale=(1.0, 1.0), shift=0.0):
    """Rotates, shears, scales and shifts each image of a batch at random."""
    count = len(images)

    def uniform(low, high):
        return torch.empty(count).uniform_(low, high)

    angle, lean = torch.deg2rad(uniform(-degrees, degrees)), torch.deg2rad(uniform(-shear, shear))
    factor = uniform(*scale)
    cos, sin, tan = angle.cos(), angle.sin(), lean.tan()
    x, y = uniform(-2 * shift, 2 * shift), uniform(-2 * shift, 2 * shift)
    rows = [cos, cos * tan - sin, x, sin, sin * tan + cos, y]
    matrices = torch.stack(rows, 1).view(-1, 2, 3)
    matrices[:, :, :2] /= factor.view(-1, 1, 1)
    batch = channels_first(images)
    grid = nn.functional.affine_grid(matrices, list(batch.shape), align_corners=False)
    return nn.functional.grid_sample(batch, grid, mode="nearest", align_corners=False)


def fast_resnet(count: int, compiled: bool):
    images, labels = resident(count, 0.0, 1.0)
    model = oracle.ResNet().train().to(memory_format=torch.channels_last)
    forward = torch.compile(model) if compiled else model

    def batch_of(index):
        x = augmented(images.index_select(0, index)).sub_(0.5).div_(0.5)
        return channels_first(x.view(-1, 28, 28, 1))

    def run() -> int:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        for step, index in enumerate(torch.randperm(count).split(64)):
            value = nn.functional.cross_entropy(forward(batch_of(index)), labels.index_select(0, index))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if step % 100 == 0:
                value.item()
        return count

    first = torch.arange(64)
    return run, count / 64 * step_operations(model, batch_of(first), labels[:64])


def fast_augment(count: int, compiled: bool):
    images, _ = pixels(count)
    images = images.unsqueeze(-1)

    def transform():
        return augmented(images.float().div_(255)).sub_(0.5).div_(0.5)

    transform = torch.compile(transform) if compiled else transform

    def run() -> int:
        transform()
        return count

    return run, None


def photographs(images: torch.Tensor) -> torch.Tensor:
    """Lesson 5's training images: augmented at 28 x 28 pixels, scaled to 224, three channels."""
    small = moved(images, degrees=15, shift=0.1)
    large = nn.functional.interpolate(small, size=(224, 224), mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)
    return ((large - mean) / std).contiguous(memory_format=torch.channels_last)


def frozen_and_trained(model):
    """Splits ResNet18 into its part up to `layer3`, and `layer4` with the pooling."""
    lower = nn.Sequential(
        model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2, model.layer3
    )
    return lower.eval(), nn.Sequential(model.layer4, model.avgpool, nn.Flatten())


def fast_features(count: int, compiled: bool, epochs: int):
    """The features of the frozen network, computed once, and the head trained on them."""
    images, labels = resident(count, 0.0, 1.0)
    model, groups = transfer_model(("fc",))
    model = model.to(memory_format=torch.channels_last).eval()
    body = nn.Sequential(*frozen_and_trained(model)).eval()
    forward = torch.compile(body) if compiled else body

    def run() -> int:
        with torch.no_grad():
            kept = torch.cat([forward(photographs(part)) for part in images.split(128)])
        optimizer = torch.optim.AdamW(groups, fused=True)
        for _ in range(epochs):
            for index in torch.randperm(count).split(128):
                outputs = model.fc(kept.index_select(0, index))
                value = nn.functional.cross_entropy(outputs, labels.index_select(0, index))
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
        return count * max(epochs, 1)

    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        body(photographs(images[:8]))
    return run, count / 8 * counter.get_total_flops()


def fast_phase2(count: int, compiled: bool):
    images, labels = resident(count, 0.0, 1.0)
    model, groups = transfer_model(("layer4", "fc"))
    lower, upper = frozen_and_trained(model.to(memory_format=torch.channels_last))
    upper.train()
    low, up = (torch.compile(part) if compiled else part for part in (lower, upper))
    steps = count // 128

    def step(index, low=low, up=up):
        with torch.no_grad():
            activations = low(photographs(images.index_select(0, index)))
        outputs = model.fc(up(activations))
        value = nn.functional.cross_entropy(outputs, labels.index_select(0, index))
        value.backward()
        return value

    def run() -> int:
        optimizer = torch.optim.AdamW(groups, fused=True)
        loss_sum = torch.zeros(())
        for index in torch.randperm(count).split(128)[:steps]:
            optimizer.zero_grad()
            loss_sum += step(index).detach()
            optimizer.step()
        loss_sum.item()
        return steps * 128

    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step(torch.arange(8), lower, upper)
    return run, steps * 128 / 8 * counter.get_total_flops()


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, fused=True)


FAST = {
    "mlp": lambda *a: fast_training(*a, oracle.Mlp, 128, adam, 0.1307, 0.3081),
    "lenet": lambda *a: fast_training(*a, oracle.LeNet, 128, momentum),
    "cnn": lambda *a: fast_training(*a, oracle.Cnn, 100, adam, accuracy=False),
    "deep_cnn": lambda *a: fast_training(*a, oracle.DeepCnn, 100, adam, accuracy=False),
    "resnet": fast_resnet,
    "augment": fast_augment,
    "features": lambda *a: fast_features(*a, 0),
    "phase1": lambda *a: fast_features(*a, HEAD_EPOCHS),
    "phase2": fast_phase2,
}


if __name__ == "__main__":
    main()
