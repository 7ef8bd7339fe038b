"""Tasks of other sizes and numbers of classes than CIFAR-10's, and small networks for them, for scope.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models import build
from models.networks import Classifier, InvertedResidual, Residual, conv, mobilenet, resnet, vgg, wide_vgg

_BATCH, _N_TEST = 125, 2000
# The group of each of CIFAR-10's classes: airplane, car, bird, cat, deer, dog, frog, horse, ship, truck.
_GROUPS = {2: (0, 0, 1, 1, 1, 1, 1, 1, 0, 0), 4: (0, 1, 2, 3, 2, 3, 2, 3, 0, 1)}


@dataclass(frozen=True, slots=True)
class Task:
    """A classification of CIFAR-10's images, resized.

    Attributes:
        name: Names the kept files.
        title: The task in words.
        side: Height and width in pixels.
        n_classes: 10 for CIFAR-10's classes, 2 and 4 for groups of them, 40 for a class and a quarter turn.
        n_seen: Images that a training sees in all.
    """

    name: str
    title: str
    side: int
    n_classes: int
    n_seen: int


TASKS = (
    Task("16", "16 x 16 pixels, 10 classes", 16, 10, 60_000),
    Task("8", "8 x 8 pixels, 10 classes", 8, 10, 100_000),
    Task("two", "32 x 32 pixels, 2 classes (animals and vehicles)", 32, 2, 20_000),
    Task("forty", "32 x 32 pixels, 40 classes (each class turned by 0, 90, 180 or 270 degrees)", 32, 40, 25_000),
    Task("four", "32 x 32 pixels, 4 classes (groups of CIFAR-10's)", 32, 4, 15_000),
    Task("32", "32 x 32 pixels, 10 classes (for comparison)", 32, 10, 15_000),
    Task("64", "64 x 64 pixels, 10 classes", 64, 10, 10_000),
)


@dataclass(frozen=True, slots=True)
class Training:
    """One network of a task.

    Attributes:
        name: Stable name.
        family: Key of :data:`FAMILIES`.
        half: 0 for the even training images, 1 for the odd ones.
        seed: Seeds weights, order and augmentation.
    """

    name: str
    family: str
    half: int
    seed: int


BASES = (Training("vgg A", "vgg", 0, 301), Training("resnet A", "resnet", 0, 302))
# In the order in which they are trained. None saw an image that a base saw.
SUSPECTS = (
    Training("vgg B", "vgg", 1, 303),
    Training("resnet B", "resnet", 1, 304),
    Training("vgg C", "vgg", 1, 306),
    Training("wide B", "wide", 1, 308),
    Training("plain B", "plain", 1, 305),
    Training("mobilenet B", "mobilenet", 1, 307),
)


class Plain(nn.Module):
    """Convolutions with strides, without normalisation of any kind but a map to [-2, 2] (arXiv:1412.6806)."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs, stride in ((width, 1), (width, 2), (2 * width, 1), (2 * width, 2), (2 * width, 1)):
            layer = nn.Conv2d(channels, outputs, 3, stride, 1)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            layers += [layer, nn.ReLU()]
            channels = outputs
        self.features, self.head = nn.Sequential(*layers), nn.Linear(channels, 10)

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.features(4 * image - 2)
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def _large_vgg() -> Classifier:
    return vgg((16, "pool", 32, "pool", 64, 64, "pool", 128, 128, "pool"))


def _large_resnet() -> Classifier:
    blocks = (Residual(16, 32, 2), Residual(32, 64, 2), Residual(64, 64, 1), Residual(64, 128, 2))
    return Classifier(nn.Sequential(conv(3, 16, stride=2), *blocks), 128)


def _large_plain() -> nn.Module:
    network = Plain(40)
    first = nn.Conv2d(3, 40, 3, 2, 1)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    network.features[0] = first
    return network


def _large_mobilenet() -> Classifier:
    blocks = (InvertedResidual(16, 24, 2), InvertedResidual(24, 48, 2), InvertedResidual(48, 80, 2))
    return Classifier(nn.Sequential(conv(3, 16, stride=2), *blocks, conv(80, 160, size=1)), 160)


def _large_wide() -> Classifier:
    return Classifier(
        nn.Sequential(conv(3, 24, stride=2, size=5), conv(24, 64, stride=2, size=5), conv(64, 144, stride=2)), 144
    )


# Family: its network for images of up to 32 pixels a side, and the one for larger images.
FAMILIES: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "vgg": (vgg, _large_vgg),
    "resnet": (resnet, _large_resnet),
    "plain": (Plain, _large_plain),
    "mobilenet": (mobilenet, _large_mobilenet),
    "wide": (wide_vgg, _large_wide),
}


def make_network(training: Training, task: Task) -> nn.Module:
    """Return a new network, its weights drawn from the training's seed."""
    torch.manual_seed(training.seed)
    network = FAMILIES[training.family][task.side > 32]()
    head = network.head
    assert isinstance(head, nn.Linear)  # noqa: S101 - all families have one
    network.head = nn.Linear(head.in_features, task.n_classes)
    return network


def fit(training: Training, task: Task) -> nn.Module:
    """Return a trained network."""
    network = make_network(training, task).train()
    images, labels = (part[training.half :: 2] for part in _load("train"))
    generator = torch.Generator().manual_seed(training.seed)
    n_steps, began = task.n_seen // _BATCH, time.monotonic()
    peak = 0.02 if training.family == "plain" else 0.1
    optimiser = torch.optim.SGD(network.parameters(), lr=peak, momentum=0.9, nesterov=True, weight_decay=5e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=n_steps + 1, pct_start=0.2)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(n_steps):
        if len(order) < _BATCH:
            order = torch.randperm(len(images), generator=generator)
        batch, order = order[:_BATCH], order[_BATCH:]
        turns = torch.randint(0, 4, (len(batch),), generator=generator)
        x, y = _pose(images[batch], labels[batch], turns, task)
        x = _augment(x, generator, mirrors=task.n_classes <= 10)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), y)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        cycle.step()
    print(f"{task.name} {training.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return network.eval()


def test_images(task: Task) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the first test images of a task, ``(n, 3, side, side)`` in [0, 1], and their labels."""
    images, labels = (part[:_N_TEST] for part in _load("test"))
    x, y = _pose(images, labels, torch.arange(len(images)) % 4, task)
    return x.numpy(), y.numpy()


@cache
def _load(split: str) -> tuple[Tensor, Tensor]:
    return build.data(split)


def _pose(images: Tensor, labels: Tensor, turns: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Return a task's float images and labels, from CIFAR-10's and the quarter turns of each."""
    x = images.float() / 255
    if task.n_classes in _GROUPS:
        labels = torch.tensor(_GROUPS[task.n_classes])[labels]
    elif task.n_classes == 40:
        x, labels = x.clone(), 4 * labels + turns
        for turn in range(1, 4):
            x[turns == turn] = x[turns == turn].rot90(turn, (2, 3))
    if task.side < 32:
        x = F.avg_pool2d(x, 32 // task.side)
    elif task.side > 32:
        x = F.interpolate(x, size=(task.side, task.side), mode="bilinear", antialias=True)
    return x, labels


def _augment(images: Tensor, generator: torch.Generator, *, mirrors: bool) -> Tensor:
    """Return images shifted by up to an eighth of their side, a batch alike, and half of them mirrored."""
    side = images.shape[-1]
    margin = side // 8
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    top, left = torch.randint(0, 2 * margin + 1, (2,), generator=generator).tolist()
    x = padded[:, :, top : top + side, left : left + side].clone()
    if mirrors:
        mirrored = torch.rand(len(x), generator=generator) < 0.5
        x[mirrored] = x[mirrored].flip(3)
    return x
