"""Match rates, exact binomial tails and exact intervals.

``scipy.special`` is used rather than ``scipy.stats``, whose import alone takes longer than a verification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError, ShapeError
from onnxfp.types import Labels


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval of rates within ``[0, 1]``."""

    lower: float
    upper: float


def count_matches(recorded: Labels, observed: Labels) -> int:
    """Return the number of fingerprint inputs on which two models agree.

    Args:
        recorded: ``(n,)`` int64. Class index the base model gave each input.
        observed: ``(n,)`` int64. Class index the suspect gave each input, -1 where it gave none; same order.

    Returns:
        A count in ``[0, n]``.

    Raises:
        ShapeError: ``n`` is zero, or the vectors differ in length.
    """
    if len(recorded) == 0 or recorded.shape != observed.shape:
        raise ShapeError(f"recorded {recorded.shape} and observed {observed.shape} labels do not belong together")
    return int(np.count_nonzero(recorded == observed))


def match_rate(recorded: Labels, observed: Labels) -> float:
    """Return the share of fingerprint inputs on which two models agree.

    Args:
        recorded: ``(n,)`` int64. Class index the base model gave each input.
        observed: ``(n,)`` int64. Class index the suspect gave each input, in the bundle's order.

    Returns:
        Unitless rate in ``[0, 1]``, a multiple of ``1 / n``.

    Raises:
        ShapeError: ``n`` is zero, or the vectors differ in length.

    References:
        Label agreement as the piracy test: Cao et al., arXiv:1910.12903.

    >>> match_rate(np.array([3, 1, 4, 1]), np.array([3, 1, 4, 5]))
    0.75
    """
    return count_matches(recorded, observed) / len(recorded)


def binomial_tails(n: int, rate: float) -> NDArray[np.float64]:
    """Return the probabilities of at least ``k`` successes in ``n`` independent trials, for every ``k``.

    Args:
        n: Number of trials, at least 1.
        rate: Probability of one success, in ``[0, 1]``.

    Returns:
        ``(n + 1,)`` float64, from ``k = 0`` to ``k = n``.

    Raises:
        ParameterError: An argument lies outside its range.

    >>> binomial_tails(2, 0.5).round(3).tolist()
    [1.0, 0.75, 0.25]
    """
    from scipy.special import betainc

    if n < 1 or not 0.0 <= rate <= 1.0:
        raise ParameterError(f"there is at least one trial and a rate lies in [0, 1]; found {n}, {rate}")
    counts = np.arange(1, n + 1)
    # P(X >= k) is the regularised incomplete beta function I_rate(k, n - k + 1).
    return np.concatenate([[1.0], betainc(counts, n - counts + 1, rate)])


def clopper_pearson(k: int, n: int, confidence: float) -> Interval:
    """Return the exact two-sided interval of a rate.

    Args:
        k: Number of successes, in ``[0, n]``.
        n: Number of trials, at least 1.
        confidence: Coverage that is guaranteed, in ``(0, 1)``.

    Raises:
        ParameterError: An argument lies outside its range.

    References:
        Clopper and Pearson, Biometrika 26 (1934), 404-413.
    """
    if not 0.0 < confidence < 1.0:
        raise ParameterError(f"a confidence lies in (0, 1); found {confidence}")
    tail = (1.0 - confidence) / 2
    return Interval(_lower_bound(k, n, tail), _upper_bound(k, n, tail))


def _lower_bound(k: int, n: int, tail: float) -> float:
    from scipy.special import betaincinv

    _check_counts(k, n)
    return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))


def _upper_bound(k: int, n: int, tail: float) -> float:
    from scipy.special import betaincinv

    _check_counts(k, n)
    return 1.0 if k == n else float(betaincinv(k + 1, n - k, 1.0 - tail))


def _check_counts(k: int, n: int) -> None:
    if n < 1 or not 0 <= k <= n:
        raise ParameterError(f"a count k of n trials has 0 <= k <= n and n >= 1; found k = {k}, n = {n}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic of the models that were measured, with its bootstrap interval over models.

    Attributes:
        value: The statistic.
        interval: What resampling the models gives; of statistics in [-1, 1] it may be negative.
    """

    value: float
    interval: Interval
