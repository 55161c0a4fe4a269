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


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


def stage(in_channels, out_channels, padding=0):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, padding=padding)
    )


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1, self.layer2 = stage(1, 32), stage(32, 64)
        self.fc = nn.Linear(3136, 10)
        nn.init.xavier_uniform_(self.fc.weight)

    def forward(self, x):
        return self.fc(self.layer2(self.layer1(x)).flatten(1))


class DeepCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1, self.layer2, self.layer3 = stage(1, 32), stage(32, 64), stage(64, 128, padding=1)
        self.fc1 = nn.Linear(2048, 625)
        nn.init.xavier_uniform_(self.fc1.weight)
        self.fc2 = nn.Linear(625, 10)
        nn.init.xavier_uniform_(self.fc2.weight)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(x))).flatten(1)
        return self.fc2(nn.functional.dropout(self.fc1(x).relu(), 0.5, self.training))


class FastCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 5, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 32, 3, bias=False), nn.BatchNorm2d(32)
        self.fc1, self.fc2 = nn.Linear(512, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = self.bn1(nn.functional.max_pool2d(self.conv1(x), 2)).relu()
        x = self.bn2(nn.functional.max_pool2d(self.conv2(x), 2)).relu().flatten(1)
        return self.fc2(self.fc1(x).relu())


class StagedCnn(nn.Module):
    """Stages of two, two and one convolutions with 6, 7, 8, 9 and 10 channels."""

    def __init__(self):
        super().__init__()
        widths = iter([1, 6, 7, 8, 9, 10])
        inputs = next(widths)
        self.stages = nn.ModuleList()
        for convolutions in (2, 2, 1):
            self.stages.append(nn.ModuleList())
            for _ in range(convolutions):
                width = next(widths)
                conv = nn.Conv2d(inputs, width, 3, bias=False)
                self.stages[-1].append(nn.ModuleDict({"conv": conv, "bn": nn.BatchNorm2d(width)}))
                inputs = width
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        for i, stage in enumerate(self.stages):
            x = nn.functional.max_pool2d(x, 2) if i else x
            for layer in stage:
                x = layer["bn"](layer["conv"](x)).relu()
        return self.fc(x.mean((2, 3)))


class Block(nn.Module):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.downsample = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(out_channels))
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (out + self.downsample(x)).relu()


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        widths = [64, 64, 128, 256, 512]
        for i in range(4):
            first = Block(widths[i], widths[i + 1], 1 if i == 0 else 2)
            setattr(self, f"layer{i + 1}", nn.Sequential(first, Block(widths[i + 1], widths[i + 1], 1)))
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def models(folder):
    """For each model: fresh weights, logits, and loss, gradients and buffers of one training step."""
    for make in (LeNet, Cnn, DeepCnn, FastCnn, StagedCnn, ResNet):
        torch.manual_seed(4)
        model = make()
        save_file(model.state_dict(), folder / f"{make.__name__}.safetensors")
        torch.manual_seed(5)
        size = 24 if make is FastCnn else 28
        images, labels = torch.randn(8, 1, size, size), torch.arange(8)
        with torch.no_grad():
            answer = {"images": images, "labels": labels, "logits": model.eval()(images)}
        torch.manual_seed(6)
        answer["loss"] = nn.functional.cross_entropy(model.train()(images), labels)
        answer["loss"].backward()
        answer |= {f"grad.{name}": p.grad for name, p in model.named_parameters()}
        answer |= {f"buffer.{name}": b for name, b in model.named_buffers() if "running" in name}
        save_file({k: v.detach() for k, v in answer.items()}, folder / f"{make.__name__}.answer.safetensors")


def affine(folder):
    """Moves the same images by the same amounts, with both interpolations."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import affine as move

    given = load_file(folder / "given.safetensors")
    answer = {}
    for name in ("nearest", "bilinear"):
        moved = [
            move(image, angle, [round(x), round(y)], scale, [shear_x, shear_y], InterpolationMode(name))
            for image, (angle, x, y, scale, shear_x, shear_y) in zip(given["images"], given["movements"].tolist())
        ]
        answer[name] = torch.stack(moved)
    save_file(answer, folder / "moved.safetensors")


def resize(folder):
    """Scales and crops the same images as torchvision does with tensors, scaled ones smoothed."""
    from torchvision.transforms.functional import center_crop, resize as scale

    images = load_file(folder / "given.safetensors")["images"]
    answer = {str(side): scale(images, [side, side], antialias=True) for side in (14, 64, 224)}
    answer |= {f"crop {side}": center_crop(images, side).contiguous() for side in (1, 23, 24, 25)}
    save_file(answer, folder / "resized.safetensors")


def logits_of_rust_weights(folder):
    """Loads the weights that Rust trained and answers with PyTorch's logits."""
    images = load_file(folder / "images.safetensors")["images"]
    answer = {}
    for make in (Mlp, ResNet):
        model = make().eval()
        model.load_state_dict(load_file(folder / f"{make.__name__}.safetensors"), strict=True)
        with torch.no_grad():
            answer[make.__name__] = model(images)
    save_file(answer, folder / "logits.safetensors")


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
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "momentum_l2": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
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


def schedules(folder):
    """The learning rate of each of 12 epochs of 5 batches, and the losses that the last schedule follows."""
    from torch.optim import lr_scheduler

    losses = [1.0, 0.8, 0.81, 0.8, 0.79995, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76]
    make = {
        "step": lambda o: lr_scheduler.StepLR(o, 3, 0.5),
        "cosine_by_epoch": lambda o: lr_scheduler.CosineAnnealingLR(o, 12),
        "cosine_by_batch": lambda o: lr_scheduler.CosineAnnealingLR(o, 60),
        "one_cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=False),
        "reduce_on_plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.2, patience=1),
    }
    answer = {"losses": torch.tensor(losses, dtype=torch.float64)}
    for name, schedule in make.items():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        schedule = schedule(optimizer)
        rates = []
        for loss in losses:
            for _ in range(5):
                rates.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                if name in ("cosine_by_batch", "one_cycle"):
                    schedule.step()
            if name == "reduce_on_plateau":
                schedule.step(loss)
            elif name in ("step", "cosine_by_epoch"):
                schedule.step()
        answer[name] = torch.tensor(rates, dtype=torch.float64)
    save_file(answer, folder / "schedules.safetensors")


def backbones(folder):
    """torchvision's networks with random weights, saved as .pth and as safetensors, and their logits."""
    from torchvision import models as zoo

    torch.manual_seed(8)
    images = torch.rand(2, 3, 224, 224)
    answer = {"images": images}
    for name in ("resnet18", "mobilenet_v2"):
        model = getattr(zoo, name)(num_classes=10)
        # A step in training mode, so that running statistics are not all 0 and 1.
        with torch.no_grad():
            model.train()(images)
            answer[f"{name}.logits"] = model.eval()(images)
        torch.save(model.state_dict(), folder / f"{name}.pth")
        save_file(model.state_dict(), folder / f"{name}.safetensors")
    save_file(answer, folder / "answer.safetensors")


def calibration(folder):
    """torchmetrics on random logits and scores, and the best temperature by a fine search."""
    from torchmetrics.functional.classification import multiclass_calibration_error, multilabel_average_precision
    from torchmetrics.functional.classification import multilabel_f1_score

    torch.manual_seed(9)
    labels = torch.randint(0, 10, (500,))
    logits = 3 * torch.randn(500, 10)
    logits[torch.arange(500), labels] += 4
    answer = {"logits": logits, "labels": labels}
    for bins in (5, 10, 15):
        answer[f"ece.{bins}"] = multiclass_calibration_error(logits.softmax(1), labels, 10, bins, "l1")
    temperatures = torch.linspace(0.5, 5, 4501)
    losses = torch.stack([nn.functional.cross_entropy(logits / t, labels) for t in temperatures])
    answer["temperature"] = temperatures[losses.argmin()]
    answer["brier"] = ((logits.softmax(1) - nn.functional.one_hot(labels, 10)) ** 2).sum(1).mean()
    truths = (torch.rand(300, 6) < 0.3).long()
    # Rounded, so that there are ties.
    scores = (torch.rand(300, 6) * 0.7 + 0.3 * truths).mul(20).round() / 20
    answer |= {"scores": scores, "truths": truths}
    answer["f1"] = multilabel_f1_score(scores, truths, 6, threshold=0.52, average="none")
    answer["average_precision"] = multilabel_average_precision(scores, truths, 6, average="none")
    save_file({name: tensor.contiguous() for name, tensor in answer.items()}, folder / "calibration.safetensors")


def grad_cam(folder):
    """captum's Grad-CAM on torchvision's networks with random weights."""
    from captum.attr import LayerGradCam
    from torchvision import models as zoo

    torch.manual_seed(10)
    images, classes = torch.rand(2, 3, 96, 96), torch.tensor([3, 7])
    answer = {"images": images}
    layers = {"resnet18": ["layer2", "layer4.0"], "mobilenet_v2": ["features.10", "features.18"]}
    for name, chosen in layers.items():
        model = getattr(zoo, name)(num_classes=10).eval()
        save_file(model.state_dict(), folder / f"{name}.safetensors")
        for layer in chosen:
            cam = LayerGradCam(model, model.get_submodule(layer))
            raw = cam.attribute(images, target=classes, relu_attributions=True)
            answer[f"{name}.{layer}"] = raw.detach().squeeze(1).contiguous()
    save_file(answer, folder / "answer.safetensors")


def state_dicts(folder):
    """Files that torch.save writes, good and bad."""
    base = torch.arange(24.0).reshape(2, 3, 4)
    good = {
        "float": base,
        "transposed": base.transpose(0, 2),
        "part of the same storage": base[1, 1:],
        "double": base.double(),
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "long": base.long(),
        "byte": base.byte(),
        "bool": base > 5,
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
    }
    torch.save(good, folder / "good.pth")
    save_file({name: tensor.clone().contiguous() for name, tensor in good.items()}, folder / "good.safetensors")
    torch.save({"model": good, "epoch": 3}, folder / "nested.pth")
    torch.save(nn.Linear(2, 2), folder / "module.pth")
    torch.save(good, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(nn.ParameterDict({"w": nn.Parameter(base)}).state_dict(), folder / "parameter.pth")


def initialization(folder):
    """Writes a freshly made model."""
    torch.manual_seed(3)
    save_file(Mlp().state_dict(), folder / "mlp.safetensors")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
