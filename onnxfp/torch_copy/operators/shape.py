"""Operators that move values without computing on them: reshaping, slicing, gathering, padding.

Shapes, axes and indices arrive as int64 tensors on the CPU and are read as Python numbers.

Specification: https://onnx.ai/onnx/operators/onnx__Reshape.html and its neighbours.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator
from onnxfp.torch_copy.tensors import torch_dtype


def numbers(x: Tensor) -> list[int]:
    """Return the integers that a shape, axes or index tensor holds."""
    return [int(v) for v in x.reshape(-1).tolist()]


@operator("Constant", since=(1, 9, 11, 12, 13, 19, 21, 23, 24, 25))
def constant(node: Node) -> Function:
    """A stored value, in whichever attribute."""
    (name, value) = next(iter(node.attributes.items()))
    if name in ("value", "sparse_value"):
        stored = value
    elif name in ("value_float", "value_floats"):
        stored = torch.tensor(value, dtype=torch.float32)
    elif name in ("value_int", "value_ints"):
        stored = torch.tensor(value, dtype=torch.int64)
    else:
        raise ValueError(f"{name} holds strings")
    return lambda: stored


@operator("ConstantOfShape", since=(9, 20, 21, 23, 24, 25))
def constant_of_shape(node: Node) -> Function:
    """A tensor of one repeated value."""
    value = node.attributes.get("value", torch.zeros(1))
    return lambda shape: value.reshape(()).expand(numbers(shape)).clone()


@operator("Shape", since=(1, 13, 15, 19, 21, 23, 24, 25))
def shape(node: Node) -> Function:
    """The shape, or a slice of it."""
    start, end = node.int("start", 0), node.attributes.get("end")
    return lambda x: torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


@operator("Size", since=(1, 13, 19, 21, 23, 24, 25))
def size(_: Node) -> Function:
    """The number of values."""
    return lambda x: torch.tensor(x.numel(), dtype=torch.int64)


@operator("Reshape", since=(1, 5, 13, 14, 19, 21, 23, 24, 25))
def reshape(node: Node) -> Function:
    """Another shape; -1 is inferred, and 0 copies the input's axis unless ``allowzero`` is set."""
    fixed, allow_zero = node.ints("shape"), bool(node.int("allowzero", 0))

    def run(x: Tensor, target: Tensor | None = None) -> Tensor:
        sizes = list(fixed or []) if target is None else numbers(target)
        if not allow_zero:
            sizes = [x.shape[a] if n == 0 else n for a, n in enumerate(sizes)]
        return x.reshape(sizes)

    return run


@operator("Flatten", since=(1, 9, 11, 13, 21, 23, 24, 25))
def flatten(node: Node) -> Function:
    """A matrix, split at ``axis``."""
    axis = node.int("axis", 1)

    def run(x: Tensor) -> Tensor:
        first = axis + x.ndim if axis < 0 else axis
        rows = 1
        for n in x.shape[:first]:
            rows *= n
        return x.reshape(rows, -1) if x.numel() else x.reshape(rows, x.shape[first:].numel())

    return run


@operator("Squeeze", since=(1, 11, 13, 21, 23, 24, 25))
def squeeze(node: Node) -> Function:
    """Without axes of length one."""
    fixed = node.ints("axes")

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = fixed if axes is None else numbers(axes)
        if chosen is None:
            return x.squeeze()
        if any(x.shape[a] != 1 for a in chosen):
            raise ValueError(f"axes {chosen} of {tuple(x.shape)} are not all of length 1")
        return x.squeeze(tuple(chosen))

    return run


@operator("Unsqueeze", since=(1, 11, 13, 21, 23, 24, 25))
def unsqueeze(node: Node) -> Function:
    """With new axes of length one, counted in the result."""
    fixed = node.ints("axes")

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = fixed or [] if axes is None else numbers(axes)
        rank = x.ndim + len(chosen)
        for axis in sorted(a % rank for a in chosen):
            x = x.unsqueeze(axis)
        return x

    return run


@operator("Transpose", since=(1, 13, 21, 23, 24, 25))
def transpose(node: Node) -> Function:
    """Axes in another order, by default reversed."""
    order = node.ints("perm")
    return lambda x: x.permute(order if order is not None else list(range(x.ndim))[::-1])


@operator("Concat", since=(1, 4, 11, 13))
def concat(node: Node) -> Function:
    """Joined along an axis."""
    axis = node.int("axis", 1)
    return lambda *inputs: torch.cat(inputs, axis)


@operator("Split", since=(1, 2, 11, 13, 18))
def split(node: Node) -> Function:
    """Cut along an axis; the last piece of an uneven cut is the smaller one."""
    axis, fixed = node.int("axis", 0), node.ints("split")

    def run(x: Tensor, sizes: Tensor | None = None) -> Any:
        lengths = fixed if sizes is None else numbers(sizes)
        if lengths is None:
            n = node.int("num_outputs", node.n_outputs)
            each = -(-x.shape[axis] // n)
            lengths = [each] * (n - 1)
            lengths.append(x.shape[axis] - sum(lengths))
        return torch.split(x, lengths, axis)

    return run


@operator("Slice", since=(1,))
def slice_attributes(node: Node) -> Function:
    """Ranges in attributes."""
    starts, ends, axes = node.ints("starts") or [], node.ints("ends") or [], node.ints("axes")
    return lambda x: _slice(x, starts, ends, axes or list(range(len(starts))), [1] * len(starts))


@operator("Slice", since=(10, 11, 13))
def slice_inputs(_: Node) -> Function:
    """Ranges as inputs, with steps of either sign."""

    def run(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
        first = numbers(starts)
        chosen = list(range(len(first))) if axes is None else numbers(axes)
        return _slice(x, first, numbers(ends), chosen, [1] * len(first) if steps is None else numbers(steps))

    return run


def _slice(x: Tensor, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> Tensor:
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        first, last, _ = slice(start, end, step).indices(x.shape[axis])
        # ONNX clamps a far negative end of a backward range to -1 "before the start", as slice.indices does.
        if step > 0:
            x = x[(slice(None),) * (axis % x.ndim) + (slice(first, max(first, last), step),)]
        else:
            x = x.index_select(axis, torch.arange(first, last, step, device=x.device))
    return x


@operator("Expand", since=(8, 13))
def expand(_: Node) -> Function:
    """Broadcast; an axis of the target may also be smaller than the input's."""

    def run(x: Tensor, target: Tensor) -> Tensor:
        return x.expand(torch.broadcast_shapes(x.shape, tuple(numbers(target))))  # type: ignore[no-untyped-call]

    return run


@operator("Tile", since=(6, 13))
def tile(_: Node) -> Function:
    """Repeated along each axis."""
    return lambda x, repeats: x.repeat(numbers(repeats))


@operator("Tile", since=(1,))
def tile_one_axis(_: Node) -> Function:
    """Repeated along one axis."""

    def run(x: Tensor, tiles: Tensor, axis: Tensor) -> Tensor:
        repeats = [1] * x.ndim
        repeats[int(axis)] = int(tiles)
        return x.repeat(repeats)

    return run


@operator("Pad", since=(1, 2))
def pad_attributes(node: Node) -> Function:
    """Padding in attributes."""
    pads = node.ints("pads") or node.ints("paddings") or []
    mode, value = node.text("mode", "constant"), node.float("value", 0.0)
    return lambda x: _pad(x, pads, list(range(x.ndim)), mode, value)


@operator("Pad", since=(11, 13, 18, 19, 21, 23, 24, 25))
def pad(node: Node) -> Function:
    """Padding as an input; negative amounts crop."""
    mode = node.text("mode", "constant")

    def run(x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        chosen = list(range(x.ndim)) if axes is None else [a % x.ndim for a in numbers(axes)]
        return _pad(x, numbers(pads), chosen, mode, 0 if value is None else value.detach().item())

    return run


def _pad(x: Tensor, pads: list[int], axes: list[int], mode: str, value: float) -> Tensor:
    n = len(axes)
    around = dict(zip(axes, zip(pads[:n], pads[n:], strict=True), strict=True))
    if mode == "constant":
        flat = [amount for a in reversed(range(x.ndim)) for amount in around.get(a, (0, 0))]
        if x.dtype == torch.bool:
            return F.pad(x.to(torch.uint8), flat, value=int(value)).bool()
        return F.pad(x, flat, value=value)
    # The other modes repeat values: an index for each position, in any number of axes.
    for axis, (before, after) in around.items():
        length = x.shape[axis]
        at = torch.arange(-before, length + after)
        if mode == "edge":
            at = at.clamp(0, length - 1)
        elif mode == "wrap":
            at = at % length
        else:
            period = max(1, 2 * (length - 1))
            at = at % period
            at = torch.where(at >= length, period - at, at)
        x = x.index_select(axis, at.to(x.device))
    return x


@operator("CenterCropPad", since=(18,))
def center_crop_pad(node: Node) -> Function:
    """Cropped or padded around the centre to a given size."""
    fixed = node.ints("axes")

    def run(x: Tensor, target: Tensor) -> Tensor:
        axes = list(range(x.ndim)) if fixed is None else [a % x.ndim for a in fixed]
        for axis, wanted in zip(axes, numbers(target), strict=True):
            difference = wanted - x.shape[axis]
            if difference < 0:
                x = x.narrow(axis, -difference // 2, wanted)
            else:
                x = _pad(x, [difference // 2, difference - difference // 2], [axis], "constant", 0)
        return x

    return run


@operator("DepthToSpace", since=(1, 11, 13, 28))
def depth_to_space(node: Node) -> Function:
    """Blocks of channels become blocks of pixels."""
    b, mode = node.int("blocksize", 1), node.text("mode", "DCR")

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if mode == "DCR":
            y = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            y = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
        return y.reshape(n, c // b**2, h * b, w * b)

    return run


@operator("SpaceToDepth", since=(1, 13, 28))
def space_to_depth(node: Node) -> Function:
    """Blocks of pixels become blocks of channels."""
    b, mode = node.int("blocksize", 1), node.text("mode", "DCR")

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // b, b, w // b, b)
        y = y.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else y.permute(0, 1, 3, 5, 2, 4)
        return y.reshape(n, c * b * b, h // b, w // b)

    return run


@operator("Range", since=(11, 27))
def range_(_: Node) -> Function:
    """An arithmetic sequence."""

    def run(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
        return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)

    return run


@operator("EyeLike", since=(9, 22))
def eye_like(node: Node) -> Function:
    """Ones on a diagonal."""
    k, target = node.int("k", 0), node.attributes.get("dtype")

    def run(x: Tensor) -> Tensor:
        dtype = x.dtype if target is None else torch_dtype(int(target))
        row, column = (torch.arange(n, device=x.device) for n in x.shape)
        return (column[None, :] - row[:, None] == k).to(dtype)

    return run


@operator("Trilu", since=(14,))
def trilu(node: Node) -> Function:
    """The upper or lower triangle."""
    upper = bool(node.int("upper", 1))

    def run(x: Tensor, k: Tensor | None = None) -> Tensor:
        diagonal = 0 if k is None else int(k)
        return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)

    return run
