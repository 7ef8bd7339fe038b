"""The networks in this folder: small CIFAR-10 classifiers, preprocessing inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
N_CLASSES = 10


class Classifier(nn.Module):
    """A network on ``(n, 3, 32, 32)`` images in [0, 1]: normalisation, features, average pooling, linear head."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.features = features
        self.head = nn.Linear(width, N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 10)`` logits."""
        features: Tensor = self.features((image - self.mean) / self.std)
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def conv(inputs: int, outputs: int, *, stride: int = 1, size: int = 3, groups: int = 1) -> nn.Sequential:
    """Return convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def vgg(widths: Sequence[int | str] = (32, "pool", 64, 64, "pool", 128, 128, "pool")) -> Classifier:
    """Return the base's architecture: 3 x 3 convolutions with max pooling between (VGG, arXiv:1409.1556)."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers.append(conv(channels, width))
            channels = width
    return Classifier(nn.Sequential(*layers), channels)


class Residual(nn.Module):
    """Two convolutions with a shortcut around them (He et al., arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(inputs, outputs, stride=stride),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet() -> Classifier:
    """Return a small residual network."""
    stem = conv(3, 24, stride=2)
    blocks = [Residual(24, 32, 1), Residual(32, 64, 2), Residual(64, 64, 1), Residual(64, 128, 2)]
    return Classifier(nn.Sequential(stem, *blocks), 128)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project (Sandler et al., arXiv:1801.04381)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.body = nn.Sequential(
            conv(inputs, hidden, size=1),
            conv(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y: Tensor = self.body(x)
        return x + y if self.has_shortcut else y


def mobilenet() -> Classifier:
    """Return a small network of depthwise separable convolutions."""
    blocks = [
        *(InvertedResidual(24, 24, 1), InvertedResidual(24, 48, 2), InvertedResidual(48, 48, 1)),
        *(InvertedResidual(48, 80, 2), InvertedResidual(80, 80, 1)),
    ]
    return Classifier(nn.Sequential(conv(3, 24, stride=2), *blocks, conv(80, 160, size=1)), 160)


def wide_vgg() -> Classifier:
    """Return a shallower, wider network of 5 x 5 convolutions with strides in place of pooling."""
    return Classifier(nn.Sequential(conv(3, 32, stride=2, size=5), conv(32, 64, size=5), conv(64, 144, stride=2)), 144)


ARCHITECTURES: dict[str, Callable[[], Classifier]] = {
    "vgg": vgg,
    "resnet": resnet,
    "mobilenet": mobilenet,
    "wide_vgg": wide_vgg,
}
