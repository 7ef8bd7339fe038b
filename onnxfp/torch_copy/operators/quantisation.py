"""Quantised operators, exact forward and differentiable backward by straight-through rounding.

Quantised values stay floating point wherever a gradient flows through them: the integers that they stand for are
exact in float32, and an integer tensor would end the gradient (:mod:`~onnxfp.torch_copy.operators.straight_through`).

Specification: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html and its neighbours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnxfp.torch_copy.operators.convolution import bind_convolution
from onnxfp.torch_copy.operators.registry import Function, Node, operator
from onnxfp.torch_copy.operators.straight_through import carries_gradient, stand_for, straight_through
from onnxfp.torch_copy.tensors import torch_dtype

_LIMITS = {torch.uint8: (0, 255), torch.int8: (-128, 127), torch.int16: (-32768, 32767), torch.int32: (0, 65535)}


def along(scale: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """Return a scale or zero point in a shape that broadcasts against ``x``: of one value, one a channel or a block."""
    if scale.ndim == 0 or scale.numel() == 1:
        return scale.reshape(())
    if scale.ndim == 1 and x.ndim != 1 and not block:
        return scale.reshape([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)])
    if block:
        return scale.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    return scale


def quantize(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return ``saturate(round(x / scale) + zero)``: integers, or where a gradient flows what stands for them."""
    low, high = _LIMITS[dtype]
    offset = 0.0 if zero is None else zero.to(torch.float32)
    levels = torch.clamp(straight_through(torch.round)(x / scale) + offset, low, high)
    return stand_for(levels, dtype) if carries_gradient(levels) else levels.to(dtype)


def dequantize(q: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """Return ``(q - zero) scale``."""
    values = q if q.is_floating_point() else q.to(torch.float32)
    return (values if zero is None else values - zero.to(torch.float32)) * scale


@operator("QuantizeLinear", since=(10, 13, 19, 21, 23, 24, 25, 28))
def quantize_linear(node: Node) -> Function:
    """Float to int8, uint8 or 16 bits, for the whole tensor, each channel or each block."""
    axis, block, target = node.int("axis", 1), node.int("block_size", 0), node.int("output_dtype", 0)

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        dtype = zero.dtype if zero is not None else torch_dtype(target) if target else torch.uint8
        offset = None if zero is None else along(zero, x, axis, block)
        return quantize(x, along(scale, x, axis, block), offset, dtype)

    return run


@operator("DequantizeLinear", since=(10, 13, 19, 21, 23, 24, 25, 28))
def dequantize_linear(node: Node) -> Function:
    """Integers back to float."""
    axis, block = node.int("axis", 1), node.int("block_size", 0)

    def run(q: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        offset = None if zero is None else along(zero, q, axis, block)
        return dequantize(q, along(scale, q, axis, block), offset)

    return run


@operator("DynamicQuantizeLinear", since=(11,))
def dynamic_quantize_linear(_: Node) -> Function:
    """uint8 with the scale of this very tensor; the range always holds zero."""

    def run(x: Tensor) -> Any:
        detached = x.detach()
        low, high = detached.amin().clamp_max(0), detached.amax().clamp_min(0)
        scale = (high - low) / 255
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        zero = torch.clamp(torch.round(-low / scale), 0, 255).to(torch.uint8)
        return quantize(x, scale, zero, torch.uint8), scale, zero

    return run


def _centred(q: Tensor, zero: Tensor | None, channel_axis: int) -> Tensor:
    """Return ``q - zero`` as floats that are exact integers; float64 where no gradient flows."""
    values = q if q.is_floating_point() else q.to(torch.float64)
    return values if zero is None else values - along(zero, q, channel_axis, 0).to(values.dtype)


@operator("ConvInteger", since=(10,))
def conv_integer(node: Node) -> Function:
    """Convolution of integers."""
    convolve = bind_convolution(node)

    def run(x: Tensor, weight: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None) -> Tensor:
        x_values, w_values = _centred(x, x_zero, 1), _centred(weight, w_zero, 0)
        return _as_int32(convolve(x_values, w_values.to(x_values.dtype)))

    return run


@operator("MatMulInteger", since=(10,))
def matmul_integer(_: Node) -> Function:
    """Matrix product of integers; a zero point may stand for each row or column."""

    def run(a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None) -> Tensor:
        a_values, b_values = _centred(a, a_zero, -2), _centred(b, b_zero, -1)
        return _as_int32(a_values @ b_values.to(a_values.dtype))

    return run


def _as_int32(y: Tensor) -> Tensor:
    return stand_for(y, torch.int32) if carries_gradient(y) else y.to(torch.int32)


@operator("QLinearConv", since=(10,))
def qlinear_conv(node: Node) -> Function:
    """Convolution of quantised tensors, quantised again."""
    convolve = bind_convolution(node)

    def run(
        x: Tensor,
        x_scale: Tensor,
        x_zero: Tensor,
        weight: Tensor,
        w_scale: Tensor,
        w_zero: Tensor | None,
        y_scale: Tensor,
        y_zero: Tensor,
        bias: Tensor | None = None,
    ) -> Tensor:
        x_values, w_values = _centred(x, x_zero, 1), _centred(weight, w_zero, 0)
        y = convolve(x_values, w_values.to(x_values.dtype), None if bias is None else bias.to(x_values.dtype))
        scale = x_scale * along(w_scale, y, 1, 0) / y_scale
        return quantize((y * scale).float(), torch.ones(()), y_zero, y_zero.dtype)

    return run


@operator("QLinearMatMul", since=(10, 21))
def qlinear_matmul(_: Node) -> Function:
    """Matrix product of quantised tensors, quantised again."""

    def run(
        a: Tensor,
        a_scale: Tensor,
        a_zero: Tensor,
        b: Tensor,
        b_scale: Tensor,
        b_zero: Tensor | None,
        y_scale: Tensor,
        y_zero: Tensor,
    ) -> Tensor:
        a_values, b_values = _centred(a, a_zero, -2), _centred(b, b_zero, -1)
        y = a_values @ b_values.to(a_values.dtype)
        scale = along(a_scale, y, -2, 0) * along(b_scale, y, -1, 0) / y_scale
        return quantize((y * scale).float(), torch.ones((), device=y.device), y_zero, y_zero.dtype)

    return run
