"""How far answers are from a linear model's: exact on linear ones, whatever is done to their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxfp.suspects.curvature import (
    MIN_CROSSED,
    MIN_CROSSED_LABELS,
    MIN_CURVATURE,
    MIN_QUADRUPLES,
    Curvature,
    count_crossed_labels,
    is_nearly_linear,
    measure_crossed,
    measure_curvature,
)

Scores = NDArray[np.float32]
N, N_CLASSES = 32, 10
CURVED = Curvature(MIN_CURVATURE, MIN_CROSSED, 0, N)


def sigmoid(scores: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-scores)), np.float32)


def normalise(scores: Scores) -> Scores:
    return np.asarray(scores / scores.sum(axis=-1, keepdims=True), np.float32)


def softmax(scores: Scores) -> Scores:
    return normalise(np.exp(scores - scores.max(axis=-1, keepdims=True)))


READINGS: dict[str, Callable[[Scores], Scores]] = {
    "values": lambda scores: scores,
    "values of another offset for each input": lambda scores: scores - scores.max(axis=-1, keepdims=True),
    "probabilities": softmax,
    "probabilities of half precision": lambda scores: softmax(scores).astype(np.float16).astype(np.float32),
    "logarithms of probabilities": lambda scores: np.log(softmax(scores)),
    "sigmoids": sigmoid,
}


def linear(seed: int = 0) -> Scores:
    """Return ``(N, 4, N_CLASSES)`` scores of a linear model: the sums of both halves are equal."""
    a, b, c = np.random.default_rng(seed).normal(size=(3, N, N_CLASSES)) * 2
    return np.stack([a, b, c, a + b - c], axis=1).astype(np.float32)


def unrelated(seed: int = 1) -> Scores:
    """Return scores of four inputs that have nothing to do with one another."""
    return np.random.default_rng(seed).normal(size=(N, 4, N_CLASSES)).astype(np.float32) * 2


@pytest.mark.parametrize("read", READINGS.values(), ids=READINGS)
def test_a_linear_model_has_none_however_scores_are_read(read: Callable[[Scores], Scores]) -> None:
    flat, curved = (measure_curvature(read(scores)) for scores in (linear(), unrelated()))
    assert flat is not None
    assert flat < 0.01
    # Four independent numbers: the root of 4 over that of 2, 1.41 on average, with a spread of a hundredth or two.
    assert curved is not None
    assert 1.0 < curved < 1.7


def test_a_part_that_is_not_linear_counts_by_its_size() -> None:
    found = [measure_curvature(linear() + np.float32(share) * unrelated()) for share in (0.0, 0.1, 0.3, 1.0)]
    assert all(value is not None for value in found)
    assert found == sorted(found, key=lambda value: value or 0.0)


def test_probabilities_that_are_mostly_rounding_show_nothing() -> None:
    assert measure_curvature(np.round(softmax(linear() * 30), 2)) is None


def test_a_constant_model_is_linear() -> None:
    assert measure_curvature(np.full((N, 4, N_CLASSES), 0.1, np.float32)) == 0.0


@pytest.mark.parametrize(
    "read",
    [
        *READINGS.values(),
        lambda scores: normalise(sigmoid(scores)),
        np.exp,
        lambda scores: np.round(softmax(scores), 2),
        lambda scores: np.round(scores),
    ],
)
def test_a_linear_model_crosses_no_order_whatever_increases_with_its_scores(read: Callable[[Scores], Scores]) -> None:
    assert measure_crossed(read(linear())) == 0
    # One of eight pairs by luck, fewer where rounding makes ties.
    assert measure_crossed(read(unrelated())) > 0.03


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 1000])
def test_all_pairs_of_few_classes_count_alike(n_classes: int) -> None:
    rising = np.arange(n_classes, dtype=np.float32)
    assert measure_crossed(np.stack([rising, rising, -rising, -rising])[np.newaxis]) == 1.0
    # Two neighbours change places, of all pairs.
    changed = rising.copy()
    changed[:2] = 1, 0
    if n_classes <= 5:
        share = measure_crossed(np.stack([rising, rising, changed, changed])[np.newaxis])
        assert share == pytest.approx(2 / (n_classes * (n_classes - 1)))


def test_labels_are_crossed_where_both_mixtures_have_another_one() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 3], [1, 1, 1, 2], [1, 2, 3, 3], [1, 1, 2, -1], [-1, -1, 2, 2]])
    assert count_crossed_labels(labels) == (1, 3)
    assert count_crossed_labels(linear().argmax(axis=2))[0] == 0


@pytest.mark.parametrize(
    "flat",
    [
        {"size": MIN_CURVATURE - 0.01},
        {"crossed": MIN_CROSSED - 0.001},
        {"size": None, "crossed": 0, "n_crossed_labels": N},
    ],
)
def test_one_thing_that_is_flat_makes_it_nearly_linear(flat: dict[str, float]) -> None:
    assert is_nearly_linear(CURVED) is False
    assert is_nearly_linear(replace(CURVED, **flat)) is True  # type: ignore[arg-type]


def test_labels_decide_where_there_are_no_scores() -> None:
    assert is_nearly_linear(Curvature(None, None, MIN_CROSSED_LABELS, MIN_CROSSED_LABELS)) is False
    assert is_nearly_linear(Curvature(None, None, MIN_CROSSED_LABELS - 1, MIN_QUADRUPLES)) is True
    assert is_nearly_linear(Curvature(None, None, MIN_CROSSED_LABELS - 1, MIN_QUADRUPLES - 1)) is None
