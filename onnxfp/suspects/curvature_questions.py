"""The questions that show how far a classifier is from a linear one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.runtime.session import Answers
from onnxfp.suspects.curvature import Curvature, count_crossed_labels, measure_crossed, measure_curvature
from onnxfp.types import Labels, Levels

MAX_QUADRUPLES = 48
"""Pairs of inputs that are mixed; each takes two more questions."""

# As the cells of the seeds (onnxfp/recipe/derivation.py): a mixture of two seeds is one more seed.
_CELLS_ACROSS, _SMALLEST_CELL = 16, 2


def ask_curvature(
    answer: Callable[[Levels], Answers], levels: Levels, answers: Answers, spatial_axes: tuple[int, ...], digest: str
) -> Curvature:
    """Ask a classifier mixtures of inputs that it was asked already: 96 questions at most.

    Pairs of inputs with one label come first: their labels show something as well.

    Args:
        answer: Asks the classifier.
        levels: ``(n, *shape)`` grid levels of the inputs, n at least 2.
        answers: Its answers to them.
        spatial_axes: Axes of one input along which neighbours are alike; empty for features.
        digest: Origin of pairs and mixtures. The bundle's digest, which nobody can choose.

    Returns:
        The curvature; without scores where there are none or not one quadruple has finite ones.

    Raises:
        SuspectError: The classifier failed while it ran.
    """
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "little")))
    one, other = _choose_pairs(answers.labels, rng.permutation(len(levels)))
    mixtures: Any = np.concatenate(_mix(levels[one], levels[other], spatial_axes, rng))
    asked = answer(mixtures)
    labels = np.stack([answers.labels[one], answers.labels[other], *np.split(asked.labels, 2)], axis=1)
    n_crossed, n_quadruples = count_crossed_labels(labels)
    if bool((labels == labels[0, 0]).all()) and _is_constant(answers):
        # It follows no example anywhere, and its answers show nothing of how it would.
        return Curvature(None, None, 0, 0)
    if answers.scores is None or asked.scores is None:
        return Curvature(None, None, n_crossed, n_quadruples)
    scores = np.stack([answers.scores[one], answers.scores[other], *np.split(asked.scores, 2)], axis=1)
    scores = scores[np.isfinite(scores).all(axis=(1, 2))]
    if not len(scores):
        return Curvature(None, None, n_crossed, n_quadruples)
    return Curvature(measure_curvature(scores), measure_crossed(scores), n_crossed, n_quadruples)


def _is_constant(answers: Answers) -> bool:
    same = answers.labels == answers.labels[0] if answers.scores is None else answers.scores == answers.scores[0]
    return bool(same.all())


def _choose_pairs(labels: Labels, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the first and second of each pair, those with one label first."""
    by_label = order[np.argsort(labels[order], kind="stable")]
    alike, position = [], 0
    while position + 1 < len(by_label):
        first, second = by_label[position : position + 2]
        is_alike = labels[first] == labels[second] >= 0
        if is_alike:
            alike.append((first, second))
        position += 2 if is_alike else 1
    # In an order that has nothing to do with labels.
    chosen = [alike[index] for index in np.argsort(order)[: len(order)] if index < len(alike)][:MAX_QUADRUPLES]
    n_more = min(MAX_QUADRUPLES - len(chosen), len(order) // 2)
    pairs = np.concatenate([np.array(chosen, np.int64).reshape(-1, 2), order[: 2 * n_more].reshape(-1, 2)])
    return pairs[:, 0], pairs[:, 1]


def _mix(a: Levels, b: Levels, spatial_axes: tuple[int, ...], rng: np.random.Generator) -> tuple[Levels, Levels]:
    """Return both inputs after an exchange of a random half of their cells."""
    shape = a.shape[1:]
    cell = max(_SMALLEST_CELL, min((shape[axis] for axis in spatial_axes), default=0) // _CELLS_ACROSS)
    # All channels of a cell together: a function of one pixel's colours is none of several pixels.
    lattice = [-(-n // cell) if axis in spatial_axes else 1 if spatial_axes else n for axis, n in enumerate(shape)]
    chosen: NDArray[np.bool_] = rng.integers(0, 2, (len(a), *lattice)).astype(bool)
    for axis in spatial_axes:
        chosen = np.take(chosen, np.arange(shape[axis]) // cell, axis=axis + 1)
    return np.where(chosen, a, b), np.where(chosen, b, a)
