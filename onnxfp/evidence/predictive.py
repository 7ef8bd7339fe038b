"""How many matches a *new* unassociated model would show, seen those of others.

Unassociated models differ: of thirteen, some match a fifth of a fingerprint and some nearly half. A binomial with
their pooled rate would call every model of the second sort a thief. So the count of a new model is beta-binomial,

    K | p ~ Binomial(n, p),    p ~ Beta(mu (1/rho - 1), (1 - mu) (1/rho - 1)),

with mean rate ``mu`` and correlation ``rho`` within a model (0: all models have one rate; the standard deviation
between models is ``sqrt(rho mu (1 - mu))``). Both are unknown. Their posterior, given the counts of the pool, is summed
on a fixed grid, and the tail of the mixture is the p-value: it is wide when the pool is small, and wider still when its
models disagree.

A pool of a few models cannot exclude that one in a million behaves otherwise. What carries the verdict beyond that is
the assumption written in the prior: models spread no wider than :data:`WIDEST_SPREAD`. benchmarks/CALIBRATION.md shows
by simulation that up to there the rate of false matches stays at ``alpha`` or below, and which spreads were measured.
The prior reaches a third farther and rises towards its edge: with a flat one that ends where the assumption does, a
truth near the edge always has more weight on its harmless side, and the tail comes out several times too small.

References:
    Skellam, J. R. Stat. Soc. B 10 (1948), 257-261 (the distribution); Geisser, *Predictive Inference* (1993).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError

WIDEST_SPREAD = 0.1
"""Correlation ``rho`` up to which ``alpha`` is kept. At a mean rate of 20 %: a standard deviation of 13 points."""

EDGE = WIDEST_SPREAD * 4 / 3
"""Correlation up to which the prior density rises in proportion to it."""

# Prior probability of a wider spread: a pool that plainly shows one is believed.
_SURPRISE = 1e-6
_MIN_SPREAD, _MAX_SPREAD = 1e-3, 0.7
_N_RATES, _N_SPREADS, _N_WIDE = 256, 24, 12
_NEGLIGIBLE = 1e-14
_CHUNK = 2**21


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The distribution of the match count of a new model.

    Attributes:
        tail: ``(n + 1,)`` float64; entry ``k`` is the probability of at least ``k`` matches of ``n``.
        rate: Expected match rate, in [0, 1].
    """

    tail: NDArray[np.float64]
    rate: float


def predict_matches(pool: Sequence[tuple[int, int]], n_examples: int) -> Prediction:
    """Return how many of ``n_examples`` a new model would match that is like those of the pool.

    Args:
        pool: ``(matches, asked)`` of each unassociated model; may be empty.
        n_examples: Number of examples n that the new model is asked, at least 1.

    Raises:
        ParameterError: A count does not lie in ``[0, asked]``, or there is nothing to ask.

    >>> prediction = predict_matches([(12, 100), (31, 100), (20, 100)], 100)
    >>> bool(prediction.tail[50] < 0.1 < prediction.tail[20])
    True
    """
    if n_examples < 1 or any(asked < 1 or not 0 <= matches <= asked for matches, asked in pool):
        raise ParameterError(f"matches lie in [0, asked], and asked is at least 1; found {list(pool)}, {n_examples}")
    alpha, beta, log_weight = _grid()
    log_weight = log_weight.copy()
    for (matches, asked), times in Counter(pool).items():
        log_weight += times * _log_probability(matches, asked, alpha, beta)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    kept = weight > _NEGLIGIBLE
    weight, alpha, beta = weight[kept], alpha[kept], beta[kept]
    probability = np.zeros(n_examples + 1)
    step = max(1, _CHUNK // len(probability))
    for first in range(0, len(weight), step):
        part = slice(first, first + step)
        probability += weight[part] @ np.exp(_log_probabilities(n_examples, alpha[part], beta[part]))
    tail = np.minimum(probability[::-1].cumsum()[::-1], 1.0)
    tail[0] = 1.0
    return Prediction(tail, float(weight @ (alpha / (alpha + beta))))


def _log_probability(k: int, n: int, alpha: NDArray[np.float64], beta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(len(alpha),)`` logarithms of the beta-binomial probability of ``k``."""
    from scipy.special import betaln

    return np.asarray(_log_choices(n)[k] + betaln(k + alpha, n - k + beta) - betaln(alpha, beta))


def _log_probabilities(n: int, alpha: NDArray[np.float64], beta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(len(alpha), n + 1)`` logarithms of the beta-binomial probabilities of every count.

    Each follows from the one before, ``P(k + 1) / P(k) = (n - k) / (k + 1) * (k + alpha) / (n - k - 1 + beta)``: one
    logarithm a count instead of a beta function.
    """
    from scipy.special import betaln

    k = np.arange(n)
    ratios = k + alpha[:, None]
    ratios /= n - 1 - k + beta[:, None]
    np.log(ratios, out=ratios)
    found = np.empty((len(alpha), n + 1))
    found[:, 0] = betaln(alpha, n + beta) - betaln(alpha, beta)
    np.cumsum(ratios, axis=1, out=found[:, 1:])
    found[:, 1:] += found[:, :1]
    found += _log_choices(n)
    return found


def _log_choices(n: int) -> NDArray[np.float64]:
    """Return ``(n + 1,)`` logarithms of the binomial coefficients."""
    from scipy.special import gammaln

    counts = np.arange(n + 1)
    return np.asarray(gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1))


@cache
def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the two parameters of the beta distribution and the logarithm of the prior weight, for each grid point.

    Mean rates are uniform in (0, 1), on points that lie closer towards both ends; the density of spreads is
    proportional to them up to :data:`EDGE`, on Gauss-Legendre points, and hardly anything beyond.
    """
    angle = np.pi * (np.arange(_N_RATES) + 0.5) / _N_RATES
    rate, rate_weight = (1 - np.cos(angle)) / 2, np.sin(angle)
    point, weight_within = np.polynomial.legendre.leggauss(_N_SPREADS)
    within = _MIN_SPREAD + (EDGE - _MIN_SPREAD) * (point + 1) / 2
    beyond = np.geomspace(EDGE, _MAX_SPREAD, _N_WIDE + 1)[1:]
    spread = np.concatenate([within, beyond])
    weight_within = weight_within * within
    spread_weight = np.concatenate([weight_within / weight_within.sum(), _SURPRISE * beyond / beyond.sum()])
    mu, rho = (axis.ravel() for axis in np.meshgrid(rate, spread, indexing="ij"))
    weight = np.outer(rate_weight / rate_weight.sum(), spread_weight).ravel()
    size = 1 / rho - 1
    return mu * size, (1 - mu) * size, np.log(weight)
