"""How near the suspect's scores come to the recorded labels, where it gives scores."""

from __future__ import annotations

import numpy as np

from onnxfp.errors import ShapeError
from onnxfp.types import Labels, Ranks, Scores

LADDER = (5, 10, 50, 100)
"""Every ``k`` that is counted, where there are more classes."""


def rank_labels(recorded: Labels, scores: Scores | None) -> Ranks | None:
    """Return the rank of each recorded label: the number of classes whose score is at least its own.

    Ties count against the label, so that a model of constant scores ranks every label last. So does an example with a
    score that is not finite, which is no answer.

    Args:
        recorded: ``(n,)`` int64. Class index the base model gave each input.
        scores: ``(n, n_classes)`` scores in the same order, or ``None``.

    Returns:
        ``(n,)`` ranks in ``[1, n_classes]``; ``None`` without scores.

    Raises:
        ShapeError: ``n`` is zero, or the arrays do not belong together.

    >>> scores = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.5, 0.5, np.nan]], np.float32)
    >>> rank_labels(np.array([1, 0, 0]), scores).tolist()
    [1, 2, 3]
    """
    if scores is None:
        return None
    if len(recorded) == 0 or scores.shape[:-1] != recorded.shape or recorded.max() >= scores.shape[-1]:
        raise ShapeError(f"recorded labels {recorded.shape} and scores {scores.shape} do not belong together")
    own = np.take_along_axis(scores, recorded[:, None], axis=1)
    ranks: Ranks = (scores >= own).sum(axis=1, dtype=np.int64)
    ranks[~np.isfinite(scores).all(axis=1)] = scores.shape[1]
    return ranks


def count_within(ranks: Ranks, k: int) -> int:
    """Return the number of examples whose recorded label is within the top ``k``."""
    return int(np.count_nonzero(ranks <= k))
