"""Pruning without retraining: the smallest weights, or whole output channels, become zero."""

from __future__ import annotations

import numpy as np
import onnx

from onnxfp.errors import ModelError, ParameterError
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
    _check(share)
    model = normalise(model)
    weights = find_weights(model)
    magnitudes = np.concatenate([np.abs(weight.values).ravel() for weight in weights])
    smallest = np.argpartition(magnitudes, n_pruned := round(share * len(magnitudes)))[:n_pruned]
    keep = np.ones(len(magnitudes), bool)
    keep[smallest] = False
    ends = np.cumsum([weight.values.size for weight in weights])[:-1]
    masks = np.split(keep, ends)
    return with_weights(
        model, {w.name: w.values * mask.reshape(w.values.shape) for w, mask in zip(weights, masks, strict=True)}
    )


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
        values = weight.values.copy()
        flat = values.reshape(-1)
        flat[np.argpartition(np.abs(flat), n_pruned := round(share * flat.size))[:n_pruned]] = 0.0
        return values

    return change_weights(model, change)


def prune_channels(model: onnx.ModelProto, share: float) -> onnx.ModelProto:
    """Return a copy in each of whose hidden layers the output channels of the smallest norm are zero.

    The last layer stays whole: its channels are the classes. Biases stay, so that a pruned channel gives a constant.

    Args:
        model: The base.
        share: Share of each layer's output channels that becomes zero, in ``(0, 1)``, rounded down.

    Raises:
        ParameterError: ``share`` lies outside its range.
        ModelError: No hidden layer has channels enough.
    """
    _check(share)
    model = normalise(model)
    changed = {}
    for weight in find_weights(model)[:-1]:
        axis = weight.channel_axis
        if axis is None or not (n_pruned := int(share * weight.values.shape[axis])):
            continue
        others = tuple(a for a in range(weight.values.ndim) if a != axis)
        norms = np.sqrt(np.square(weight.values.astype(np.float64)).sum(axis=others))
        kept = np.ones(len(norms), np.float32)
        kept[np.argsort(norms, kind="stable")[:n_pruned]] = 0.0
        changed[weight.name] = weight.values * kept.reshape([-1 if a == axis else 1 for a in range(weight.values.ndim)])
    if not changed:
        raise ModelError(f"no hidden layer has channels enough to prune {share:.0%} of them")
    return with_weights(model, changed)


def _check(share: float) -> None:
    if not 0 < share < 1:
        raise ParameterError(f"the share of pruned weights lies in (0, 1); found {share}")
