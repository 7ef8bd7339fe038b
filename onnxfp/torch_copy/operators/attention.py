"""Attention and rotary embeddings.

Specification: https://onnx.ai/onnx/operators/onnx__Attention.html
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator
from onnxfp.torch_copy.tensors import torch_dtype


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Return ``(batch, sequence, heads * size)`` as ``(batch, heads, sequence, size)``; four axes stay as they are."""
    return x if x.ndim == 4 else x.reshape(*x.shape[:2], n_heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Return ``(batch, heads, sequence, size)`` as ``(batch, sequence, heads * size)``."""
    return x.transpose(1, 2).flatten(2)


def masked_softmax(scores: Tensor) -> Tensor:
    """Return the softmax along the last axis, zero in rows where everything is masked (minus infinity)."""
    is_empty = torch.isneginf(scores).all(dim=-1, keepdim=True)
    scores = scores.masked_fill(is_empty, 0.0)
    if scores.dtype == torch.float16:
        # torch would sum in single precision and round once; ONNX rounds at every step.
        powers = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
        return (powers / powers.sum(dim=-1, keepdim=True)).masked_fill(is_empty, 0.0)
    return torch.softmax(scores, dim=-1).masked_fill(is_empty, 0.0)


def visible_keys(
    n_queries: int, n_keys: int, offset: Tensor | int, *, left: int, right: int, device: torch.device
) -> Tensor:
    """Return which keys each query may attend.

    Args:
        n_queries: Length of the query sequence.
        n_keys: Length of the key sequence.
        offset: Position of the first query among the keys; one for all, or ``(batch,)``.
        left: Keys that are visible before a query's own position; -1 for all.
        right: The same after it.
        device: Where the mask is made.

    Returns:
        Boolean ``(n_queries, n_keys)``, or ``(batch, 1, n_queries, n_keys)`` where offsets differ.
    """
    query = torch.arange(n_queries, device=device)[:, None]
    query = query + (offset.to(device).reshape(-1, 1, 1, 1) if isinstance(offset, Tensor) else offset)
    distance = torch.arange(n_keys, device=device) - query
    visible = torch.ones_like(distance, dtype=torch.bool)
    if left >= 0:
        visible &= distance >= -left
    if right >= 0:
        visible &= distance <= right
    return visible


@operator("Attention", since=(23, 24, 25))
def attention(node: Node) -> Function:
    """Scaled dot product attention with masks, windows, soft cap, grouped heads and a key-value cache."""
    q_heads, kv_heads = node.int("q_num_heads", 0), node.int("kv_num_heads", 0)
    is_causal, cap, mode = (
        bool(node.int("is_causal", 0)),
        node.float("softcap", 0.0),
        node.int("qk_matmul_output_mode", 0),
    )
    left, right = node.int("left_window_size", -1), node.int("right_window_size", -1)
    right = 0 if is_causal and right != 0 else right
    precision = node.attributes.get("softmax_precision")
    given_scale = node.attributes.get("scale")

    def run(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        past_k: Tensor | None = None,
        past_v: Tensor | None = None,
        n_valid: Tensor | None = None,
    ) -> Any:
        is_linear_model = q.ndim == 3
        q, k, v = split_heads(q, q_heads), split_heads(k, kv_heads), split_heads(v, kv_heads)
        if past_k is not None and past_v is not None:
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        present = (k, v)
        n_queries, n_keys = q.shape[2], k.shape[2]
        if q.shape[1] != k.shape[1]:
            k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
        scale = 1.0 / math.sqrt(q.shape[-1]) if given_scale is None else float(given_scale)
        root = torch.tensor(math.sqrt(scale), dtype=q.dtype, device=q.device)
        scores = (q * root) @ (k * root).transpose(-1, -2)
        stages = [scores]
        if cap > 0:
            scores = cap * torch.tanh(scores / cap)
        stages.append(scores)
        bias = _bias(mask, scores, n_keys)
        offset: Tensor | int = 0 if past_k is None else past_k.shape[2]
        if n_valid is not None:
            offset = n_valid.long() - n_queries
            is_padding = torch.arange(n_keys, device=q.device) >= n_valid.to(q.device).reshape(-1, 1, 1, 1)
            bias = bias.masked_fill(is_padding, -math.inf)
        if left >= 0 or right >= 0:
            visible = visible_keys(n_queries, n_keys, offset, left=left, right=right, device=q.device)
            bias = bias.masked_fill(~visible, -math.inf)
        scores = scores + bias
        stages.append(scores)
        weights = masked_softmax(scores if precision is None else scores.to(torch_dtype(int(precision)))).to(q.dtype)
        stages.append(weights)
        y = weights @ v
        return (join_heads(y) if is_linear_model else y), *present, stages[mode]

    return run


def _bias(mask: Tensor | None, scores: Tensor, n_keys: int) -> Tensor:
    """Return a mask as what is added to the scores, as long as the keys."""
    if mask is None:
        return torch.zeros((1,) * scores.ndim, dtype=scores.dtype, device=scores.device).expand(scores.shape)
    if mask.dtype == torch.bool:
        bias = torch.zeros(mask.shape, dtype=scores.dtype, device=scores.device).masked_fill(~mask, -math.inf)
    else:
        bias = mask.to(scores.dtype)
    if bias.shape[-1] < n_keys and bias.shape[-1] > 1:
        bias = torch.nn.functional.pad(bias, (0, n_keys - bias.shape[-1]), value=-math.inf)
    return bias.expand(scores.shape)


@operator("RotaryEmbedding", since=(23,))
def rotary_embedding(node: Node) -> Function:
    """Rotates pairs of features by the position's angle: halves, or with ``interleaved`` neighbours."""
    n_heads, interleaved = node.int("num_heads", 0), bool(node.int("interleaved", 0))
    part = node.int("rotary_embedding_dim", 0)

    def run(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None) -> Tensor:
        is_linear_model = x.ndim == 3
        y = split_heads(x, n_heads)
        size = part or y.shape[-1]
        if positions is not None:
            index = positions.to(cos.device).long()
            cos, sin = cos[index], sin[index]
        cos, sin = (c[..., : size // 2].unsqueeze(1) for c in (cos, sin))
        turned, rest = y[..., :size], y[..., size:]
        if interleaved:
            a, b = turned[..., 0::2], turned[..., 1::2]
            turned = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
        else:
            a, b = turned.chunk(2, dim=-1)
            turned = torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
        y = torch.cat([turned, rest], dim=-1)
        return join_heads(y) if is_linear_model else y

    return run
