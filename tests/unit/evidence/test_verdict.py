"""Policy and verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from onnxfp.errors import ParameterError
from onnxfp.evidence.lineage import AncestorCount, Descent
from onnxfp.evidence.null import Null, ReferenceCount
from onnxfp.evidence.predictive import Prediction
from onnxfp.evidence.priors import Conditions
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.evidence.verdict import Counts, Decision, Grounds, Policy, Verdict, judge


def null(n_candidates: int) -> Null:
    """A plain binomial of one half."""
    tail = binomial_tails(n_candidates, 0.5)
    return Null(tail, ((Prediction(tail, 0.5), "test"),))


TASK = Conditions("coarse", 16 / 255, 10, (32, 32))


def decide(counts: Counts, null: Null, policy: Policy, **grounds: Any) -> Decision:
    return judge(Grounds(counts, TASK, **grounds), policy, null=null).decision


def verdict(
    n_matches: int, *, answered: int = 100, asked: int = 100, candidates: int = 100, **policy: object
) -> Verdict:
    counts = Counts(n_matches, answered, asked, candidates)
    return decide(counts, null(candidates), Policy(**policy)).verdict  # type: ignore[arg-type]


def test_a_copy_matches_and_a_stranger_does_not() -> None:
    assert verdict(100) is Verdict.MATCH
    assert verdict(40) is Verdict.NO_MATCH


def test_between_the_two_limits_nothing_is_decided() -> None:
    decision = decide(Counts(66, 100, 100, 100), null(100), Policy())
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert 1e-6 < decision.p_value < 1e-2


def test_the_p_value_counts_candidates_that_were_not_kept_as_mismatches() -> None:
    decision = decide(Counts(100, 100, 100, 300), null(300), Policy())
    assert decision.p_value == pytest.approx(scipy.stats.binom.sf(99, 300, 0.5))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.min_matches is None


def test_what_a_false_accuser_reaches_is_no_match_however_small_its_p_value() -> None:
    plain = null(100)
    reached = Null(plain.tail, plain.candidates, binomial_tails(100, 0.7))
    least = reached.min_matches(1e-6)
    assert least is not None
    assert scipy.stats.binom.sf(least - 1, 100, 0.7) <= 1e-6 < scipy.stats.binom.sf(least - 2, 100, 0.7)
    below, at = (decide(Counts(k, 100, 100, 100), reached, Policy()) for k in (least - 1, least))
    assert below.p_value < 1e-6
    assert (below.verdict, at.verdict) == (Verdict.INCONCLUSIVE, Verdict.MATCH)
    assert below.reasons == ("crafted",)
    # The p-value is that of an unassociated model, and stays so.
    assert below.p_value == decide(Counts(least - 1, 100, 100, 100), plain, Policy()).p_value


@pytest.mark.parametrize(
    ("counts", "policy", "reason"),
    [
        (Counts(10, 10, 10, 10), {}, "few examples"),
        (Counts(80, 80, 100, 100), {}, "few answers"),
        (Counts(100, 100, 100, 100), {"needs_references": True}, "no references"),
        (Counts(20, 20, 20, 20), {"alpha": 1e-9}, "no count suffices"),
    ],
)
def test_what_makes_a_verdict_impossible_is_said(counts: Counts, policy: dict[str, object], reason: str) -> None:
    decision = decide(counts, null(counts.n_candidates), Policy(**policy))  # type: ignore[arg-type]
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert reason in decision.reasons


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
        decide(Counts(5, 100, 100, 100), null(99), Policy())


@pytest.mark.parametrize("counts", [(2, 1, 3, 3), (1, 3, 2, 3), (1, 1, 4, 3), (0, 0, 0, 0), (-1, 1, 1, 1)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ParameterError):
        Counts(*counts)


def test_a_stranger_is_no_match_where_no_count_could_convict() -> None:
    # Of 20 examples none suffices for one in a billion, and yet 7 of 20 are no sign of anything.
    decision = decide(Counts(7, 20, 20, 20), null(20), Policy(alpha=1e-9))
    assert decision.verdict is Verdict.NO_MATCH
    assert decision.min_matches is None


def test_where_nothing_is_known_few_matches_say_nothing() -> None:
    unknown = Null(np.ones(101), ((Prediction(np.ones(101), 1.0), "never measured"),))
    decision = decide(Counts(7, 100, 100, 100), unknown, Policy())
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, ("no count suffices",))


def test_each_commitment_that_could_have_been_shown_counts() -> None:
    one, many = (decide(Counts(80, 100, 100, 100), null(100), Policy(), n_commitments=n) for n in (1, 10_000))
    assert many.p_value == pytest.approx(10_000 * one.p_value)
    assert (one.verdict, many.verdict) == (Verdict.MATCH, Verdict.INCONCLUSIVE)
    assert one.min_matches is not None
    assert many.min_matches is not None
    assert one.min_matches < many.min_matches


def test_values_that_the_verifier_chose_make_no_match() -> None:
    decision = decide(Counts(100, 100, 100, 100), null(100), Policy(), is_chosen=True)
    assert (decision.verdict, decision.reasons) == (Verdict.INCONCLUSIVE, ("chosen input",))
    assert decide(Counts(40, 100, 100, 100), null(100), Policy(), is_chosen=True).verdict is Verdict.NO_MATCH


def co_descendants(*matches: int) -> tuple[ReferenceCount, ...]:
    return tuple(ReferenceCount(f"sha256:{i:064x}", k, 100) for i, k in enumerate(matches))


def test_a_declared_ancestor_takes_eight_co_descendants() -> None:
    ancestor = (AncestorCount("sha256:" + "a" * 64, "owner", 5),)
    for pool in ((), co_descendants(*[5] * 7)):
        decision = decide(Counts(100, 100, 100, 100), null(100), Policy(), descent=Descent(False, ancestor, pool))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert (decision.descent, decision.descent_p_value, decision.min_matches) == ("possible", 1.0, None)
        assert decision.reasons == ("descent" if pool else "descent unknown",)
    enough = Descent(False, ancestor, co_descendants(*[5] * 8))
    decision = decide(Counts(100, 100, 100, 100), null(100), Policy(), descent=enough)
    assert (decision.verdict, decision.descent) == (Verdict.MATCH, "excluded")
    assert decision.descent_p_value is not None
    assert decision.descent_p_value < 1e-6


@pytest.mark.parametrize(
    "descent",
    [
        Descent(False, (AncestorCount("a", "verifier", 97),), co_descendants(*[5] * 8)),
        Descent(False, (AncestorCount("a", "owner", None),), co_descendants(*[95] * 8)),
        Descent(True, (), co_descendants(60, 99, 40, 70, 98, 80, 90, 97)),
    ],
)
def test_matches_that_descent_explains_are_no_match(descent: Descent) -> None:
    decision = decide(Counts(98, 100, 100, 100), null(100), Policy(), descent=descent)
    assert (decision.verdict, decision.descent) == (Verdict.INCONCLUSIVE, "possible")
    assert decision.reasons == ("descent",)
    # The p-value is that of an unassociated model, and stays so.
    assert decision.p_value == decide(Counts(98, 100, 100, 100), null(100), Policy()).p_value


def test_what_was_declared_is_told() -> None:
    for from_scratch, status in ((False, "not examined"), (True, "none declared")):
        decision = decide(Counts(100, 100, 100, 100), null(100), Policy(), descent=Descent(from_scratch))
        assert (decision.verdict, decision.descent) == (Verdict.MATCH, status)
        assert decision.descent_p_value is None
