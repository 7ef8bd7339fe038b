"""Pruning without retraining: the smallest weights, or whole output channels, become zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxfp.errors import ModelError, ParameterError
from onnxfp.model.op_traits import find_traits
from onnxfp.variants.constants import use_counts
from onnxfp.variants.weights import Array, Weight, change_weights, find_weights, normalise, with_weights


def prune_globally(model: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """Return a copy whose smallest weights are zero, whatever their layer.

    Args:
        model: The base.
        share: Share of all weights that becomes zero, in ``(0, 1)``, exact to one weight.

    Raises:
        ParameterError: ``share`` lies outside its range.
        ModelError: The model has no weights.
    """
    return _prune_least(model, share, np.abs)


def prune_adaptively(model: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """Return a copy whose least important weights are zero, where importance is relative to the layer.

    Batch normalisation folded into a convolution scales layers unevenly, and magnitudes then do not compare between
    them. A weight's score here is its square over the sum of the squares of the weights of its layer that are not
    smaller, which no scale of the layer changes: without retraining, far more of such a model can be pruned.

    Args:
        model: The base.
        share: Share of all weights that becomes zero, in ``(0, 1)``, exact to one weight.

    Raises:
        ParameterError: ``share`` lies outside its range.
        ModelError: The model has no weights.

    References:
        Lee et al., *Layer-adaptive Sparsity for the Magnitude-based Pruning*, arXiv:2010.07611.
    """

    def score(values: Array) -> Array:
        squares = np.square(values.reshape(-1), dtype=np.float64)
        order = np.argsort(-squares, kind="stable")
        larger = np.cumsum(squares[order])
        scores = np.empty_like(squares)
        scores[order] = squares[order] / np.where(larger > 0, larger, 1.0)
        return scores.reshape(values.shape).astype(np.float32)

    return _prune_least(model, share, score)


def prune_layers(model: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """Return a copy in each of whose layers the smallest weights are zero.

    Args:
        model: The base.
        share: Share of each layer's weights that becomes zero, in ``(0, 1)``, exact to one weight.

    Raises:
        ParameterError: ``share`` lies outside its range.
        ModelError: The model has no weights.
    """
    _check(share)

    def change(weight: Weight) -> Array:
        kept = _all_but_least(np.abs(weight.values).ravel(), share)
        return np.asarray(weight.values * kept.reshape(weight.values.shape))

    return change_weights(model, change)


def prune_channels(model: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """Return a copy in each of whose hidden layers the output channels of the smallest norm are zero.

    The last layer stays whole: its channels are the classes. A channel goes with its bias, and with what batch
    normalisation or an added bias right behind its layer would make of zero.

    Args:
        model: The base.
        share: Share of each layer's output channels that becomes zero, in ``(0, 1)``, rounded down.

    Raises:
        ParameterError: ``share`` lies outside its range.
        ModelError: No hidden layer has channels enough.
    """
    _check(share)
    model = normalise(model)
    # One that two layers take is neither's alone.
    counts = use_counts(model)
    single = [tensor for tensor in model.graph.initializer if counts[tensor.name] == 1]
    vectors = {t.name: numpy_helper.to_array(t) for t in single if prod(t.dims) == max(t.dims, default=0)}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in set(node.input):
            readers.setdefault(name, []).append(node)
    changed: dict[str, NDArray[Any]] = {}
    for weight in find_weights(model)[:-1]:
        axis = weight.channel_axis
        if axis is None or not (n_pruned := int(share * weight.values.shape[axis])):
            continue
        others = tuple(a for a in range(weight.values.ndim) if a != axis)
        norms = np.sqrt(np.square(weight.values.astype(np.float64)).sum(axis=others))
        kept = np.ones(len(norms), np.float32)
        kept[np.argsort(norms, kind="stable")[:n_pruned]] = 0.0
        changed[weight.name] = weight.values * kept.reshape([-1 if a == axis else 1 for a in range(weight.values.ndim)])
        for name, from_end in _offsets(weight, readers).items():
            values = vectors.get(name, np.empty(0))
            if values.ndim >= from_end and values.shape[-from_end] == values.size == len(kept):
                changed[name] = values * kept.reshape([-1 if n > 1 else 1 for n in values.shape])
    if not changed:
        raise ModelError(f"no hidden layer has channels enough to prune {share:.0%} of them")
    return with_weights(model, changed)


def _offsets(weight: Weight, readers: Mapping[str, Sequence[onnx.NodeProto]]) -> dict[str, int]:
    """Return what makes something of a layer's channel that is zero: axes of the channels, from the end, by name."""
    layer, made = weight.node, weight.node.output[0]
    kind = find_traits(layer.domain, layer.op_type).layer
    is_convolution, is_gemm = kind in ("convolution", "transposed convolution"), kind == "affine"
    axes = dict.fromkeys(layer.input[2:3], 1)
    for node in readers.get(made, ()):
        if node.op_type == "BatchNormalization" and node.input[0] == made and (is_convolution or is_gemm):
            axes |= dict.fromkeys(node.input[1:3], 1)
        elif node.op_type == "Add" and (is_convolution or is_gemm or kind == "product"):
            axes |= dict.fromkeys(set(node.input) - {made}, weight.values.ndim - 1 if is_convolution else 1)
    return axes


def _prune_least(model: onnx.ModelProto, share: float, score: Callable[[Array], Array]) -> onnx.ModelProto:
    _check(share)
    model = normalise(model)
    weights = find_weights(model)
    kept = _all_but_least(np.concatenate([score(weight.values).ravel() for weight in weights]), share)
    masks = np.split(kept, np.cumsum([weight.values.size for weight in weights])[:-1])
    return with_weights(
        model, {w.name: w.values * mask.reshape(w.values.shape) for w, mask in zip(weights, masks, strict=True)}
    )


def _all_but_least(scores: Array, share: float) -> NDArray[np.bool_]:
    n_pruned = round(share * len(scores))
    kept = np.ones(len(scores), bool)
    kept[np.argpartition(scores, max(0, n_pruned - 1))[:n_pruned]] = False
    return kept


def _check(share: float) -> None:
    if not 0 < share < 1:
        raise ParameterError(f"the share of pruned weights lies in (0, 1); found {share}")
