"""ai.onnx.ml: what exporters of classical machine learning write. Trees and lookups have no gradient and are absent.

Specification: https://onnx.ai/onnx/operators/index_ml.html
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from onnxfp.torch_copy.operators.registry import ML, Function, Node, operator


def _floats(node: Node, name: str) -> Tensor:
    return torch.tensor([float(v) for v in node.attributes.get(name) or []])


def _keep_weights(node: Node) -> None:
    """Let the coefficients, and the intercepts where there are any, be weights and inputs of the function."""
    for name in ("coefficients", "intercepts"):
        weight = _floats(node, name)
        if len(weight):
            node.keep_weight(name, weight)


def post_transform(scores: Tensor, name: str) -> Tensor:
    """Return scores after ``NONE``, ``SOFTMAX``, ``LOGISTIC``, ``SOFTMAX_ZERO`` or ``PROBIT``.

    Raises:
        ValueError: There is no such transformation.
    """
    if name == "NONE":
        return scores
    if name == "LOGISTIC":
        return torch.sigmoid(scores)
    if name == "SOFTMAX":
        return torch.softmax(scores, -1)
    if name == "SOFTMAX_ZERO":
        powers = torch.where(scores == 0, torch.zeros_like(scores), torch.exp(scores - scores.amax(-1, keepdim=True)))
        return powers / powers.sum(-1, keepdim=True)
    if name == "PROBIT":
        return math.sqrt(2.0) * torch.erfinv(2 * scores - 1)
    raise ValueError(f"there is no post_transform {name!r}")


@operator("LinearClassifier", since=(1,), domain=ML)
def linear_classifier(node: Node) -> Function:
    """Labels and scores of a linear model.

    One row may speak for two classes. onnxruntime then gives ``1 - s`` and ``s``, whatever is to follow, unless that
    is ``LOGISTIC``; and the label is the second class where the score is positive.
    """
    _keep_weights(node)
    labels, name = node.attributes.get("classlabels_ints"), node.text("post_transform", "NONE")
    n_labels = len(labels or node.attributes.get("classlabels_strings") or [])
    speaks_for_two = len(_floats(node, "intercepts")) == 1 and n_labels == 2
    if speaks_for_two and name == "PROBIT":
        raise ValueError("PROBIT of one row for two classes has no meaning that runtimes agree on")

    def run(x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Any:
        x = x.to(weights.dtype)
        scores = x @ weights.reshape(-1, x.shape[-1]).T
        if bias is not None:
            scores = scores + bias
        if speaks_for_two:
            best = (scores[:, 0] > 0).long()
            y = torch.cat([-scores, scores] if name == "LOGISTIC" else [1 - scores, scores], -1)
            y = torch.sigmoid(y) if name == "LOGISTIC" else y
        else:
            best, y = scores.argmax(-1), post_transform(scores, name)
        return (torch.tensor(labels, device=x.device)[best] if labels else best), y

    return run


@operator("LinearRegressor", since=(1,), domain=ML)
def linear_regressor(node: Node) -> Function:
    """Values of a linear model."""
    _keep_weights(node)
    targets, name = node.int("targets", 1), node.text("post_transform", "NONE")

    def run(x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
        y = x.to(weights.dtype) @ weights.reshape(targets, -1).T
        return post_transform(y if bias is None else y + bias, name)

    return run


@operator("Scaler", since=(1,), domain=ML)
def scaler(node: Node) -> Function:
    """``(x - offset) scale``."""
    offset, scale = _floats(node, "offset"), _floats(node, "scale")
    return lambda x: (x.float() - offset.to(x.device)) * scale.to(x.device)


@operator("Normalizer", since=(1,), domain=ML)
def normalizer(node: Node) -> Function:
    """Division by the largest value, the sum of magnitudes, or the Euclidean norm."""
    norm = node.text("norm", "MAX")

    def run(x: Tensor) -> Tensor:
        x = x.float()
        if norm == "MAX":
            size = x.amax(-1, keepdim=True)
        else:
            size = torch.linalg.vector_norm(x, ord=1 if norm == "L1" else 2, dim=-1, keepdim=True)
        return x / torch.where(size == 0, torch.ones_like(size), size)

    return run


@operator("Binarizer", since=(1,), domain=ML)
def binarizer(node: Node) -> Function:
    """One above a threshold, zero below."""
    threshold = node.float("threshold", 0.0)
    return lambda x: (x > threshold).to(x.dtype)


@operator("Imputer", since=(1,), domain=ML)
def imputer(node: Node) -> Function:
    """Missing values replaced."""
    values, missing = _floats(node, "imputed_value_floats"), node.float("replaced_value_float", math.nan)

    def run(x: Tensor) -> Tensor:
        is_missing = torch.isnan(x) if math.isnan(missing) else x == missing
        return torch.where(is_missing, values.to(x.device), x)

    return run


@operator("FeatureVectorizer", since=(1,), domain=ML)
def feature_vectorizer(_: Node) -> Function:
    """Inputs side by side."""
    return lambda *inputs: torch.cat([x.float().reshape(len(x), -1) for x in inputs], -1)


@operator("ArrayFeatureExtractor", since=(1,), domain=ML)
def array_feature_extractor(_: Node) -> Function:
    """Chosen columns."""

    def run(x: Tensor, columns: Tensor) -> Tensor:
        picked = x.index_select(-1, columns.reshape(-1).long().to(x.device))
        return picked.reshape(1, -1) if x.ndim == 1 else picked

    return run


@operator("ZipMap", since=(1,), domain=ML)
def zip_map(_: Node) -> Function:
    """The scores themselves: as maps from class to score they would only be unpacked again."""
    return lambda scores: scores
