"""Pooling. torch's own pooling knows neither uneven padding nor ONNX's ceil mode, so windows are padded by hand.

Specification: https://onnx.ai/onnx/operators/onnx__MaxPool.html and its neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.convolution import split_pads, torch_pads
from onnxfp.torch_copy.operators.registry import Function, Node, operator

_MAX_POOL: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@dataclass(frozen=True, slots=True)
class Window:
    """The sliding window of a pooling node.

    Attributes:
        kernel: Its size on each axis.
        strides: Its steps.
        dilations: Distance of its elements.
        pads: Padding before and after each axis, unless ``auto_pad`` says otherwise.
        auto_pad: ``NOTSET``, ``VALID``, ``SAME_UPPER`` or ``SAME_LOWER``.
        ceil_mode: Whether a last, partial window counts.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[tuple[int, int]]
    auto_pad: str
    ceil_mode: bool

    @classmethod
    def of(cls, node: Node) -> Window:
        """Return the window that a node's attributes describe."""
        kernel = node.ints("kernel_shape")
        if kernel is None:
            raise KeyError("kernel_shape")
        n_axes = len(kernel)
        return cls(
            kernel=kernel,
            strides=node.ints("strides") or [1] * n_axes,
            dilations=node.ints("dilations") or [1] * n_axes,
            pads=split_pads(node.ints("pads"), n_axes),
            auto_pad=node.text("auto_pad", "NOTSET"),
            ceil_mode=bool(node.int("ceil_mode", 0)),
        )

    def padding(self, sizes: torch.Size) -> tuple[list[tuple[int, int]], list[int]]:
        """Return the padding around each axis, and how much more the last, partial windows reach over its end."""
        axes = list(zip(sizes, self.kernel, self.strides, self.dilations, strict=True))
        around = [(0, 0)] * len(axes) if self.auto_pad == "VALID" else self.pads
        if self.auto_pad.startswith("SAME"):
            around = [_same_padding(size, kernel, stride, self.auto_pad) for size, kernel, stride, _ in axes]
        beyond = []
        for (size, kernel, stride, dilation), (before, after) in zip(axes, around, strict=True):
            free = size + before + after - dilation * (kernel - 1) - 1
            steps = free // stride
            # A window that would start in the padding after the end does not count.
            if self.ceil_mode and free % stride and (steps + 1) * stride < size + before:
                steps += 1
            beyond.append(max(0, steps * stride - free))
        return around, beyond


def _same_padding(size: int, kernel: int, stride: int, auto_pad: str) -> tuple[int, int]:
    """Return the padding before and after one axis as onnxruntime has it: dilations left out, negative to crop."""
    total = (math.ceil(size / stride) - 1) * stride + kernel - size
    before = int(total / 2) if auto_pad == "SAME_UPPER" else int((total + 1) / 2)
    return before, total - before


@operator("MaxPool", since=(1, 8, 10, 11, 12, 22))
def max_pool(node: Node) -> Function:
    """Largest value of each window, and where it stood if that is asked for."""
    window, column_major = Window.of(node), bool(node.int("storage_order", 0))
    n_axes = len(window.kernel)

    def run(x: Tensor) -> Any:
        around, beyond = window.padding(x.shape[2:])
        lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        padded = _pad(x, around, beyond, lowest)
        # Integers have no pooling kernel of their own; small ones are exact in float64.
        values = padded if x.is_floating_point() else padded.double()
        result = _MAX_POOL[n_axes](
            values, window.kernel, window.strides, 0, window.dilations, False, node.n_outputs > 1
        )
        if node.n_outputs == 1:
            return result.to(x.dtype)
        pooled, where = result
        return pooled.to(x.dtype), _flat_indices(where, padded.shape, around, x.shape, column_major)

    return run


def _pad(x: Tensor, around: list[tuple[int, int]], beyond: list[int], value: float) -> Tensor:
    pads = [(before, after + more) for (before, after), more in zip(around, beyond, strict=True)]
    return F.pad(x, torch_pads(pads), value=value) if any(map(any, pads)) else x


def _flat_indices(
    where: Tensor, padded: torch.Size, around: list[tuple[int, int]], shape: torch.Size, column_major: bool
) -> Tensor:
    """Return indices into the flattened input for indices into one padded channel."""
    positions: list[Tensor] = []
    for size, (before, _) in zip(reversed(padded[2:]), reversed(around), strict=True):
        positions.insert(0, where % size - before)
        where = where // size
    flat = torch.zeros_like(where)
    axes = list(zip(positions, shape[2:], strict=True))
    for position, size in reversed(axes) if column_major else axes:
        flat = flat * size + position
    channels = torch.arange(shape[0] * shape[1], device=where.device)
    return flat + channels.reshape(shape[0], shape[1], *[1] * len(around)) * math.prod(shape[2:])


@operator("AveragePool", since=(1, 7, 10, 11, 19, 22))
def average_pool(node: Node) -> Function:
    """Mean of each window; padding counts only with ``count_include_pad``, and what lies beyond it never."""
    window, includes_pads = Window.of(node), bool(node.int("count_include_pad", 0))

    def run(x: Tensor) -> Tensor:
        around, beyond = window.padding(x.shape[2:])
        total = _window_sum(_padded(x, around, beyond, 0.0), window)
        ones = _padded(torch.ones_like(x[:1, :1]), around, beyond, 1.0 if includes_pads else 0.0)
        return total / _window_sum(ones, window)

    return run


def _padded(x: Tensor, around: list[tuple[int, int]], beyond: list[int], value: float) -> Tensor:
    """Return ``x`` within its padding, which may crop it, and within zeros where the last windows reach beyond that."""
    return _pad(_pad(x, around, [0] * len(beyond), value), [(0, 0)] * len(beyond), beyond, 0.0)


def _window_sum(x: Tensor, window: Window) -> Tensor:
    n_axes = len(window.kernel)
    if all(dilation == 1 for dilation in window.dilations):
        return _AVG_POOL[n_axes](x, window.kernel, window.strides) * math.prod(window.kernel)
    windows = _unfold(x, window)
    return windows.sum(dim=tuple(range(-n_axes, 0)))


def _unfold(x: Tensor, window: Window) -> Tensor:
    """Return every window as trailing axes: ``(n, c, *positions, *kernel)``."""
    for axis, (kernel, stride, dilation) in enumerate(
        zip(window.kernel, window.strides, window.dilations, strict=True), start=2
    ):
        x = x.unfold(axis, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    return x


@operator("LpPool", since=(1, 2, 11, 18, 22))
def lp_pool(node: Node) -> Function:
    """p-norm of each window."""
    window, p = Window.of(node), node.float("p", 2)

    def run(x: Tensor) -> Tensor:
        around, beyond = window.padding(x.shape[2:])
        return _window_sum(_pad(x, around, beyond, 0.0).abs() ** p, window) ** (1.0 / p)

    return run


@operator("GlobalAveragePool", since=(1, 22))
def global_average_pool(_: Node) -> Function:
    """Mean over all axes after the channels."""
    return lambda x: x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


@operator("GlobalMaxPool", since=(1, 22))
def global_max_pool(_: Node) -> Function:
    """Maximum over all axes after the channels."""
    return lambda x: x.amax(dim=tuple(range(2, x.ndim)), keepdim=True)


@operator("GlobalLpPool", since=(1, 2, 22))
def global_lp_pool(node: Node) -> Function:
    """p-norm over all axes after the channels."""
    p = node.float("p", 2)
    return lambda x: (x.abs() ** p).sum(dim=tuple(range(2, x.ndim)), keepdim=True) ** (1.0 / p)
