"""Match rates, exact binomial tails and exact intervals.

Sums of probabilities, which for whole numbers of trials are exact to rounding: SciPy computes the same through the
incomplete beta function, but its import takes longer than a verification. The tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, log1p, pi

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError, ShapeError
from onnxfp.types import Labels

# Where Stirling's series starts to be exact to rounding.
_STIRLING_FROM = 10
_HALF_LOG_TWO_PI = log(2 * pi) / 2
_HALVINGS = 60


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
    if n < 1 or not 0.0 <= rate <= 1.0:
        raise ParameterError(f"there is at least one trial and a rate lies in [0, 1]; found {n}, {rate}")
    probabilities = np.exp(_log_probabilities(n, rate))
    # Each from its nearer end, so that what is close to 0 or to 1 keeps its digits.
    above = probabilities[::-1].cumsum()[::-1]
    below = np.concatenate([[0.0], probabilities[:-1].cumsum()])
    return np.asarray(np.clip(np.where(above < below, above, 1.0 - below), 0.0, 1.0))


def log_gamma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the gamma function.

    Args:
        x: Positive float64, of any shape.

    Returns:
        Float64 of the same shape, to about 14 digits.

    References:
        Stirling's series, ten places up: https://dlmf.nist.gov/5.11.E1.

    >>> bool(abs(log_gamma(np.array([5.0]))[0] - np.log(24)) < 1e-13)
    True
    """
    product = x * (x + 1)
    for step in range(2, _STIRLING_FROM):
        product *= x + step
    y = x + _STIRLING_FROM
    square = 1 / (y * y)
    series = np.full_like(y, 1 / 1188)
    for term in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * square + term
    return np.asarray((y - 0.5) * np.log(y) - y + _HALF_LOG_TWO_PI + series / y - np.log(product))


def _log_probabilities(n: int, rate: float) -> NDArray[np.float64]:
    """Return the logarithms of the binomial probabilities of ``0`` to ``n`` successes."""
    counts = np.arange(n + 1.0)
    # The ends apart, where a logarithm of zero is multiplied by zero.
    hits = counts * log(rate) if rate > 0 else np.where(counts > 0, -np.inf, 0.0)
    misses = (n - counts) * log1p(-rate) if rate < 1 else np.where(counts < n, -np.inf, 0.0)
    return np.asarray(_log_choices(n) + hits + misses)


def _log_choices(n: int) -> NDArray[np.float64]:
    """Return the logarithms of the numbers of ways to choose ``0`` to ``n`` of ``n``."""
    factorials = log_gamma(np.arange(1.0, n + 2))
    # There is one way to choose none or all, to the last bit.
    return np.asarray(factorials[n] + factorials[0] - (factorials + factorials[::-1]))


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
    """Return the rate at which ``k`` or more successes have the probability ``tail``."""
    _check_counts(k, n)
    if k == 0:
        return 0.0
    hits, choices = np.arange(k, n + 1.0), _log_choices(n)[k:]
    return _root(lambda rate: float(np.exp(choices + hits * log(rate) + (n - hits) * log1p(-rate)).sum()) < tail)


def _upper_bound(k: int, n: int, tail: float) -> float:
    """Return the rate at which ``k`` or fewer successes have the probability ``tail``."""
    _check_counts(k, n)
    if k == n:
        return 1.0
    hits, choices = np.arange(k + 1.0), _log_choices(n)[: k + 1]
    return _root(lambda rate: float(np.exp(choices + hits * log(rate) + (n - hits) * log1p(-rate)).sum()) > tail)


def _root(is_below: Callable[[float], bool]) -> float:
    """Return the rate in ``(0, 1)`` up to which ``is_below`` holds, by bisection."""
    lower, upper = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        if is_below(middle):
            lower = middle
        else:
            upper = middle
    return (lower + upper) / 2


def _check_counts(k: int, n: int) -> None:
    if n < 1 or not 0 <= k <= n:
        raise ParameterError(f"a count k of n trials has 0 <= k <= n and n >= 1; found k = {k}, n = {n}")
