"""Tails and intervals against SciPy's distributions and against exact rational sums."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
import scipy.stats

from onnxfp.errors import ParameterError, ShapeError
from onnxfp.evidence.statistics import binomial_tails, clopper_pearson, count_matches, match_rate


def exact_tail(k: int, n: int, rate: Fraction) -> Fraction:
    return sum((comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k, n + 1)), Fraction(0))


@pytest.mark.parametrize("n", [1, 7, 40, 100])
@pytest.mark.parametrize("rate", [Fraction(1, 1000), Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)])
def test_binomial_tails_equal_the_exact_sums(n: int, rate: Fraction) -> None:
    exact = [float(exact_tail(k, n, rate)) for k in range(n + 1)]
    assert binomial_tails(n, float(rate)) == pytest.approx(exact, rel=1e-9)


def test_binomial_tails_agree_with_scipy_far_out() -> None:
    for k, n, rate in ((100, 100, 0.001), (900, 1000, 0.1), (5000, 10_000, 0.3)):
        assert binomial_tails(n, rate)[k] == pytest.approx(scipy.stats.binom.sf(k - 1, n, rate), rel=1e-8)


def test_binomial_tails_at_the_ends() -> None:
    assert binomial_tails(10, 0.0).tolist() == [1.0] + [0.0] * 10
    assert binomial_tails(10, 1.0).tolist() == [1.0] * 11


@pytest.mark.parametrize(("n", "rate"), [(0, 0.1), (5, 1.1), (5, -0.1)])
def test_binomial_tails_refuse_what_is_out_of_range(n: int, rate: float) -> None:
    with pytest.raises(ParameterError):
        binomial_tails(n, rate)


@pytest.mark.parametrize("n", [1, 20, 100])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_clopper_pearson_agrees_with_scipy(n: int, confidence: float) -> None:
    for k in range(n + 1):
        expected = scipy.stats.binomtest(k, n).proportion_ci(confidence, method="exact")
        interval = clopper_pearson(k, n, confidence)
        assert interval.lower == pytest.approx(expected.low, abs=1e-10)
        assert interval.upper == pytest.approx(expected.high, abs=1e-10)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 2.0, -1.0])
def test_bounds_refuse_an_impossible_confidence(confidence: float) -> None:
    with pytest.raises(ParameterError):
        clopper_pearson(1, 2, confidence)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_an_interval_refuses_impossible_counts(k: int, n: int) -> None:
    with pytest.raises(ParameterError):
        clopper_pearson(k, n, 0.95)


def test_match_rate_counts_agreement_and_nothing_else() -> None:
    recorded, observed = np.array([3, 1, 4, 1]), np.array([3, 1, -1, 5])
    assert count_matches(recorded, observed) == 2
    assert match_rate(recorded, observed) == 0.5


@pytest.mark.parametrize(("recorded", "observed"), [([], []), ([1], [1, 2])])
def test_match_rate_refuses_vectors_that_do_not_belong_together(recorded: list[int], observed: list[int]) -> None:
    with pytest.raises(ShapeError):
        match_rate(np.array(recorded, np.int64), np.array(observed, np.int64))
