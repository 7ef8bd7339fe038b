"""Robustness against transferability, by an independent route."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from onnxfp.errors import ParameterError
from onnxfp.evidence.uniqueness import aruc, auc, compare

RATES = st.lists(st.integers(0, 20).map(lambda k: k / 20), min_size=1, max_size=8)


@settings(deadline=None, max_examples=40)
@given(RATES, RATES)
def test_auc_is_the_normalised_mann_whitney_statistic(variants: list[float], references: list[float]) -> None:
    expected = stats.mannwhitneyu(variants, references).statistic / (len(variants) * len(references))
    assert auc(np.array([variants]), np.array([references]))[0] == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(RATES, RATES)
def test_aruc_is_the_area_under_both_curves(variants: list[float], references: list[float]) -> None:
    v, r = np.array(variants), np.array(references)
    # The curves step at multiples of 1/20 only, so the midpoint rule with this width is exact.
    thresholds = (np.arange(1000) + 0.5) / 1000
    both = [min((v >= tau).mean(), (r < tau).mean()) for tau in thresholds]
    assert aruc(v[None], r[None])[0] == pytest.approx(np.mean(both))
    assert aruc(v[None], r[None])[0] == pytest.approx(integrate.trapezoid(both, thresholds), abs=2e-3)


@settings(deadline=None, max_examples=40)
@given(RATES, RATES)
def test_every_statistic_by_brute_force(variants: list[float], references: list[float]) -> None:
    found = compare(variants, references, n_resamples=20)
    expected = {
        "robustness": sum(variants) / len(variants),
        "worst_robustness": min(variants),
        "transferability": sum(references) / len(references),
        "worst_transferability": max(references),
        "uniqueness_score": sum(variants) / len(variants) - sum(references) / len(references),
        "worst_uniqueness_score": min(variants) - max(references),
        "true_match_rate": sum(v > max(references) for v in variants) / len(variants),
    }
    for name, value in expected.items():
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(value), name
        assert estimate.interval.lower <= estimate.interval.upper


def test_a_perfect_fingerprint_has_perfect_numbers() -> None:
    found = compare([1.0, 1.0], [0.0, 0.0, 0.0])
    for name in ("robustness", "uniqueness_score", "worst_uniqueness_score", "auc", "aruc", "true_match_rate"):
        assert getattr(found, name).value == 1.0
    assert found.transferability is not None
    assert found.transferability.value == 0.0


def test_the_interval_of_a_mean_is_the_percentile_bootstrap_of_scipy() -> None:
    rates = np.random.default_rng(1).uniform(0.2, 1.0, 30)
    estimate = compare(rates.tolist(), [], n_resamples=20_000).robustness
    expected = stats.bootstrap(
        (rates,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert estimate is not None
    # Both are Monte Carlo: the standard error of such a percentile is below 0.001 here.
    assert estimate.interval.lower == pytest.approx(expected.low, abs=0.006)
    assert estimate.interval.upper == pytest.approx(expected.high, abs=0.006)


def test_what_needs_a_group_is_unknown_without_it() -> None:
    found = compare([0.5], [])
    assert found.robustness is not None
    assert found.transferability is found.uniqueness_score is found.auc is found.aruc is found.true_match_rate is None
    assert compare([], []).robustness is None


def test_resampling_repeats_for_a_seed() -> None:
    variants, references = np.random.default_rng(0).random(40).tolist(), [0.2, 0.3]
    assert compare(variants, references) == compare(variants, references)
    assert compare(variants, references, seed=1).robustness != compare(variants, references).robustness


@pytest.mark.parametrize(
    ("variants", "arguments"), [([1.1], {}), ([-0.1], {}), ([0.5], {"confidence": 1.0}), ([0.5], {"n_resamples": 0})]
)
def test_values_out_of_range_are_refused(variants: list[float], arguments: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        compare(variants, [0.1], **arguments)  # type: ignore[arg-type]
