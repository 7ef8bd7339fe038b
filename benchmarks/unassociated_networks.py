"""Small CIFAR-10 networks of many families and ways to train them, for unassociated.py. Weights are not kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.networks import Classifier, InvertedResidual, Residual, conv, mobilenet, resnet, vgg, wide_vgg


class Pooled(nn.Module):
    """Features on ``(n, 3, 32, 32)`` images in [0, 1], normalised otherwise than the base, and a linear head."""

    def __init__(self, features: nn.Module, width: int) -> None:
        super().__init__()
        self.features, self.head = features, nn.Linear(width, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 10)`` logits."""
        features: Tensor = self.features(4 * image - 2)
        logits: Tensor = self.head(features.mean(dim=(2, 3)) if features.ndim == 4 else features.mean(dim=1))
        return logits


class Patches(nn.Module):
    """Patches as tokens: ``(n, n_tokens, width)``."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, width, size, size)
        self.position = nn.Parameter(0.02 * torch.randn(1, (32 // size) ** 2, width))

    def forward(self, image: Tensor) -> Tensor:
        """Return tokens."""
        tokens: Tensor = self.project(image).flatten(2).transpose(1, 2) + self.position
        return tokens


class Mix(nn.Module):
    """One block of an MLP mixer (Tolstikhin et al., arXiv:2105.01601)."""

    def __init__(self, n_tokens: int, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(n_tokens, n_tokens), nn.GELU(), nn.Linear(n_tokens, n_tokens))
        self.channels = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        x = x + self.tokens(self.before(x).transpose(1, 2)).transpose(1, 2)
        y: Tensor = x + self.channels(self.between(x))
        return y


class DepthwiseBlock(nn.Module):
    """Depthwise convolution, layer normalisation, two pointwise layers (ConvNeXt, arXiv:2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 5, 1, 2, groups=width),
            nn.GroupNorm(1, width),
            nn.Conv2d(width, 2 * width, 1),
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y: Tensor = x + self.body(x)
        return y


def mixer(width: int = 96, depth: int = 3, size: int = 4) -> nn.Module:
    """Return an MLP mixer."""
    n_tokens = (32 // size) ** 2
    blocks = [Mix(n_tokens, width) for _ in range(depth)]
    return Pooled(nn.Sequential(Patches(size, width), *blocks, nn.LayerNorm(width)), width)


def attention(width: int = 96, depth: int = 3, size: int = 4) -> nn.Module:
    """Return a vision transformer on small patches (arXiv:2010.11929)."""
    layers = [
        nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        for _ in range(depth)
    ]
    return Pooled(nn.Sequential(Patches(size, width), *layers, nn.LayerNorm(width)), width)


def all_conv(width: int = 48, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    """Return convolutions with strides and no normalisation (arXiv:1412.6806)."""
    sizes = (
        (3, width, 1),
        (width, width, 2),
        (width, 2 * width, 1),
        (2 * width, 2 * width, 2),
        (2 * width, 2 * width, 1),
    )
    layers: list[nn.Module] = []
    for inputs, outputs, stride in sizes:
        layer = nn.Conv2d(inputs, outputs, 3, stride, 1)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        layers += [layer, activation()]
    return Pooled(nn.Sequential(*layers), 2 * width)


def depthwise(width: int = 80, depth: int = 3) -> nn.Module:
    """Return a patch stem and depthwise blocks with layer normalisation."""
    stem = nn.Conv2d(3, width, 2, 2)
    later = [nn.Conv2d(width, width, 2, 2), *(DepthwiseBlock(width) for _ in range(depth))]
    return Pooled(nn.Sequential(stem, DepthwiseBlock(width), *later), width)


def dense(width: int = 768) -> nn.Module:
    """Return two hidden layers on the pixels, without convolution."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(3072, width), nn.BatchNorm1d(width), nn.ReLU()),
        *(nn.Linear(width, width // 2), nn.BatchNorm1d(width // 2), nn.ReLU(), nn.Linear(width // 2, 10)),
    )


def lenet(width: int = 32) -> nn.Module:
    """Return 5 x 5 convolutions with average pooling and dense layers (LeCun et al., 1998)."""
    return nn.Sequential(
        *(nn.Conv2d(3, width, 5, 1, 2), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(width, 2 * width, 5, 1, 2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(128 * width, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def narrow_vgg() -> nn.Module:
    """Return the base's architecture with three quarters of its channels."""
    return vgg((24, "pool", 48, 48, "pool", 96, 96, "pool"))


def light_vgg() -> nn.Module:
    """Return the base's architecture with fewer layers."""
    return vgg((32, "pool", 64, "pool", 128, "pool"))


def wide_resnet() -> nn.Module:
    """Return fewer and wider residual blocks."""
    return Classifier(nn.Sequential(conv(3, 32, stride=2), Residual(32, 64, 1), Residual(64, 160, 2)), 160)


def light_mobilenet() -> nn.Module:
    """Return fewer inverted residuals."""
    blocks = [InvertedResidual(16, 32, 2, 3), InvertedResidual(32, 32, 1, 3), InvertedResidual(32, 64, 2, 3)]
    return Classifier(nn.Sequential(conv(3, 16, stride=2), *blocks, conv(64, 128, size=1)), 128)


def wide_conv() -> nn.Module:
    """Return one wide convolution of large filters and one of small ones."""
    return Classifier(nn.Sequential(conv(3, 96, stride=2, size=7), nn.MaxPool2d(2), conv(96, 192)), 192)


# Family: its networks, and how many thousand images a training sees in all.
FAMILIES: dict[str, tuple[tuple[Callable[[], nn.Module], ...], int]] = {
    "VGG": ((light_vgg, narrow_vgg, vgg), 20),
    "ResNet": ((resnet, wide_resnet), 30),
    "wide and shallow": ((wide_vgg, wide_conv), 40),
    "all-convolutional, no normalisation": (
        (all_conv, lambda: all_conv(40, nn.GELU), lambda: all_conv(56, nn.ELU)),
        25,
    ),
    "MobileNet": ((light_mobilenet, mobilenet), 25),
    "MLP mixer": ((mixer, lambda: mixer(64, 4), lambda: mixer(128, 2)), 30),
    "patch attention": ((attention, lambda: attention(64, 4)), 20),
    "depthwise, layer normalisation": ((depthwise, lambda: depthwise(64, 2)), 20),
    "LeNet": ((lenet, lambda: lenet(48)), 50),
    "dense": ((dense, lambda: dense(512)), 100),
}


# The first networks are trained for seconds, those after them for a minute or two.
N_SHORT, LONGER = 21, 5


@dataclass(frozen=True, slots=True)
class Training:
    """One network and how it is trained.

    Attributes:
        name: Stable name.
        family: Key of :data:`FAMILIES`.
        member: Which of the family's networks.
        seed: Seeds weights, order and augmentation.
        part: First and step of the training images that it sees.
        augmentation: ``none``, ``mirror``, ``shift`` (and mirror), ``colour`` (and both), ``cutout`` (and both).
        optimiser: ``sgd`` or ``adamw``.
        smoothing: Label smoothing.
        effort: Length of the training, 1 for the family's usual one.
    """

    name: str
    family: str
    member: int
    seed: int
    part: tuple[int, int]
    augmentation: str
    optimiser: str
    smoothing: float
    effort: float

    @property
    def network(self) -> nn.Module:
        """A new network with weights drawn from the seed."""
        torch.manual_seed(self.seed)
        networks = FAMILIES[self.family][0]
        return networks[self.member]()


def plan(n: int) -> list[Training]:
    """Return the first ``n`` trainings: the families in turn, the rest drawn."""
    draw, found = np.random.default_rng(2026), []
    names = list(FAMILIES)
    for index in range(n):
        family, turn = names[index % len(names)], index // len(names)
        step = int(draw.choice([1, 2, 2, 3]))
        found.append(
            Training(
                f"{index:03d}",
                family,
                turn % len(FAMILIES[family][0]),
                1000 + index,
                (int(draw.integers(step)), step),
                str(draw.choice(["none", "mirror", "shift", "shift", "colour", "cutout"])),
                "adamw" if family in ("patch attention", "MLP mixer") else str(draw.choice(["sgd", "sgd", "adamw"])),
                float(draw.choice([0.0, 0.1])),
                float(draw.choice([0.5, 1.0, 1.0, 2.0])) * (1 if index < N_SHORT else LONGER),
            )
        )
    return found


def fit(training: Training, images: Tensor, labels: Tensor) -> nn.Module:
    """Return a trained network.

    Args:
        training: Which, and how.
        images: ``(n, 3, 32, 32)`` uint8, all training images.
        labels: ``(n,)`` int64.
    """
    network = training.network.train()
    first, step = training.part
    images, labels = images[first::step], labels[first::step]
    generator = torch.Generator().manual_seed(training.seed)
    n_seen = int(FAMILIES[training.family][1] * 1000 * training.effort)
    n_steps, began = n_seen // 125, time.monotonic()
    peak = 0.1 if training.family != "all-convolutional, no normalisation" and training.family != "LeNet" else 0.02
    optimiser: torch.optim.Optimizer
    if training.optimiser == "sgd":
        optimiser = torch.optim.SGD(network.parameters(), lr=peak, momentum=0.9, nesterov=True, weight_decay=5e-4)
    else:
        peak = 0.002
        optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.02)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=n_steps + 1, pct_start=0.2)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(n_steps):
        if len(order) < 125:
            order = torch.randperm(len(images), generator=generator)
        batch, order = order[:125], order[125:]
        x = augment(images[batch], training.augmentation, generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), labels[batch], label_smoothing=training.smoothing)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        cycle.step()
    print(f"{training.name} {training.family}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return network.eval()


def augment(images: Tensor, way: str, generator: torch.Generator) -> Tensor:
    """Return float images in [0, 1], changed at random.

    Args:
        images: ``(n, 3, 32, 32)`` uint8.
        way: As :attr:`Training.augmentation`.
        generator: Draws.
    """
    x, n = images.float() / 255, len(images)
    if way == "none":
        return x
    mirrored = torch.rand(n, generator=generator) < 0.5
    x[mirrored] = x[mirrored].flip(3)
    if way == "mirror":
        return x
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
    corners = torch.randint(0, 9, (n, 2), generator=generator).tolist()
    x = torch.stack([image[:, y : y + 32, z : z + 32] for image, (y, z) in zip(padded, corners, strict=True)])
    if way == "colour":
        contrast, shift = (
            0.7 + 0.6 * torch.rand(n, 3, 1, 1, generator=generator),
            0.2 * torch.rand(n, 3, 1, 1, generator=generator),
        )
        x = (x * contrast + shift - 0.1).clamp(0, 1)
    if way == "cutout":
        for image, (y, z) in zip(x, torch.randint(0, 25, (n, 2), generator=generator).tolist(), strict=True):
            image[:, y : y + 8, z : z + 8] = 0.5
    return x
