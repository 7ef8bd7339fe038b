"""Common descent: whether the matches of a suspect may come from an ancestor that it shares with the base.

Two models are *siblings by descent* where both derive from a third one, the *ancestor*, and neither from the other. A
fingerprint that survives tuning also survives the tuning that leads to a sibling. So a MATCH means common lineage
until common descent has been examined: one of the two derives from the other, or both from an ancestor.

Where an ancestor is declared, by the owner in the bundle or by the verifier, a MATCH takes more. The ancestor and at
least :data:`ENOUGH_CO_DESCENDANTS` other models that derive from it, and not from the base, are asked the same
examples.
They form a pool of their own, and a suspect must match more often than a new model of that pool may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from onnxfp.evidence.null import ReferenceCount
from onnxfp.evidence.predictive import Prediction, predict_matches

ENOUGH_CO_DESCENDANTS = 8
"""Number of co-descendants that a MATCH takes where an ancestor is declared."""

DescentStatus = Literal["not examined", "none declared", "possible", "excluded"]
"""Result on common descent.

``not examined``: nobody declared an ancestor, and nobody declared that there is none. ``none declared``: the owner
declared that the base was trained from scratch, which is the owner's word. ``possible``: an ancestor is declared, and
descent from it may explain the matches. ``excluded``: an ancestor is declared, and models that derive from it hardly
match so often.
"""

Declarer = Literal["owner", "verifier"]


@dataclass(frozen=True, slots=True)
class AncestorCount:
    """A declared ancestor of the base.

    Attributes:
        digest: ``sha256:<hex>`` of its file.
        declared_by: Who declared it.
        n_matches: Number of examples to which it gives the recorded label; ``None`` where it was not asked or has
            other classes.
    """

    digest: str
    declared_by: Declarer
    n_matches: int | None


@dataclass(frozen=True, slots=True)
class Descent:
    """The evidence on common descent.

    Attributes:
        is_from_scratch: Whether the owner declared that the base has no ancestor.
        ancestors: The declared ancestors.
        co_descendants: Match counts of other models that derive from them, asked by the verifier.
    """

    is_from_scratch: bool = False
    ancestors: tuple[AncestorCount, ...] = ()
    co_descendants: tuple[ReferenceCount, ...] = ()

    @property
    def is_declared(self) -> bool:
        """Whether an ancestor is declared; co-descendants without one declare it too."""
        return bool(self.ancestors or self.co_descendants)


def predict_descendant(descent: Descent, n_examples: int, n_candidates: int) -> Prediction | None:
    """Return how many matches a new descendant of the declared ancestors would show.

    Args:
        descent: The evidence.
        n_examples: Number n of examples.
        n_candidates: Number m of candidates, at least n; counts are out of all of them.

    Returns:
        The prediction, or ``None`` where the co-descendants are too few to tell.
    """
    if len(descent.co_descendants) < ENOUGH_CO_DESCENDANTS:
        return None
    pool = [(one.n_matches, n_examples) for one in descent.co_descendants]
    asked = [(one.n_matches, n_examples) for one in descent.ancestors if one.n_matches is not None]
    alone = predict_matches(pool, n_candidates)
    if not asked:
        return alone
    # Examples may have been kept from matching the ancestor alone: it may raise what is expected, and never lower it.
    together = predict_matches([*pool, *asked], n_candidates)
    return Prediction(np.maximum(alone.tail, together.tail), max(alone.rate, together.rate))


def find_status(descent: Descent, *, is_explained: bool) -> DescentStatus:
    """Return the result on common descent.

    Args:
        descent: The evidence.
        is_explained: Whether descent from a declared ancestor may explain the matches.
    """
    if descent.is_declared:
        return "possible" if is_explained else "excluded"
    return "none declared" if descent.is_from_scratch else "not examined"
