"""Policy and verdict."""

from __future__ import annotations

import pytest
import scipy.stats

from onnxfp.errors import ParameterError
from onnxfp.evidence.null import Null
from onnxfp.evidence.predictive import Prediction
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.evidence.verdict import Counts, Policy, Verdict, decide


def null(n_candidates: int) -> Null:
    """A plain binomial of one half."""
    tail = binomial_tails(n_candidates, 0.5)
    return Null(tail, ((Prediction(tail, 0.5), "test"),))


def verdict(
    n_matches: int, *, answered: int = 100, asked: int = 100, candidates: int = 100, **policy: object
) -> Verdict:
    counts = Counts(n_matches, answered, asked, candidates)
    return decide(counts, null(candidates), 0, Policy(**policy)).verdict  # type: ignore[arg-type]


def test_a_copy_matches_and_a_stranger_does_not() -> None:
    assert verdict(100) is Verdict.MATCH
    assert verdict(40) is Verdict.NO_MATCH


def test_between_grey_and_alpha_nothing_is_decided() -> None:
    decision = decide(Counts(66, 100, 100, 100), null(100), 0, Policy())
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert 1e-6 < decision.p_value < 1e-2


def test_the_p_value_counts_candidates_that_were_not_kept_as_mismatches() -> None:
    decision = decide(Counts(100, 100, 100, 300), null(300), 0, Policy())
    assert decision.p_value == pytest.approx(scipy.stats.binom.sf(99, 300, 0.5))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.min_matches is None


def test_what_a_false_accuser_reaches_is_no_match_however_small_its_p_value() -> None:
    plain = null(100)
    reached = Null(plain.tail, plain.candidates, binomial_tails(100, 0.7))
    least = reached.min_matches(1e-6)
    assert least is not None
    assert scipy.stats.binom.sf(least - 1, 100, 0.7) <= 1e-6 < scipy.stats.binom.sf(least - 2, 100, 0.7)
    below, at = (decide(Counts(k, 100, 100, 100), reached, 0, Policy()) for k in (least - 1, least))
    assert below.p_value < 1e-6
    assert (below.verdict, at.verdict) == (Verdict.INCONCLUSIVE, Verdict.MATCH)
    assert "can be crafted" in below.reasons[0]
    # The p-value is that of an unassociated model, and stays so.
    assert below.p_value == decide(Counts(least - 1, 100, 100, 100), plain, 0, Policy()).p_value


@pytest.mark.parametrize(
    ("counts", "policy", "reason"),
    [
        (Counts(10, 10, 10, 10), {}, "demands 20"),
        (Counts(80, 80, 100, 100), {}, "answered 80 of 100"),
        (Counts(100, 100, 100, 100), {"needs_references": True}, "references"),
        (Counts(20, 20, 20, 20), {"alpha": 1e-9}, "No count"),
    ],
)
def test_what_makes_a_verdict_impossible_is_said(counts: Counts, policy: dict[str, object], reason: str) -> None:
    decision = decide(counts, null(counts.n_candidates), 0, Policy(**policy))  # type: ignore[arg-type]
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert any(reason in sentence for sentence in decision.reasons)


@pytest.mark.parametrize(
    "fields",
    [
        {"alpha": 0.0},
        {"alpha": 0.5, "no_match_above": 0.1},
        {"no_match_above": 1.0},
        {"min_examples": 0},
        {"min_answered": 0.0},
        {"confidence": 1.0},
    ],
)
def test_impossible_policies_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        Policy(**fields)  # type: ignore[arg-type]


def test_a_null_for_other_candidates_is_refused() -> None:
    with pytest.raises(ParameterError, match="for 99 candidates"):
        decide(Counts(5, 100, 100, 100), null(99), 0, Policy())


@pytest.mark.parametrize("counts", [(2, 1, 3, 3), (1, 3, 2, 3), (1, 1, 4, 3), (0, 0, 0, 0), (-1, 1, 1, 1)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ParameterError):
        Counts(*counts)
