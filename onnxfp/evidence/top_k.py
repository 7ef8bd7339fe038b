"""Top-k evidence: how near the suspect's scores come to the recorded labels, where it gives scores.

A copy that was changed until its labels no longer match may still score the recorded ones high. For a few ``k`` the
examples are counted whose recorded label is within the top ``k``, and judged as matches are
(:func:`onnxfp.evidence.null.estimate_null`): over all candidates, by the largest tail of chance, of the prior and of
the verifier's references. The owner's pool takes no part, since the signed manifest holds its label matches alone; nor
does a reference that returns labels only, for it has no ranks. References are ranked by the same rule as the suspect,
ties included: only so is an unassociated suspect one more like them.

Top-k evidence has no part in the verdict. What a false accuser reaches within the top ``k`` was never
attacked, so it protects nobody against a hostile accuser; it tells an auditor whether an INCONCLUSIVE suspect leans
towards the base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose

import numpy as np

from onnxfp.bundle.records import find_broken_claim
from onnxfp.errors import ShapeError
from onnxfp.evidence.null import NullRate, ReferenceCount, estimate_null, replaces_prior
from onnxfp.evidence.priors import Conditions, find_prior
from onnxfp.evidence.verdict import Counts
from onnxfp.types import Labels, Ranks, Scores

LADDER = (5, 10, 50, 100)
"""Every ``k`` that is counted, where there are more classes."""

CAVEAT = (
    "Top-k evidence has no part in the verdict. It tells whether an inconclusive suspect leans towards the base. What "
    "a false accuser can reach within the top k was never attacked, so it protects nobody against a hostile accuser."
)
"""The limit of top-k evidence, for its readers."""

NO_SCORES = "None: the suspect gives labels only, and no scores by which to rank others."
NO_TOP_K = (
    "No match rate within the top k is reported: there are too few classes, or none of unassociated models is known."
)


@dataclass(frozen=True, slots=True)
class TopKEvidence:
    """How often the suspect scores the recorded label within its top ``k``.

    Attributes:
        k: Number of largest scores, one of :data:`LADDER`.
        n_within: Number of examples whose recorded label is among them.
        rate: The same over examples asked, in [0, 1].
        null: What an unassociated model may reach, under the distribution that decided.
        p_value: Probability that an unassociated model reaches at least as many, in [0, 1].
    """

    k: int
    n_within: int
    rate: float
    null: NullRate
    p_value: float


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


def measure_top_k(
    ranks: Ranks, references: Mapping[str, Ranks], conditions: Conditions, n_candidates: int
) -> tuple[TopKEvidence, ...]:
    """Return the top-k evidence on one suspect, by ascending ``k``.

    One is left out where nothing is known of unassociated models: the prior was not measured for that ``k``, and the
    references are too few to take its place.

    Args:
        ranks: ``(n,)`` ranks that the suspect gives the recorded labels.
        references: ``(n,)`` ranks of each of the verifier's references that gives scores, by the digest of its file.
        conditions: What fixes the prior.
        n_candidates: Number m of candidates from which the owner selected.
    """
    n_classes = conditions.n_classes
    evidence = []
    for k in (k for k in LADDER if k < n_classes):
        pool = [ReferenceCount(digest, count_within(own, k), len(own)) for digest, own in references.items()]
        prior = find_prior(conditions, k)
        if not prior.counts and not replaces_prior(prior, pool):
            continue
        null = estimate_null((), pool, prior, n_classes=n_classes, n_candidates=n_candidates, k=k)
        n_within = count_within(ranks, k)
        evidence.append(
            TopKEvidence(k, n_within, n_within / len(ranks), null.summarise(n_within), null.p_value(n_within))
        )
    return tuple(evidence)


def find_top_k_contradiction(
    evidence: Sequence[TopKEvidence], median_rank: float | None, counts: Counts, n_classes: int
) -> str:
    """Return a contradiction in the top-k evidence of a report that was read, or an empty string.

    Nothing follows from the number of matches: of classes with equal scores the first is the suspect's label, but each
    ranks last among them.

    Args:
        evidence: The report's top-k evidence.
        median_rank: Its median rank.
        counts: Its counts.
        n_classes: Number of classes.
    """
    n_asked, n_within = counts.n_asked, [entry.n_within for entry in evidence]
    steps = [entry.k for entry in evidence]
    claims = {
        "top_k is not by ascending k of the ladder": steps == [k for k in LADDER if k in steps and k < n_classes],
        "top_k counts contradict each other, or counts": n_within == sorted(n_within)
        and all(0 <= n <= counts.n_answered for n in n_within),
        "a top_k rate contradicts its count": all(
            isclose(entry.rate, entry.n_within / n_asked, rel_tol=1e-9) for entry in evidence
        ),
        "a top_k null or p_value is out of range": all(
            0 <= number <= 1 for entry in evidence for number in (entry.null.rate, entry.null.upper, entry.p_value)
        ),
        "median_rank is missing beside top_k": median_rank is not None or not evidence,
        "median_rank is no median of ranks": median_rank is None
        or (1 <= median_rank <= n_classes and (2 * median_rank).is_integer()),
        "median_rank contradicts top_k": median_rank is None
        or all(
            2 * entry.n_within == n_asked or (2 * entry.n_within > n_asked) == (median_rank <= entry.k)
            for entry in evidence
        ),
    }
    return find_broken_claim(claims)
