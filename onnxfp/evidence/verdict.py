"""Policy and verdict: the requirements for calling a suspect derived from the base.

:func:`judge` is the one way from counts to a verdict. A report holds everything that it takes, so that whoever reads a
report computes p-value, null, requirement and verdict again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import numpy as np

from onnxfp.errors import ParameterError
from onnxfp.evidence.lineage import Descent, DescentStatus, find_status, predict_descendant
from onnxfp.evidence.null import Null, NullRate, ReferenceCount, estimate_null
from onnxfp.evidence.priors import Conditions, find_prior


class Verdict(Enum):
    """The answer to: do suspect and base share a lineage?"""

    MATCH = "MATCH"
    NO_MATCH = "NO_MATCH"
    INCONCLUSIVE = "INCONCLUSIVE"


Reason = Literal[
    "significant",
    "insignificant",
    "remarkable",
    "crafted",
    "few examples",
    "few answers",
    "no references",
    "no count suffices",
    "descent",
    "descent unknown",
    "chosen input",
]
"""Ground of a verdict; :func:`onnxfp.report.wording.explain_reason` puts it into words."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Requirements for a verdict.

    Attributes:
        alpha: Largest p-value that is a MATCH: the rate at which unassociated models would be accused.
        no_match_above: Largest p-value that is not yet a NO_MATCH; between the two the verdict is INCONCLUSIVE.
        min_examples: Fewest answered examples that any verdict is built on.
        min_answered: Smallest share of the examples that the suspect must have answered.
        needs_references: Whether a verdict without the verifier's own references is INCONCLUSIVE.
        confidence: Coverage of the interval on the match rate.

    Raises:
        ParameterError: A field is outside its range.
    """

    alpha: float = 1e-6
    no_match_above: float = 1e-2
    min_examples: int = 20
    min_answered: float = 0.9
    needs_references: bool = False
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= self.no_match_above < 1.0:
            raise ParameterError(
                f"0 < alpha <= no_match_above < 1 must hold; found alpha {self.alpha}, no_match_above "
                f"{self.no_match_above}"
            )
        if self.min_examples < 1 or not 0.0 < self.min_answered <= 1.0 or not 0.0 < self.confidence < 1.0:
            raise ParameterError(
                "min_examples must be at least 1, min_answered in (0, 1] and confidence in (0, 1); found "
                f"{self.min_examples}, {self.min_answered}, {self.confidence}"
            )


@dataclass(frozen=True, slots=True)
class Counts:
    """What was observed.

    Attributes:
        n_matches: Examples to which the suspect gave the recorded label.
        n_answered: Examples that it answered at all.
        n_asked: Examples that it was asked.
        n_candidates: Candidates from which the owner selected those examples.
    """

    n_matches: int
    n_answered: int
    n_asked: int
    n_candidates: int

    def __post_init__(self) -> None:
        if not (0 <= self.n_matches <= self.n_answered <= self.n_asked <= self.n_candidates and self.n_asked > 0):
            raise ParameterError(f"matches <= answered <= asked <= candidates must hold; found {self}")


@dataclass(frozen=True, slots=True)
class Grounds:
    """Everything that a verdict follows from.

    Attributes:
        counts: The observation.
        conditions: What fixes the prior and the attack bound.
        owner: The owner's pool, as the bundle records it.
        verifier: The verifier's references that count.
        descent: The evidence on common descent.
        n_commitments: Number of bundles that the owner committed to and could have shown instead of this one.
        is_chosen: Whether the verifier chose values for other inputs of the suspect that could make it match.
    """

    counts: Counts
    conditions: Conditions
    owner: tuple[ReferenceCount, ...] = ()
    verifier: tuple[ReferenceCount, ...] = ()
    descent: Descent = field(default_factory=Descent)
    n_commitments: int = 1
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its grounds.

    Attributes:
        verdict: The answer.
        p_value: Probability that an unassociated model matches at least as often, under the null. Where the owner
            committed to several bundles, the probability that it does so on one of them at least (Bonferroni).
        descent_p_value: Probability that a new descendant of the declared ancestors matches at least as often; ``None``
            where none is declared, 1 where too few of them were asked to tell.
        min_matches: Fewest matches that would have been a MATCH; ``None`` if no count would.
        descent: Result on common descent.
        reasons: The grounds.
    """

    verdict: Verdict
    p_value: float
    descent_p_value: float | None
    min_matches: int | None
    descent: DescentStatus
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A decision, and the null that it rests on."""

    decision: Decision
    null: Null
    rate: NullRate


def find_null(grounds: Grounds) -> Null:
    """Return the distribution of match counts under which a suspect is judged."""
    return estimate_null(
        grounds.owner,
        grounds.verifier,
        find_prior(grounds.conditions),
        n_classes=grounds.conditions.n_classes,
        n_candidates=grounds.counts.n_candidates,
    )


def judge(grounds: Grounds, policy: Policy, *, null: Null | None = None) -> Judgement:
    """Return the verdict on one suspect.

    The p-value is the null's tail at the number of matches, over *all* candidates: one that the owner did not keep
    counts as a mismatch, so that keeping the best cannot manufacture significance. A MATCH takes more matches still
    where a false accuser could reach as many, and where a descendant of a declared ancestor could.

    Args:
        grounds: What the verdict follows from.
        policy: The requirements.
        null: The null that :func:`find_null` returns for the grounds, where it is at hand.

    Raises:
        ParameterError: The null is one for another number of candidates.
    """
    counts, factor = grounds.counts, grounds.n_commitments
    null = null or find_null(grounds)
    if len(null.tail) != counts.n_candidates + 1:
        raise ParameterError(f"the null is for {len(null.tail) - 1} candidates; there are {counts.n_candidates}")
    alpha = policy.alpha / factor
    p_value = min(1.0, null.p_value(counts.n_matches) * factor)
    least = null.min_matches(alpha)
    descent_p, is_explained, needed = None, False, least
    if grounds.descent.is_declared:
        descendant = predict_descendant(grounds.descent, counts.n_asked, counts.n_candidates)
        tail = np.ones_like(null.tail) if descendant is None else descendant.tail
        descent_p = min(1.0, float(tail[counts.n_matches]) * factor)
        is_explained = descent_p > policy.alpha
        exceeded = np.flatnonzero(tail <= alpha)
        needed = max(least, int(exceeded[0])) if least is not None and len(exceeded) else None
    # Where not even all matches would be remarkable, few of them say nothing.
    is_known = null.p_value(counts.n_asked) * factor <= policy.no_match_above
    verdict, reasons = _decide(grounds, policy, p_value, least, is_known=is_known, is_explained=is_explained)
    decision = Decision(
        verdict,
        p_value,
        descent_p,
        needed if needed is not None and needed <= counts.n_asked else None,
        find_status(grounds.descent, is_explained=is_explained),
        reasons,
    )
    return Judgement(decision, null, null.summarise(counts.n_matches))


def _decide(
    grounds: Grounds, policy: Policy, p_value: float, least: int | None, *, is_known: bool, is_explained: bool
) -> tuple[Verdict, tuple[Reason, ...]]:
    counts = grounds.counts
    obstacles: list[Reason] = []
    if counts.n_asked < policy.min_examples:
        obstacles.append("few examples")
    if counts.n_answered < policy.min_answered * counts.n_asked:
        obstacles.append("few answers")
    if policy.needs_references and not grounds.verifier:
        obstacles.append("no references")
    if obstacles:
        return Verdict.INCONCLUSIVE, tuple(obstacles)
    if p_value > policy.no_match_above and is_known:
        return Verdict.NO_MATCH, ("insignificant",)
    if least is None or least > counts.n_asked:
        return Verdict.INCONCLUSIVE, ("no count suffices",)
    if p_value > policy.alpha:
        return Verdict.INCONCLUSIVE, ("remarkable",)
    if counts.n_matches < least:
        return Verdict.INCONCLUSIVE, ("crafted",)
    if grounds.is_chosen:
        return Verdict.INCONCLUSIVE, ("chosen input",)
    if is_explained:
        is_measured = len(grounds.descent.co_descendants) > 0
        return Verdict.INCONCLUSIVE, ("descent" if is_measured else "descent unknown",)
    return Verdict.MATCH, ("significant",)
