"""Operators of com.microsoft: what onnxruntime's optimiser and quantiser leave in a graph.

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.arithmetic import gelu
from onnxfp.torch_copy.operators.attention import join_heads, masked_softmax, split_heads
from onnxfp.torch_copy.operators.convolution import bind_convolution, gemm
from onnxfp.torch_copy.operators.normalisation import layer_normalization, rms_normalization
from onnxfp.torch_copy.operators.pooling import average_pool, max_pool
from onnxfp.torch_copy.operators.quantisation import (
    dequantize,
    dequantize_linear,
    dynamic_quantize_linear,
    quantize,
    quantize_linear,
)
from onnxfp.torch_copy.operators.recurrent import activation
from onnxfp.torch_copy.operators.registry import MICROSOFT, ONNX, Factory, Function, Node, operator
from onnxfp.torch_copy.operators.shape import concat


def _microsoft(op_type: str) -> Callable[[Factory], Factory]:
    return operator(op_type, since=(1,), domain=MICROSOFT)


operator("DequantizeLinear", since=(1,), domain=MICROSOFT)(dequantize_linear)
operator("QuantizeLinear", since=(1,), domain=MICROSOFT)(quantize_linear)
# onnxruntime writes its fused normalisations into ONNX's domain whatever the opset.
operator("LayerNormalization", since=(1,), domain=ONNX)(layer_normalization)
operator("SimplifiedLayerNormalization", since=(1,), domain=ONNX)(rms_normalization)
operator("SimplifiedLayerNormalization", since=(1,), domain=MICROSOFT)(rms_normalization)
operator("RMSNormalization", since=(1,), domain=MICROSOFT)(rms_normalization)


def _fused_activation(node: Node) -> Callable[[Tensor], Tensor]:
    """Return the activation that was fused into a node, or the identity."""
    name = node.text("activation", "")
    parameters = [float(v) for v in node.attributes.get("activation_params", [])]
    if not name:
        return lambda x: x
    if name == "Clip":
        low, high = parameters
        return lambda x: x.clamp(low, high)
    alpha = parameters[0] if parameters else node.attributes.get("activation_alpha")
    beta = parameters[1] if len(parameters) > 1 else node.attributes.get("activation_beta")
    return activation(name, alpha, beta)


@_microsoft("FusedConv")
def fused_conv(node: Node) -> Function:
    """Convolution, then an addition, then an activation."""
    convolve, activate = bind_convolution(node), _fused_activation(node)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None, residual: Tensor | None = None) -> Tensor:
        y = convolve(x, weight, bias)
        return activate(y if residual is None else y + residual)

    return run


@_microsoft("FusedGemm")
def fused_gemm(node: Node) -> Function:
    """Matrix product, then an activation."""
    multiply, activate = gemm(node), _fused_activation(node)
    return lambda *inputs: activate(multiply(*inputs))


@_microsoft("FusedMatMul")
def fused_matmul(node: Node) -> Function:
    """Scaled product of transposed matrices."""
    alpha = node.float("alpha", 1.0)
    flips = [(node.int("transA", 0), node.int("transBatchA", 0)), (node.int("transB", 0), node.int("transBatchB", 0))]

    def arrange(x: Tensor, last: int, batch: int) -> Tensor:
        if batch:
            x = x.movedim(0, -2)
        return x.transpose(-1, -2) if last and x.ndim > 1 else x

    return lambda a, b: alpha * (arrange(a, *flips[0]) @ arrange(b, *flips[1]))


operator("Gelu", since=(1,), domain=MICROSOFT)(gelu)


@_microsoft("BiasGelu")
def bias_gelu(_: Node) -> Function:
    """Gelu of a sum."""
    return lambda x, bias: F.gelu(x + bias)


@_microsoft("FastGelu")
def fast_gelu(_: Node) -> Function:
    """Gelu of a sum by its tanh approximation."""
    return lambda x, bias=None: F.gelu(x if bias is None else x + bias, approximate="tanh")


@_microsoft("QuickGelu")
def quick_gelu(node: Node) -> Function:
    """``x sigmoid(alpha x)``."""
    alpha = node.float("alpha", 1.702)
    return lambda x: x * torch.sigmoid(alpha * x)


@_microsoft("SkipLayerNormalization")
def skip_layer_normalization(node: Node) -> Function:
    """Layer normalisation of a sum, and the sum."""
    epsilon = node.float("epsilon", 1e-5)

    def run(x: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None, bias: Tensor | None = None) -> Any:
        total = x + skip if bias is None else x + skip + bias
        return F.layer_norm(total, total.shape[-1:], gamma, beta, epsilon), None, None, total

    return run


@_microsoft("BiasAdd")
def bias_add(_: Node) -> Function:
    """Sum of three."""
    return lambda x, bias, skip: x + bias + skip


@_microsoft("Attention")
def packed_attention(node: Node) -> Function:
    """Self-attention with the three projections in one weight."""
    heads, scale = node.int("num_heads", 1), node.float("scale", 0.0)
    sizes = node.ints("qkv_hidden_sizes")
    if node.int("unidirectional", 0):
        raise ValueError("unidirectional attention is not supported")

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None, mask: Tensor | None = None, *others: Any) -> Tensor:
        if mask is not None or any(other is not None for other in others):
            raise ValueError("masks and caches of this operator are not supported")
        y = x @ weight if bias is None else x @ weight + bias
        widths = sizes or [y.shape[-1] // 3] * 3
        q, k, v = (split_heads(part, heads) for part in torch.split(y, widths, dim=-1))
        factor = scale or 1.0 / math.sqrt(q.shape[-1])
        return join_heads(masked_softmax(q @ k.transpose(-1, -2) * factor) @ v)

    return run


@_microsoft("MultiHeadAttention")
def multi_head_attention(node: Node) -> Function:
    """Attention on projected queries, keys and values."""
    heads, scale = node.int("num_heads", 1), node.float("scale", 0.0)

    def run(
        q: Tensor,
        k: Tensor | None = None,
        v: Tensor | None = None,
        bias: Tensor | None = None,
        mask: Tensor | None = None,
        added: Tensor | None = None,
        *others: Any,
    ) -> Tensor:
        if k is None or v is None or mask is not None or any(other is not None for other in others):
            raise ValueError("packed inputs, key masks and caches of this operator are not supported")
        if bias is not None:
            width = q.shape[-1]
            b_q, b_k, b_v = torch.split(bias, [width, width, len(bias) - 2 * width])
            q, k, v = q + b_q, k + b_k, v + b_v
        q, k, v = split_heads(q, heads), split_heads(k, heads), split_heads(v, heads)
        scores = q @ k.transpose(-1, -2) * (scale or 1.0 / math.sqrt(q.shape[-1]))
        return join_heads(masked_softmax(scores if added is None else scores + added) @ v)

    return run


def _requantised(function: Callable[..., Tensor], n_operands: int) -> Factory:
    """Return an operator on ``(value, scale, zero)`` triples, quantised again to the scale and zero that follow."""

    def factory(_: Node) -> Function:
        def run(*inputs: Any) -> Tensor:
            operands = [dequantize(*inputs[3 * i : 3 * i + 3]) for i in range(n_operands)]
            scale, zero = inputs[3 * n_operands], inputs[3 * n_operands + 1]
            return quantize(function(*operands), scale, zero, zero.dtype)

        return run

    return factory


_microsoft("QLinearAdd")(_requantised(torch.add, 2))
_microsoft("QLinearMul")(_requantised(torch.mul, 2))
_microsoft("QLinearSigmoid")(_requantised(torch.sigmoid, 1))


@_microsoft("QLinearLeakyRelu")
def qlinear_leaky_relu(node: Node) -> Function:
    """LeakyRelu of a quantised tensor."""
    alpha = node.float("alpha", 0.01)
    return _requantised(lambda x: F.leaky_relu(x, alpha), 1)(node)


@_microsoft("QLinearSoftmax")
def qlinear_softmax(node: Node) -> Function:
    """Softmax of a quantised tensor; before opset 13, of it as a matrix."""
    axis, is_old = node.int("axis", -1), node.int("opset", 13) < 13

    def softmax(x: Tensor) -> Tensor:
        return torch.softmax(x.flatten(axis % x.ndim), -1).reshape(x.shape) if is_old else torch.softmax(x, axis)

    return _requantised(softmax, 1)(node)


@_microsoft("QLinearGlobalAveragePool")
def qlinear_global_average_pool(node: Node) -> Function:
    """Mean over the image."""
    first = 1 if node.int("channels_last", 0) else 2
    return _requantised(lambda x: x.mean(dim=tuple(range(first, first + x.ndim - 2)), keepdim=True), 1)(node)


@_microsoft("QLinearAveragePool")
def qlinear_average_pool(node: Node) -> Function:
    """Mean of each window."""
    return _requantised(average_pool(node), 1)(node)


@_microsoft("NhwcMaxPool")
def nhwc_max_pool(node: Node) -> Function:
    """Largest of each window, channels last."""
    pool = max_pool(node)
    return lambda x: pool(x.movedim(-1, 1)).movedim(1, -1)


@_microsoft("QLinearConcat")
def qlinear_concat(node: Node) -> Function:
    """Quantised tensors of different scales, joined."""
    join = concat(node)

    def run(scale: Tensor, zero: Tensor, *triples: Tensor) -> Tensor:
        parts = [dequantize(*triples[i : i + 3]) for i in range(0, len(triples), 3)]
        return quantize(join(*parts), scale, zero, zero.dtype)

    return run


@_microsoft("QGemm")
def qgemm(node: Node) -> Function:
    """Matrix product of quantised tensors, quantised again where an output scale is given."""
    trans_a, trans_b, alpha = node.int("transA", 0), node.int("transB", 0), node.float("alpha", 1.0)

    def run(
        a: Tensor,
        a_scale: Tensor,
        a_zero: Tensor,
        b: Tensor,
        b_scale: Tensor,
        b_zero: Tensor | None,
        c: Tensor | None = None,
        y_scale: Tensor | None = None,
        y_zero: Tensor | None = None,
    ) -> Tensor:
        # A scale for each column of the product stands along the last axis once the matrix is turned.
        y = dequantize(a.T if trans_a else a, a_scale, a_zero) @ dequantize(b.T if trans_b else b, b_scale, b_zero)
        y = alpha * y
        if c is not None:
            y = y + c.to(torch.float32) * (alpha * a_scale * b_scale)
        return y if y_scale is None or y_zero is None else quantize(y, y_scale, y_zero, y_zero.dtype)

    return run


@_microsoft("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(node: Node) -> Function:
    """Float times int8, the float quantised on the fly."""
    quantize_now = dynamic_quantize_linear(node)

    def run(a: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        q, scale, zero = quantize_now(a)
        y = dequantize(q, scale, zero) @ dequantize(b, b_scale, b_zero)
        return y if bias is None else y + bias

    return run


@_microsoft("MatMulIntegerToFloat")
def matmul_integer_to_float(_: Node) -> Function:
    """Product of two quantised matrices, as float."""

    def run(
        a: Tensor,
        b: Tensor,
        a_scale: Tensor,
        b_scale: Tensor,
        a_zero: Tensor | None = None,
        b_zero: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        y = dequantize(a, a_scale, a_zero) @ dequantize(b, b_scale, b_zero)
        return y if bias is None else y + bias

    return run
