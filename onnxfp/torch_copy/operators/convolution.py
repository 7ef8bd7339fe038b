"""Convolutions, transposed convolutions, and matrix products.

Specification: https://onnx.ai/onnx/operators/onnx__Conv.html and its neighbours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def same_padding(size: int, kernel: int, stride: int, dilation: int, auto_pad: str) -> tuple[int, int]:
    """Return the padding before and after one axis for ``SAME_UPPER`` and ``SAME_LOWER``."""
    total = max(0, (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    small, large = total // 2, total - total // 2
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


def torch_pads(pads: list[tuple[int, int]]) -> list[int]:
    """Return ``(before, after)`` for each axis in the order of ``F.pad``: the last axis first."""
    return [amount for pair in reversed(pads) for amount in pair]


def split_pads(pads: list[int] | None, n_axes: int) -> list[tuple[int, int]]:
    """Return ONNX's ``[before..., after...]`` as ``(before, after)`` for each axis."""
    pads = pads or [0] * (2 * n_axes)
    return list(zip(pads[:n_axes], pads[n_axes:], strict=True))


@operator("Conv", since=(1, 11, 22))
def conv(node: Node) -> Function:
    """Convolution in one to three dimensions, grouped, dilated, with any padding."""
    return bind_convolution(node)


def bind_convolution(node: Node) -> Function:
    """Return the function of a ``Conv`` node, or of one with the same attributes."""
    group, auto_pad = node.int("group", 1), node.text("auto_pad", "NOTSET")
    strides, dilations, pads = node.ints("strides"), node.ints("dilations"), node.ints("pads")

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        n_axes = weight.ndim - 2
        stride, dilation = strides or [1] * n_axes, dilations or [1] * n_axes
        around = split_pads(pads, n_axes)
        if auto_pad.startswith("SAME"):
            sizes = zip(x.shape[2:], weight.shape[2:], stride, dilation, strict=True)
            around = [same_padding(*axis, auto_pad) for axis in sizes]
        elif auto_pad == "VALID":
            around = [(0, 0)] * n_axes
        padding: list[int] = [before for before, _ in around]
        if any(before != after for before, after in around):
            x, padding = F.pad(x, torch_pads(around)), [0] * n_axes
        return _CONV[n_axes](x, weight, bias, stride, padding, dilation, group)

    return run


@operator("ConvTranspose", since=(1, 11, 22))
def conv_transpose(node: Node) -> Function:
    """Transposed convolution: computed unpadded, then cropped to what ``pads`` or ``output_shape`` leave."""
    group, auto_pad = node.int("group", 1), node.text("auto_pad", "NOTSET")
    strides, dilations, pads = node.ints("strides"), node.ints("dilations"), node.ints("pads")
    output_padding, output_shape = node.ints("output_padding"), node.ints("output_shape")

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        n_axes = weight.ndim - 2
        stride, dilation = strides or [1] * n_axes, dilations or [1] * n_axes
        extra = output_padding or [0] * n_axes
        full = [
            s * (n - 1) + e + (k - 1) * d + 1
            for n, k, s, d, e in zip(x.shape[2:], weight.shape[2:], stride, dilation, extra, strict=True)
        ]
        around = split_pads(pads, n_axes)
        wanted = output_shape[-n_axes:] if output_shape else None
        if wanted is None and auto_pad.startswith("SAME"):
            # A kernel that is smaller than its stride leaves less than that; nothing is added.
            wanted = [min(f, n * s) for f, n, s in zip(full, x.shape[2:], stride, strict=True)]
        if wanted is not None:
            totals = [f - w for f, w in zip(full, wanted, strict=True)]
            upper = auto_pad == "SAME_UPPER"
            around = [(t // 2, t - t // 2) if upper else (t - t // 2, t // 2) for t in totals]
            # What is more than the convolution gives is added at the end.
            around = [(0, t) if t < 0 else pair for t, pair in zip(totals, around, strict=True)]
        # Output padding that exceeds what torch allows is added by hand: those values are the bias alone.
        y = _CONV_TRANSPOSE[n_axes](x, weight, None, stride, 0, 0, group, dilation)
        y = F.pad(y, torch_pads([(-before, e - after) for (before, after), e in zip(around, extra, strict=True)]))
        return y if bias is None else y + bias.reshape(-1, *[1] * n_axes)

    return run


@operator("Gemm", since=(1, 6, 7, 9, 11, 13))
def gemm(node: Node) -> Function:
    """``alpha A' B' + beta C``."""
    alpha, beta = node.float("alpha", 1.0), node.float("beta", 1.0)
    trans_a, trans_b = node.int("transA", 0), node.int("transB", 0)
    plain = alpha == 1.0 and beta == 1.0 and not trans_a and trans_b

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        if plain and (c is None or c.ndim == 1) and a.is_floating_point():
            return F.linear(a, b, c)
        y = (a.T if trans_a else a) @ (b.T if trans_b else b)
        y = y if alpha == 1.0 else _scale(y, alpha)
        return y if c is None else y + (c if beta == 1.0 else _scale(c, beta))

    return run


def _scale(x: Tensor, factor: float) -> Tensor:
    return (x * factor).to(x.dtype)


@operator("MatMul", since=(1, 9, 13))
def matmul(_: Node) -> Function:
    """Numpy's matrix product, with broadcasting over leading axes."""
    return torch.matmul


@operator("Einsum", since=(12, 28))
def einsum(node: Node) -> Function:
    """Sum over products in Einstein's notation."""
    equation = node.text("equation", "").replace(" ", "")
    return lambda *inputs: torch.einsum(equation, *inputs)


@operator("Det", since=(11, 22))
def det(_: Node) -> Function:
    """Determinants."""
    return torch.det
