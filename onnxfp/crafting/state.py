"""What a generation has to show so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxfp.recipe.derivation import DerivationContext
from onnxfp.types import Labels, Levels


@dataclass(frozen=True, slots=True, eq=False)
class Crafted:
    """The examples kept so far; enough to go on from after an interruption.

    Attributes:
        levels: ``(n, *shape)`` grid levels.
        labels: ``(n,)`` int64 labels, as derived and as the base gives them.
        indices: ``(n,)`` int64 candidate indices, strictly increasing.
        n_candidates: Number of candidates tried.
        noise: Weight noise in force for the next batch.
    """

    levels: Levels
    labels: Labels
    indices: NDArray[np.int64]
    n_candidates: int
    noise: float

    @classmethod
    def none_yet(cls, context: DerivationContext) -> Crafted:
        """Return the state before the first batch."""
        empty = np.empty(0, np.int64)
        return cls(np.empty((0, *context.shape), context.grid.dtype), empty, empty, 0, context.recipe.noise)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands.

    Attributes:
        n_kept: Examples kept.
        n_wanted: Examples asked for.
        n_candidates: Candidates tried.
        step: Gradient steps taken in the current batch.
        n_steps: Gradient steps of a batch.
        batch_size: Candidates in the current batch.
        loss: Mean loss of the current batch, in nats.
    """

    n_kept: int
    n_wanted: int
    n_candidates: int
    step: int
    n_steps: int
    batch_size: int
    loss: float
