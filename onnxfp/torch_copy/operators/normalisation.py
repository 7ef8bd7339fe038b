"""Normalisation layers, softmax and its kin.

Specification: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator

# Before, naming further outputs than the first was what asked for training.
_TRAINING_MODE_SINCE = 14


@operator("BatchNormalization", since=(1, 6, 7, 9, 14, 15))
def batch_normalization(node: Node) -> Function:
    """Inference mode: stored statistics. Statistics of the batch itself would make answers depend on neighbours."""
    epsilon = node.float("epsilon", 1e-5)
    if node.int("training_mode", 0):
        raise ValueError("training_mode is set: the model was exported for training")
    if node.version < _TRAINING_MODE_SINCE and node.n_outputs > 1 and not node.int("is_test", 0):
        # So onnxruntime reads it too: its answers depend on the batch.
        raise ValueError("the outputs of training are named: the model was exported for training")

    def run(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)

    return run


@operator("InstanceNormalization", since=(1, 6, 22))
def instance_normalization(node: Node) -> Function:
    """Statistics over the axes after the channels, for each example."""
    epsilon = node.float("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        # Below torch.nn.functional, which refuses a single value: as meant for training, and it is the bias here.
        return torch.instance_norm(x, scale, bias, None, None, True, 0.0, epsilon, torch.backends.cudnn.enabled)

    return run


@operator("LayerNormalization", since=(17,))
def layer_normalization(node: Node) -> Function:
    """Statistics over the axes from ``axis`` on, computed in float32."""
    axis, epsilon = node.int("axis", -1), node.float("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
        first = axis % x.ndim
        if node.n_outputs == 1 and scale.shape == x.shape[first:] and (bias is None or bias.shape == scale.shape):
            return F.layer_norm(x, x.shape[first:], scale, bias, epsilon)
        axes = tuple(range(first, x.ndim))
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        mean = wide.mean(dim=axes, keepdim=True)
        inverse = torch.rsqrt(((wide - mean) ** 2).mean(dim=axes, keepdim=True) + epsilon)
        y = ((wide - mean) * inverse).to(x.dtype) * scale
        return (y if bias is None else y + bias), mean, inverse

    return run


@operator("RMSNormalization", since=(23,))
def rms_normalization(node: Node) -> Function:
    """Division by the root mean square over the axes from ``axis`` on, computed in float32."""
    axis, epsilon = node.int("axis", -1), node.float("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor) -> Tensor:
        axes = tuple(range(axis % x.ndim, x.ndim))
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        y = wide * torch.rsqrt((wide**2).mean(dim=axes, keepdim=True) + epsilon)
        return y.to(x.dtype) * scale

    return run


@operator("GroupNormalization", since=(18, 21))
def group_normalization(node: Node) -> Function:
    """Statistics over groups of channels; opset 18 scales each group, opset 21 each channel."""
    groups, epsilon = node.int("num_groups", 1), node.float("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if node.version == 18:
            repeats = x.shape[1] // groups
            scale, bias = scale.repeat_interleave(repeats), bias.repeat_interleave(repeats)
        return F.group_norm(x, groups, scale, bias, epsilon)

    return run


@operator("LRN", since=(1, 13))
def lrn(node: Node) -> Function:
    """Local response normalisation over neighbouring channels."""
    size = node.int("size", 1)
    alpha, beta, bias = node.float("alpha", 1e-4), node.float("beta", 0.75), node.float("bias", 1.0)

    def run(x: Tensor) -> Tensor:
        # The window reaches floor((size - 1) / 2) back and ceil((size - 1) / 2) on.
        before, after = (size - 1) // 2, size // 2
        squares = F.pad((x**2).movedim(1, -1), (before, after)).unfold(-1, size, 1).sum(-1).movedim(-1, 1)
        return x / (bias + alpha / size * squares) ** beta

    return run


@operator("LpNormalization", since=(1, 22))
def lp_normalization(node: Node) -> Function:
    """Division by the 1- or 2-norm along an axis; zeros stay zero."""
    axis, p = node.int("axis", -1), node.int("p", 2)

    def run(x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, ord=p, dim=axis, keepdim=True)
        return torch.where(norm == 0, torch.zeros_like(x), x / torch.where(norm == 0, torch.ones_like(norm), norm))

    return run


@operator("MeanVarianceNormalization", since=(9, 13))
def mean_variance_normalization(node: Node) -> Function:
    """Zero mean and unit variance over ``axes``."""
    axes = node.ints("axes") or [0, 2, 3]

    def run(x: Tensor) -> Tensor:
        mean = x.mean(dim=axes, keepdim=True)
        variance = (x**2).mean(dim=axes, keepdim=True) - mean**2
        return (x - mean) / (torch.sqrt(variance) + 1e-9)

    return run


def _flattened(function: Callable[[Tensor, int], Tensor], axis: int) -> Function:
    """Return ``function`` on the input seen as a matrix, split at ``axis``: the meaning before opset 13."""

    def run(x: Tensor) -> Tensor:
        first = axis % x.ndim if x.ndim else 0
        rows = 1
        for size in x.shape[:first]:
            rows *= size
        return function(x.reshape(rows, -1), -1).reshape(x.shape)

    return run


def _hardmax(x: Tensor, axis: int) -> Tensor:
    # torch.argmax promises no particular one of several maxima; ONNX wants the first.
    is_largest = x == x.amax(dim=axis, keepdim=True)
    return (is_largest & (is_largest.cumsum(axis) == 1)).to(x.dtype)


def _register_softmax(op_type: str, function: Callable[[Tensor, int], Tensor]) -> None:
    def along_axis(node: Node) -> Function:
        axis = node.int("axis", -1)
        return lambda x: function(x, axis)

    operator(op_type, since=(1, 11))(lambda node: _flattened(function, node.int("axis", 1)))
    operator(op_type, since=(13,))(along_axis)


_register_softmax("Softmax", torch.softmax)
_register_softmax("LogSoftmax", torch.log_softmax)
_register_softmax("Hardmax", _hardmax)
