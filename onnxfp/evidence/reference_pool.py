"""Which references count: models that can answer the task, each once.

Eight files are not eight references where they are copies of one model, or models that always answer the same. Both
would narrow the null without a measurement behind it. Two rules sort a pool, on the examples and on synthetic inputs of
the base's own kind:

* a model that gives too few of the classes cannot answer the task, and is left out;
* models that agree nearly always are one model; the one of them that matches most counts.

Independent CIFAR-10 networks gave 8 to 10 of the ten classes on 500 synthetic images, and agreed on 39 to 48 % of them
and on 10 to 56 % of the examples. Copies of one network agreed on 99 to 100 % of the examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxfp.evidence.null import ReferenceCount
from onnxfp.types import Labels, Ranks

N_SYNTHETIC = 256
"""Synthetic inputs that each reference is asked besides the examples."""

SAME_AGREEMENT = 0.9
"""Share of equal labels from which on two models are taken for one."""

# A classifier of many classes gives few of them on few synthetic inputs.
_MAX_DEMANDED_CLASSES = 10


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceAnswers:
    """How one reference answered.

    Attributes:
        count: Its matches.
        labels: ``(n + s,)`` int64. Its labels of the examples, then of the synthetic inputs; -1 for no answer.
        ranks: ``(n,)`` ranks that it gives the recorded labels, or ``None`` where it gives labels only.
    """

    count: ReferenceCount
    labels: Labels
    ranks: Ranks | None


@dataclass(frozen=True, slots=True)
class ExcludedReference:
    """A reference that does not count.

    Attributes:
        digest: ``sha256:<hex>`` of its file.
        n_matches: Number of examples to which it gave the recorded label.
        n_labels: Number of different classes that it gave.
        same_as: ``sha256:<hex>`` of the reference that counts in its place, or ``None`` where it cannot answer the
            task.
    """

    digest: str
    n_matches: int
    n_labels: int
    same_as: str | None


def sort_references(
    answers: Sequence[ReferenceAnswers], n_classes: int
) -> tuple[tuple[ReferenceAnswers, ...], tuple[ExcludedReference, ...]]:
    """Return the references that count, and those that do not.

    Args:
        answers: The answers of every reference, to the same inputs in the same order.
        n_classes: Number of classes of the task.

    Returns:
        The references that count, in the order given, and the others with the reason.
    """
    counted: list[ReferenceAnswers] = []
    excluded: list[ExcludedReference] = []
    # The ones that match most first, so that of models that are alike the one that counts most stays.
    for one in sorted(answers, key=lambda one: (-one.count.n_matches, one.count.digest)):
        n_labels = len(np.unique(one.labels[one.labels >= 0]))
        alike = next((other for other in counted if _are_same(one.labels, other.labels)), None)
        if n_labels < min_labels(n_classes):
            excluded.append(ExcludedReference(one.count.digest, one.count.n_matches, n_labels, None))
        elif alike is not None:
            excluded.append(ExcludedReference(one.count.digest, one.count.n_matches, n_labels, alike.count.digest))
        else:
            counted.append(one)
    order = {one.count.digest: position for position, one in enumerate(answers)}
    counted.sort(key=lambda one: order[one.count.digest])
    return tuple(counted), tuple(sorted(excluded, key=lambda one: order[one.digest]))


def min_labels(n_classes: int) -> int:
    """Return how many different classes a reference must give to count: half of them, from 2 to 10.

    >>> min_labels(2), min_labels(10), min_labels(1000)
    (2, 5, 10)
    """
    return min(max(2, (n_classes + 1) // 2), _MAX_DEMANDED_CLASSES)


def _are_same(one: Labels, other: Labels) -> bool:
    return float((one == other).mean()) >= SAME_AGREEMENT
