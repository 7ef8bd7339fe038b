"""How well a fingerprint tells modified copies of its base from unassociated models.

With match rates ``v_1 .. v_V`` of variants and ``r_1 .. r_R`` of references:

* *robustness* is the mean of ``v``, at worst its minimum; *transferability* the mean of ``r``, at worst its maximum;
* the *uniqueness score* is robustness less transferability, mean less mean and worst less worst, in [-1, 1];
* *AUC* is the probability that a variant matches more than a reference, ties counting half: the area under the receiver
  operating characteristic;
* *ARUC*, see :func:`aruc`, also rewards distance between the two groups, of which AUC knows nothing;
* the *true-match rate at zero false matches* is the share of variants that match more than every reference.

The intervals resample models with replacement, variants and references apart (percentile bootstrap). Two things they do
not say: variants of one family resemble each other, so that the interval speaks for this suite and not for thefts
beyond it; and no resample holds a worse model than the worst one measured, so that the intervals of worst cases are
open on their bad side.

References:
    Uniqueness score: Wang et al., arXiv:2105.07078. ARUC: Cao et al., arXiv:1910.12903. Bootstrap: Efron and
    Tibshirani, *An Introduction to the Bootstrap* (1993). Here ARUC is integrated exactly rather than on a grid of
    thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError
from onnxfp.evidence.statistics import Estimate, Interval

N_RESAMPLES = 2000

Rates = NDArray[np.float64]
Statistic = Callable[[Rates, Rates], Rates]
"""``(resamples, V)`` and ``(resamples, R)`` match rates to ``(resamples,)`` values."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The statistics of variants against references; see the module. ``None`` where a group is empty."""

    robustness: Estimate | None
    worst_robustness: Estimate | None
    transferability: Estimate | None
    worst_transferability: Estimate | None
    uniqueness_score: Estimate | None
    worst_uniqueness_score: Estimate | None
    auc: Estimate | None
    aruc: Estimate | None
    true_match_rate: Estimate | None


def compare(
    variants: Sequence[float],
    references: Sequence[float],
    *,
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Return every statistic with its bootstrap interval.

    Args:
        variants: Match rates of modified copies of the base, each in [0, 1].
        references: Match rates of unassociated models, each in [0, 1].
        confidence: Coverage of the intervals, in (0, 1).
        n_resamples: Resamples of the models, at least 1.
        seed: Seeds the resampling.

    Raises:
        ParameterError: An argument lies outside its range.
    """
    v, r = np.asarray(variants, np.float64), np.asarray(references, np.float64)
    if not all(((rates >= 0) & (rates <= 1)).all() for rates in (v, r)):
        raise ParameterError("match rates lie in [0, 1]")
    if not 0 < confidence < 1 or n_resamples < 1:
        raise ParameterError(f"confidence lies in (0, 1), and there is a resample; found {confidence}, {n_resamples}")
    rng = np.random.default_rng(seed)
    resampled = tuple(rng.choice(rates, (n_resamples, len(rates))) if len(rates) else None for rates in (v, r))

    def estimate(statistic: Statistic, *, needs: str) -> Estimate | None:
        if ("v" in needs and not len(v)) or ("r" in needs and not len(r)):
            return None
        empty = np.empty((n_resamples, 0))
        many = statistic(*(empty if rates is None else rates for rates in resampled))
        tail = 50 * (1 - confidence)
        lower, upper = np.percentile(many, (tail, 100 - tail))
        return Estimate(float(statistic(v[None], r[None])[0]), Interval(float(lower), float(upper)))

    return Comparison(
        robustness=estimate(lambda v, _: v.mean(1), needs="v"),
        worst_robustness=estimate(lambda v, _: v.min(1), needs="v"),
        transferability=estimate(lambda _, r: r.mean(1), needs="r"),
        worst_transferability=estimate(lambda _, r: r.max(1), needs="r"),
        uniqueness_score=estimate(lambda v, r: v.mean(1) - r.mean(1), needs="vr"),
        worst_uniqueness_score=estimate(lambda v, r: v.min(1) - r.max(1), needs="vr"),
        auc=estimate(auc, needs="vr"),
        aruc=estimate(aruc, needs="vr"),
        true_match_rate=estimate(lambda v, r: (v > r.max(1, keepdims=True)).mean(1), needs="vr"),
    )


def auc(variants: Rates, references: Rates) -> Rates:
    """Return the share of pairs in which the variant matches more than the reference, a tie counting half.

    Args:
        variants: ``(samples, V)`` match rates.
        references: ``(samples, R)`` match rates.

    Returns:
        ``(samples,)`` values in [0, 1].

    >>> auc(np.array([[0.9, 0.3]]), np.array([[0.3, 0.1]])).tolist()
    [0.875]
    """
    total = np.zeros(len(variants))
    # A loop over the few references: all pairs of all resamples at once would not fit in memory.
    for reference in references.T:
        difference = variants - reference[:, None]
        total += ((difference > 0) + 0.5 * (difference == 0)).mean(1)
    return np.asarray(total / references.shape[1])


def aruc(variants: Rates, references: Rates) -> Rates:
    """Return the area under the robustness and uniqueness curves.

    A threshold ``tau`` on the match rate convicts the share ``R(tau)`` of the variants, those that match at least so
    much, and spares the share ``U(tau)`` of the references, those that match less. ``R`` falls and ``U`` rises with
    ``tau``; the area that lies under both, ``integral of min(R, U) over tau in [0, 1]``, is large where a wide range of
    thresholds does both. It is 1 where all variants match everything and no reference anything.

    Args:
        variants: ``(samples, V)`` match rates.
        references: ``(samples, R)`` match rates.

    Returns:
        ``(samples,)`` areas in [0, 1].

    References:
        Cao, Jia and Gong, arXiv:1910.12903, who sum over a grid of thresholds; both curves are steps, and here the
        area is exact.

    >>> aruc(np.array([[1.0, 0.5]]), np.array([[0.25]])).tolist()
    [0.5]
    """
    edges = np.unique(np.concatenate([[0.0, 1.0], variants.ravel(), references.ravel()]))
    area = np.zeros(len(variants))
    for lower, upper in pairwise(edges):
        # Both curves are constant on (lower, upper].
        convicted = (variants >= upper).mean(1)
        spared = (references < upper).mean(1)
        area += (upper - lower) * np.minimum(convicted, spared)
    return area
