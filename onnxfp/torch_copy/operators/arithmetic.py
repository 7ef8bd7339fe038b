"""Element-wise operators: arithmetic, activations, comparisons, logic, casts.

Specification: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator
from onnxfp.torch_copy.operators.straight_through import (
    as_integers,
    carries_gradient,
    integer_type,
    integers,
    straight_through,
)
from onnxfp.torch_copy.tensors import torch_dtype

_CAST_VERSIONS = (1, 6, 9, 13, 19, 21, 23, 24, 25, 28)


def _plain(op_type: str, since: tuple[int, ...], function: Function) -> None:
    """Register an operator that has no attributes and is one torch function."""
    operator(op_type, since=since)(lambda _: function)


def _bitwise(function: Function, smooth: Function) -> Function:
    """Return an operator on bits which has the gradient of ``smooth`` where floats stand for the integers."""

    def run(*inputs: Tensor) -> Any:
        return (function if all(integer_type(x) is None for x in inputs) else smooth)(*inputs)

    return run


_plain("Abs", (1, 6, 13), torch.abs)
_plain("Acos", (7, 22), torch.acos)
_plain("Acosh", (9, 22), torch.acosh)
_plain("And", (7,), torch.logical_and)
_plain("Asin", (7, 22), torch.asin)
_plain("Asinh", (9, 22), torch.asinh)
_plain("Atan", (7, 22), torch.atan)
_plain("Atanh", (9, 22), torch.atanh)
_plain("BitwiseAnd", (18,), _bitwise(torch.bitwise_and, torch.add))
_plain("BitwiseNot", (18,), _bitwise(torch.bitwise_not, torch.neg))
_plain("BitwiseOr", (18,), _bitwise(torch.bitwise_or, torch.add))
_plain("BitwiseXor", (18,), _bitwise(torch.bitwise_xor, torch.add))
_plain("Ceil", (1, 6, 13), straight_through(torch.ceil))
_plain("Cos", (7, 22), torch.cos)
_plain("Cosh", (9, 22), torch.cosh)
_plain("Equal", (7, 11, 13, 19), torch.eq)
_plain("Erf", (9, 13), torch.erf)
_plain("Exp", (1, 6, 13), torch.exp)
_plain("Floor", (1, 6, 13), straight_through(torch.floor))
_plain("Greater", (7, 9, 13), torch.gt)
_plain("GreaterOrEqual", (12, 16), torch.ge)
_plain("HardSwish", (14, 22), F.hardswish)
_plain("Identity", (1, 13, 14, 16, 19, 21, 23, 24, 25), lambda x: x)
_plain("IsNaN", (9, 13, 20), torch.isnan)
_plain("Less", (7, 9, 13), torch.lt)
_plain("LessOrEqual", (12, 16), torch.le)
_plain("Log", (1, 6, 13), torch.log)
_plain("Mish", (18, 22), F.mish)
_plain("Neg", (1, 6, 13), torch.neg)
_plain("Not", (1,), torch.logical_not)
_plain("Or", (7,), torch.logical_or)
_plain("Reciprocal", (1, 6, 13), torch.reciprocal)
_plain("Relu", (1, 6, 13, 14), torch.relu)
_plain("Round", (11, 22), straight_through(torch.round))
_plain("Sigmoid", (1, 6, 13), torch.sigmoid)
_plain("Sin", (7, 22), torch.sin)
_plain("Sinh", (9, 22), torch.sinh)
_plain("Softplus", (1, 22), lambda x: torch.logaddexp(x, torch.zeros_like(x)))
_plain("Softsign", (1, 22), F.softsign)
_plain("Sqrt", (1, 6, 13), torch.sqrt)
_plain("Tan", (7, 22), torch.tan)
_plain("Tanh", (1, 6, 13), torch.tanh)
_plain("Where", (9, 16), torch.where)
_plain("Xor", (7,), torch.logical_xor)


def _broadcast_before_7(node: Node, function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """Return a binary function with the explicit, axis-aligned broadcasting of opsets 1 to 6."""
    axis = node.int("axis", -1)

    def run(a: Tensor, b: Tensor) -> Tensor:
        if axis >= 0 and b.ndim:
            b = b.reshape(b.shape + (1,) * (a.ndim - axis - b.ndim))
        return function(a, b)

    return run


def _binary(
    op_type: str, function: Callable[[Tensor, Tensor], Tensor], old: tuple[int, ...], new: tuple[int, ...]
) -> None:
    operator(op_type, since=old)(lambda node: _broadcast_before_7(node, function))
    operator(op_type, since=new)(lambda _: function)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _power(a: Tensor, b: Tensor) -> Tensor:
    # The result has the type of the base, whatever the exponent's.
    return torch.pow(a, b).to(a.dtype)


_binary("Add", torch.add, (1, 6), (7, 13, 14))
_binary("Sub", torch.sub, (1, 6), (7, 13, 14))
_binary("Mul", torch.mul, (1, 6), (7, 13, 14))
_binary("Div", _divide, (1, 6), (7, 13, 14))
_binary("Pow", _power, (1,), (7, 12, 13, 15))
_binary("Equal", torch.eq, (1,), ())
_binary("Greater", torch.gt, (1,), ())
_binary("Less", torch.lt, (1,), ())
_binary("And", torch.logical_and, (1,), ())
_binary("Or", torch.logical_or, (1,), ())
_binary("Xor", torch.logical_xor, (1,), ())


@operator("Sign", since=(9, 13))
def sign(_: Node) -> Function:
    """-1, 0 or 1."""
    return torch.sign


@operator("Mod", since=(10, 13, 28))
def mod(node: Node) -> Function:
    """Remainder with the divisor's sign, or with ``fmod=1`` the dividend's."""
    return torch.fmod if node.int("fmod", 0) else torch.remainder


@operator("BitShift", since=(11, 28))
def bit_shift(node: Node) -> Function:
    """Shift by as many bits as the second input says."""
    if node.text("direction", "LEFT") == "LEFT":
        return _bitwise(torch.bitwise_left_shift, lambda x, n: x * 2.0**n)
    return _bitwise(torch.bitwise_right_shift, lambda x, n: x * 0.5**n)


def _variadic(op_type: str, since: tuple[int, ...], function: Callable[[Tensor, Tensor], Tensor]) -> None:
    operator(op_type, since=since)(lambda _: lambda *inputs: reduce(function, inputs))


_variadic("Max", (1, 6, 8, 12, 13), torch.maximum)
_variadic("Min", (1, 6, 8, 12, 13), torch.minimum)
_variadic("Sum", (1, 6, 8, 13), torch.add)


@operator("Mean", since=(1, 6, 8, 13))
def mean(_: Node) -> Function:
    """Mean of all inputs."""
    return lambda *inputs: reduce(torch.add, inputs) / len(inputs)


@operator("Clip", since=(1, 6))
def clip_attributes(node: Node) -> Function:
    """Limits in attributes."""
    low, high = node.float("min", -math.inf), node.float("max", math.inf)
    return lambda x: torch.clamp(x, low, high)


@operator("Clip", since=(11, 12, 13))
def clip(_: Node) -> Function:
    """Limits as inputs; where they cross, the upper one wins."""

    def run(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        if low is not None:
            x = torch.maximum(x, low)
        return x if high is None else torch.minimum(x, high)

    return run


@operator("IsInf", since=(10, 20))
def is_inf(node: Node) -> Function:
    """Infinities of the signs that are asked for."""
    negative, positive = node.int("detect_negative", 1), node.int("detect_positive", 1)
    if negative and positive:
        return torch.isinf
    if negative:
        return torch.isneginf
    return torch.isposinf if positive else lambda x: torch.zeros_like(x, dtype=torch.bool)


@operator("Elu", since=(1, 6, 22))
def elu(node: Node) -> Function:
    """``alpha (exp(x) - 1)`` below zero."""
    alpha = node.float("alpha", 1.0)
    return lambda x: F.elu(x, alpha)


@operator("Celu", since=(12, 28))
def celu(node: Node) -> Function:
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))``."""
    alpha = node.float("alpha", 1.0)
    return lambda x: F.celu(x, alpha)


@operator("Selu", since=(1, 6, 22))
def selu(node: Node) -> Function:
    """Scaled Elu; opset 1 had shorter constants."""
    alpha = node.float("alpha", 1.6732 if node.version == 1 else 1.67326319217681884765625)
    gamma = node.float("gamma", 1.0507 if node.version == 1 else 1.05070102214813232421875)
    return lambda x: gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp_max(x, 0)))


@operator("LeakyRelu", since=(1, 6, 16))
def leaky_relu(node: Node) -> Function:
    """``alpha x`` below zero."""
    alpha = node.float("alpha", 0.01)
    return lambda x: F.leaky_relu(x, alpha)


@operator("PRelu", since=(1, 6))
def prelu_per_channel(_: Node) -> Function:
    """A slope for each channel."""

    def run(x: Tensor, slope: Tensor) -> Tensor:
        if slope.numel() > 1 and slope.ndim == 1:
            slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
        return torch.where(x < 0, x * slope, x)

    return run


@operator("PRelu", since=(7, 9, 16))
def prelu(_: Node) -> Function:
    """A slope that broadcasts against the input."""
    return lambda x, slope: torch.where(x < 0, x * slope, x)


@operator("ThresholdedRelu", since=(10, 22))
def thresholded_relu(node: Node) -> Function:
    """Zero up to alpha."""
    alpha = node.float("alpha", 1.0)
    return lambda x: torch.where(x > alpha, x, torch.zeros_like(x))


@operator("HardSigmoid", since=(1, 6, 22))
def hard_sigmoid(node: Node) -> Function:
    """``alpha x + beta`` within [0, 1]."""
    alpha, beta = node.float("alpha", 0.2), node.float("beta", 0.5)
    return lambda x: torch.clamp(alpha * x + beta, 0, 1)


@operator("Shrink", since=(9,))
def shrink(node: Node) -> Function:
    """Zero within ``[-lambd, lambd]``, nearer to zero by ``bias`` outside."""
    lambd, bias = node.float("lambd", 0.5), node.float("bias", 0.0)
    return lambda x: torch.where(x > lambd, x - bias, torch.where(x < -lambd, x + bias, torch.zeros_like(x)))


@operator("Gelu", since=(20,))
def gelu(node: Node) -> Function:
    """Exact, or by its tanh approximation."""
    approximate = node.text("approximate", "none")
    return lambda x: F.gelu(x, approximate=approximate)


@operator("Swish", since=(24,))
def swish(node: Node) -> Function:
    """``x sigmoid(alpha x)``."""
    alpha = node.float("alpha", 1.0)
    return lambda x: x * torch.sigmoid(alpha * x)


@operator("SwiGLU", since=(28,))
def swiglu(node: Node) -> Function:
    """``Swish(a) b``."""
    alpha = node.float("alpha", 1.0)
    return lambda a, b: a * torch.sigmoid(alpha * a) * b


@operator("Dropout", since=(1, 6, 7, 10, 12, 13, 22))
def dropout(node: Node) -> Function:
    """The identity at inference; with ``training_mode`` set, a ratio of zero is all that has one meaning."""

    def run(x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Any:
        if training is not None and bool(training) and (ratio is None or float(ratio.detach()) > 0):
            raise ValueError("the node drops values at random (training_mode is set)")
        return (x, torch.ones_like(x, dtype=torch.bool)) if node.n_outputs > 1 else x

    return run


@operator("Cast", since=_CAST_VERSIONS)
def cast(node: Node) -> Function:
    """Another element type. An integer type rounds towards zero and passes the gradient straight through."""
    target = torch_dtype(node.int("to", 1))
    return lambda x: _cast(x, target)


@operator("CastLike", since=(15, 19, 21, 23, 24, 25))
def cast_like(_: Node) -> Function:
    """The element type of the second input."""
    return lambda x, like: _cast(x, like.dtype)


def _cast(x: Tensor, target: torch.dtype) -> Tensor:
    given: Tensor = integers(x)
    if not carries_gradient(x) or target == torch.bool:
        return given.to(target)
    if not target.is_floating_point:
        # An image that is cast to bytes and back again: keep it differentiable.
        return as_integers(x, given.detach().to(target))
    # The copy of what stands for integers must be another tensor, which does not.
    return x.to(target, copy=integer_type(x) is not None)
