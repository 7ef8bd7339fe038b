"""The predictive distribution of match counts, by independent routes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from onnxfp.errors import ParameterError
from onnxfp.evidence.predictive import EDGE, WIDEST_SPREAD, predict_matches


def test_the_posterior_is_the_integral_over_both_parameters() -> None:
    pool, n, k = [(12, 100), (31, 100), (20, 100), (9, 100)], 100, 60

    def likelihood(rho: float, mu: float) -> float:
        size = 1 / rho - 1
        return rho * float(np.prod([scipy.stats.betabinom.pmf(m, a, mu * size, (1 - mu) * size) for m, a in pool]))

    def joint(rho: float, mu: float) -> float:
        size = 1 / rho - 1
        return likelihood(rho, mu) * float(scipy.stats.betabinom.sf(k - 1, n, mu * size, (1 - mu) * size))

    # The prior is proportional to rho up to its edge; what lies beyond weighs a millionth, and less with this pool.
    limits = (0.001, 0.999, 0.001, EDGE)
    options = {"epsabs": 0.0, "epsrel": 1e-3}
    evidence = scipy.integrate.dblquad(likelihood, *limits, **options)[0]
    expected = scipy.integrate.dblquad(joint, *limits, **options)[0] / evidence
    # The grid is coarse: a tenth of its value does not matter for a tail that is compared with powers of ten.
    assert predict_matches(pool, n).tail[k] == pytest.approx(expected, rel=0.1)


def test_many_alike_models_predict_a_binomial() -> None:
    # A rate of 30 % without spread: counts as a binomial gives them.
    counts = np.random.default_rng(0).binomial(100, 0.3, 2000)
    prediction = predict_matches([(int(k), 100) for k in counts], 100)
    assert prediction.rate == pytest.approx(0.3, abs=0.02)
    for k in (35, 45, 55):
        assert prediction.tail[k] >= scipy.stats.binom.sf(k - 1, 100, 0.3)
        assert prediction.tail[k] <= 4 * scipy.stats.binom.sf(k - 1, 100, 0.3) + 1e-4


def test_the_between_model_spread_widens_the_tail() -> None:
    alike, unlike = [(20, 100)] * 10, [(5, 100), (35, 100)] * 5
    assert sum(m for m, _ in alike) == sum(m for m, _ in unlike)
    assert predict_matches(unlike, 100).tail[60] > 20 * predict_matches(alike, 100).tail[60]


def test_fewer_models_say_less() -> None:
    tails = [predict_matches([(10, 100)] * n, 100).tail[70] for n in (0, 1, 3, 10, 100)]
    assert tails == sorted(tails, reverse=True)
    assert tails[0] == pytest.approx(0.31, abs=0.02)


def test_a_pool_that_shows_an_impossible_spread_is_believed() -> None:
    assert predict_matches([(0, 100), (1, 100), (99, 100), (98, 100), (2, 100)], 100).tail[100] > 0.01


def test_a_tail_starts_at_one_and_falls() -> None:
    for n in (1, 7, 10_000):
        tail = predict_matches([(3, 10)], n).tail
        assert tail.shape == (n + 1,)
        assert tail[0] == 1.0
        assert (np.diff(tail) <= 0).all()
        assert tail[-1] > 0


@pytest.mark.parametrize(("pool", "n"), [([(11, 10)], 5), ([(-1, 10)], 5), ([(0, 0)], 5), ([], 0)])
def test_impossible_counts_are_refused(pool: list[tuple[int, int]], n: int) -> None:
    with pytest.raises(ParameterError):
        predict_matches(pool, n)


@pytest.mark.parametrize(("mu", "rho", "n_models"), [(0.2, WIDEST_SPREAD, 20), (0.05, 0.05, 4)])
def test_the_rate_of_false_matches_stays_below_alpha(mu: float, rho: float, n_models: int) -> None:
    """A small part of benchmarks/calibration.py, which finds rates of at most alpha over 100,000 pools.

    The true tail at each pool's threshold is averaged over 100 pools. The mean varies by less than a third of alpha
    between seeds, so that a factor of two lies three standard errors away: one false alarm in a thousand seeds, and
    the seed is fixed.
    """
    rng = np.random.default_rng(5)
    size = 1 / rho - 1
    true = scipy.stats.betabinom(100, mu * size, (1 - mu) * size)
    drawn = [[(int(k), 100) for k in true.rvs(n_models, random_state=rng)] for _ in range(100)]
    tails = [predict_matches(pool, 100).tail for pool in drawn]
    for alpha in (1e-2, 1e-4, 1e-6):
        reached = [np.flatnonzero(tail <= alpha) for tail in tails]
        assert np.mean([true.sf(counts[0] - 1) if len(counts) else 0.0 for counts in reached]) <= 2 * alpha
