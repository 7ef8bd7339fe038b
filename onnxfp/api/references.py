"""Pools of unassociated models: opened before the long work, asked after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from onnxfp.bundle.manifest import BaseModel
from onnxfp.evidence.null import ReferenceCount
from onnxfp.evidence.statistics import count_matches
from onnxfp.evidence.top_k import rank_labels
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.types import InputGrid, Labels, Levels, Ranks


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredReference:
    """How one reference answered the examples.

    Attributes:
        count: Its matches.
        ranks: ``(n,)`` ranks that it gives the recorded labels, or ``None`` where it gives labels only.
    """

    count: ReferenceCount
    ranks: Ranks | None


def measure_pool(
    pool: list[ModelSession], levels: Levels, labels: Labels, base: BaseModel, grid: InputGrid
) -> Iterable[MeasuredReference]:
    """Yield how each reference answers the examples.

    Args:
        pool: The open references.
        levels: ``(n, *shape)`` grid levels of the examples.
        labels: ``(n,)`` recorded labels.
        base: The base that the examples were crafted on.
        grid: The grid of the examples.

    Raises:
        ContractError: A reference takes examples of another shape.
        SuspectError: A reference failed while it ran.
    """
    for session in pool:
        answers = OnnxSuspect(session, base.input, grid).answer(levels)
        count = ReferenceCount(session.model.digest, count_matches(labels, answers.labels), len(labels))
        yield MeasuredReference(count, rank_labels(labels, answers.scores))
