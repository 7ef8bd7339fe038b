"""Resizing and sampling of images.

Specification: https://onnx.ai/onnx/operators/onnx__Resize.html, onnx__GridSample.html, onnx__AffineGrid.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator

# Output position, scale, output length, input length, region of interest (start, end) -> input position.
Coordinates = Callable[[Tensor, float, float, int, tuple[float, float]], Tensor]


def _half_pixel_symmetric(x: Tensor, scale: float, length: float, size: int, _: tuple[float, float]) -> Tensor:
    # The centre of the whole, possibly fractional, output stays on the centre of the input.
    adjustment = math.floor(length) / length
    return size / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5


def _crop_and_resize(x: Tensor, _: float, length: float, size: int, roi: tuple[float, float]) -> Tensor:
    start, end = roi
    n = math.floor(length)
    if n > 1:
        return start * (size - 1) + x * (end - start) * (size - 1) / (n - 1)
    return torch.full_like(x, 0.5 * (start + end) * (size - 1))


COORDINATES: dict[str, Coordinates] = {
    "half_pixel": lambda x, scale, *_: (x + 0.5) / scale - 0.5,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda x, scale, length, *_: (
        (x + 0.5) / scale - 0.5 if math.floor(length) > 1 else torch.zeros_like(x)
    ),
    "asymmetric": lambda x, scale, *_: x / scale,
    # By the number of positions, as onnxruntime has it: ONNX's reference divides by the fractional length less one.
    "align_corners": lambda x, _, length, size, __: (
        x * (size - 1) / (math.floor(length) - 1) if math.floor(length) > 1 else torch.zeros_like(x)
    ),
    "tf_half_pixel_for_nn": lambda x, scale, *_: (x + 0.5) / scale,
    "tf_crop_and_resize": _crop_and_resize,
}

NEAREST: dict[str, Callable[[Tensor], Tensor]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}


def _linear_kernel(distance: Tensor, _: float) -> Tensor:
    return (1 - distance.abs()).clamp_min(0)


def _cubic_kernel(distance: Tensor, a: float) -> Tensor:
    d = distance.abs()
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


@dataclass(frozen=True, slots=True)
class Resampling:
    """How one axis is resampled: as a matrix of weights, so that every mode is linear in the input.

    Attributes:
        mode: ``nearest``, ``linear`` or ``cubic``.
        coordinates: Name of the coordinate transformation.
        nearest: Rounding of ``nearest``.
        cubic_a: Coefficient of the cubic kernel.
        antialias: Whether the kernel widens when an axis shrinks.
        exclude_outside: Whether positions outside the input get no weight.
        extrapolation: Value for positions outside, in ``tf_crop_and_resize``.
    """

    mode: str
    coordinates: str
    nearest: str
    cubic_a: float
    antialias: bool
    exclude_outside: bool
    extrapolation: float

    def weights(self, size: int, length: float, scale: float, roi: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """Return ``(floor(length), size)`` weights, and which output positions lie outside the input."""
        n = math.floor(length)
        # In single precision, as onnxruntime: a position between two values may be theirs by rounding alone.
        position = COORDINATES[self.coordinates](torch.arange(n, dtype=torch.float32), scale, length, size, roi)
        position = position.double()
        is_outside = (position < 0) | (position > size - 1)
        if self.mode == "nearest":
            index = NEAREST[self.nearest](position).clamp(0, size - 1).long()
            return F.one_hot(index, size).double(), is_outside
        kernel, reach = (_linear_kernel, 1.0) if self.mode == "linear" else (_cubic_kernel, 2.0)
        shrink = min(1.0, scale) if self.antialias else 1.0
        reach = reach / shrink
        first = torch.floor(position - reach).long()
        taps = first[:, None] + torch.arange(2 * math.ceil(reach) + 2)
        weight = kernel((taps - position[:, None]) * shrink, self.cubic_a)
        if self.exclude_outside:
            weight = torch.where((taps < 0) | (taps >= size), torch.zeros_like(weight), weight)
        if self.exclude_outside or shrink < 1:
            weight = weight / weight.sum(dim=1, keepdim=True)
        # What lies beyond an edge takes the edge's value.
        matrix = torch.zeros(n, size, dtype=torch.float64)
        return matrix.scatter_add_(1, taps.clamp(0, size - 1), weight), is_outside

    def apply(self, x: Tensor, axis: int, length: float, scale: float, roi: tuple[float, float]) -> Tensor:
        """Return ``x`` with one axis resampled."""
        matrix, is_outside = self.weights(x.shape[axis], length, scale, roi)
        if self.mode == "nearest":
            y = x.index_select(axis, matrix.argmax(dim=1).to(x.device))
        else:
            y = (x.movedim(axis, -1) @ matrix.T.to(x.device, x.dtype)).movedim(-1, axis)
        if self.coordinates == "tf_crop_and_resize" and is_outside.any():
            shape = [-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]
            y = torch.where(is_outside.to(x.device).reshape(shape), torch.full_like(y, self.extrapolation), y)
        return y

    def apply_all(
        self, x: Tensor, axes: list[int], lengths: list[float], scales: list[float], region: list[float]
    ) -> Tensor:
        """Return ``x`` with several axes resampled; integers as onnxruntime rounds them."""
        y = x if x.is_floating_point() or self.mode == "nearest" else x.float()
        # onnxruntime's antialiasing rounds after each axis, the last axis first; without, the end is cut off once.
        for i in reversed(range(len(axes))):
            if scales[i] != 1.0 or self.coordinates == "tf_crop_and_resize":
                y = self.apply(y, axes[i], lengths[i], scales[i], (region[i], region[i + len(axes)]))
                if self.antialias and not x.is_floating_point():
                    y = torch.floor(y + 0.5)
        return y if y.dtype == x.dtype else y.trunc().to(x.dtype)


def _keep_aspect(sizes: list[float], x: Tensor, axes: list[int], policy: str) -> tuple[list[float], list[float]]:
    """Return lengths and scales of each axis for wanted sizes."""
    scales = [n / x.shape[a] for n, a in zip(sizes, axes, strict=True)]
    if policy == "stretch":
        return sizes, scales
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [float(math.floor(scale * x.shape[a] + 0.5)) for a in axes], [scale] * len(axes)


@operator("Resize", since=(10, 11, 13, 18, 19))
def resize(node: Node) -> Function:
    """Nearest, linear or cubic, by scales or to sizes, with every coordinate transformation."""
    old = node.version == 10
    how = Resampling(
        mode=node.text("mode", "nearest"),
        coordinates="asymmetric" if old else node.text("coordinate_transformation_mode", "half_pixel"),
        nearest="floor" if old else node.text("nearest_mode", "round_prefer_floor"),
        cubic_a=node.float("cubic_coeff_a", -0.75),
        antialias=bool(node.int("antialias", 0)),
        exclude_outside=bool(node.int("exclude_outside", 0)),
        extrapolation=node.float("extrapolation_value", 0.0),
    )
    policy, chosen = node.text("keep_aspect_ratio_policy", "stretch"), node.ints("axes")

    def run(x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
        if old:
            roi, scales = None, roi
        axes = [a % x.ndim for a in chosen] if chosen is not None else list(range(x.ndim))
        if sizes is not None and sizes.numel():
            lengths, factors = _keep_aspect([float(n) for n in sizes.tolist()], x, axes, policy)
        elif scales is not None and scales.numel():
            factors = [float(s) for s in scales.tolist()]
            lengths = [s * x.shape[a] for s, a in zip(factors, axes, strict=True)]
        else:
            raise ValueError("neither scales nor sizes are given")
        region = roi.tolist() if roi is not None and roi.numel() else [0.0] * len(axes) + [1.0] * len(axes)
        return how.apply_all(x, axes, lengths, factors, region)

    return run


@operator("Upsample", since=(7, 9, 10))
def upsample(node: Node) -> Function:
    """What Resize was before opset 10."""
    mode, fixed = node.text("mode", "nearest"), node.attributes.get("scales")
    how = Resampling(mode, "asymmetric", "floor", -0.75, antialias=False, exclude_outside=False, extrapolation=0.0)

    def run(x: Tensor, scales: Tensor | None = None) -> Tensor:
        factors: list[float] = list(fixed or []) if scales is None else scales.tolist()
        lengths = [n * scale for n, scale in zip(x.shape, factors, strict=True)]
        return how.apply_all(x, list(range(x.ndim)), lengths, factors, [0.0] * x.ndim + [1.0] * x.ndim)

    return run


@operator("AffineGrid", since=(20,))
def affine_grid(node: Node) -> Function:
    """The sampling grid of an affine map, in two or three dimensions."""
    align = bool(node.int("align_corners", 0))
    return lambda theta, size: F.affine_grid(theta, [int(n) for n in size.tolist()], align_corners=align)


@operator("GridSample", since=(16, 20, 22))
def grid_sample(node: Node) -> Function:
    """Values at the positions of a grid; torch knows two and three dimensions, and cubic only in two."""
    mode = node.text("mode", "linear")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    padding, align = node.text("padding_mode", "zeros"), bool(node.int("align_corners", 0))

    def run(x: Tensor, grid: Tensor) -> Tensor:
        if mode == "nearest":
            # torch rounds halves to even as ONNX does, but on coordinates of its own.
            return F.grid_sample(x, grid, "nearest", padding, align)
        if mode == "cubic" and x.ndim != 4:
            raise ValueError("cubic sampling is defined for images only")
        return F.grid_sample(x, grid, "bicubic" if mode == "cubic" else "bilinear", padding, align)

    return run
