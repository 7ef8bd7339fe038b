"""The null: which of chance, prior and pools decides."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from onnxfp.errors import ParameterError
from onnxfp.evidence import priors as module
from onnxfp.evidence.null import ENOUGH_REFERENCES, Null, ReferenceCount, estimate_null
from onnxfp.evidence.predictive import predict_matches
from onnxfp.evidence.priors import Conditions, Prior
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.evidence.top_k import LADDER
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples, choose_recipe
from onnxfp.types import InputGrid, Kind, Spectrum

COUNTS = (20, 35, 28, 31, 40, 22, 18, 33)
PRIOR = Prior(tuple((k, 100) for k in COUNTS), "a benchmark")
REACHED = replace(PRIOR, attack_bound=0.02)


def find_prior(spectrum: Spectrum, epsilon: float, n_classes: int, k: int = 1, **what: Any) -> Prior:
    side = 32 if n_classes <= 100 else 224
    return module.find_prior(Conditions(spectrum, epsilon, n_classes, **{"sides": (side, side), **what}), k)


def pool(*counts: int) -> list[ReferenceCount]:
    return [ReferenceCount(f"sha256:{i:064x}", count, 100) for i, count in enumerate(counts)]


def estimate(
    owner: list[ReferenceCount], verifier: list[ReferenceCount], n_classes: int = 10, prior: Prior = PRIOR
) -> Null:
    return estimate_null(owner, verifier, prior, n_classes=n_classes, n_candidates=100)


def test_without_references_the_prior_decides() -> None:
    null = estimate([], [])
    assert (null.tail[40:] == predict_matches(PRIOR.counts, 100).tail[40:]).all()
    assert null.summarise(60).source == "a benchmark"


def test_a_bad_reference_of_either_side_raises_the_null() -> None:
    for owner, verifier, whose in ((pool(90), [], "the owner's one reference"), ([], pool(90), "your one reference")):
        null = estimate(owner, verifier)
        assert (null.tail[50:] > estimate([], []).tail[50:]).all()
        assert whose in null.summarise(80).source


def test_the_owner_cannot_lower_the_null_with_harmless_references() -> None:
    for n in (1, 10, 1000):
        assert (estimate(pool(*[0] * n), []).tail >= estimate([], []).tail).all()


def test_a_few_references_of_the_verifier_cannot_lower_the_prior() -> None:
    assert (estimate([], pool(*[1] * (ENOUGH_REFERENCES - 1))).tail >= estimate([], []).tail).all()


def test_enough_references_of_the_verifier_replace_the_prior() -> None:
    null = estimate([], pool(*[1] * ENOUGH_REFERENCES), 1000, REACHED)
    assert (null.tail[20:] == predict_matches([(1, 100)] * ENOUGH_REFERENCES, 100).tail[20:]).all()
    least, before = null.min_matches(1e-6), estimate([], []).min_matches(1e-6)
    assert least is not None
    assert before is not None
    assert least < before


def test_the_owners_pool_still_counts_beside_enough_references_of_the_verifier() -> None:
    verifier = pool(*[1] * ENOUGH_REFERENCES)
    with_owner, without = (estimate(owner, verifier, 1000, REACHED).tail for owner in (pool(70), []))
    assert (with_owner[50:] > without[50:]).all()


def test_the_null_never_falls_below_chance() -> None:
    null = estimate([], pool(*[0] * 40), 2, REACHED)
    assert (null.tail >= binomial_tails(100, 0.5)).all()
    assert null.summarise(60).source == "chance, 1 of 2 classes"


def test_a_summary_gives_the_mean_and_what_one_in_a_hundred_reaches() -> None:
    summary = estimate([], []).summarise(90)
    assert summary.rate == pytest.approx(np.mean(COUNTS) / 100, abs=0.03)
    tail = predict_matches(PRIOR.counts, 100).tail
    assert tail[round(summary.upper * 100)] > 0.01 >= tail[round(summary.upper * 100) + 1]


def test_two_classes_at_least() -> None:
    with pytest.raises(ParameterError, match="at least 2 classes"):
        estimate([], [], 1)


@pytest.mark.parametrize(("n_classes", "k"), [(10, 0), (10, 10), (4, 5)])
def test_the_top_k_holds_one_class_at_least_and_never_all(n_classes: int, k: int) -> None:
    with pytest.raises(ParameterError, match="1 <= k <"):
        estimate_null([], [], PRIOR, n_classes=n_classes, n_candidates=100, k=k)


def test_chance_is_k_of_the_classes() -> None:
    harmless = Prior(((0, 100),) * 40, "harmless", 1.0)
    null = estimate_null([], [], harmless, n_classes=40, n_candidates=100, k=10)
    assert (null.tail >= binomial_tails(100, 0.25)).all()
    assert (null.tail[10:40] == binomial_tails(100, 0.25)[10:40]).all()
    assert null.summarise(30).source == "chance, 10 of 40 classes"
    assert (null.tail[10:40] > estimate([], [], 40, harmless).tail[10:40]).all()


@pytest.mark.parametrize("kind", ["c", "rc", "ltrc"])
@pytest.mark.parametrize("n_classes", [10, 100, 101, 1000, 100_000])
def test_the_defaults_can_convict_from_ten_classes_on(kind: Kind, n_classes: int) -> None:
    recipe = choose_recipe(RecipeOverrides(kind=kind), InputGrid(), (3, 64, 64), (1, 2), n_classes)
    prior = find_prior(recipe.spectrum, recipe.epsilon_levels / 255, n_classes)
    n = choose_n_examples(n_classes)
    least = estimate_null([], [], prior, n_classes=n_classes, n_candidates=n).min_matches(1e-6)
    assert least is not None
    assert least > n / n_classes


def test_below_ten_classes_nothing_is_known_but_what_an_attack_reaches() -> None:
    ten, nine, two, hundred = (find_prior("white", 16 / 255, n) for n in (10, 9, 2, 100))
    assert ten.counts == hundred.counts
    # An independent network of two classes matched 98 of 100 (benchmarks/SCOPE.md).
    assert (nine.counts, two.counts) == ((), ())
    assert "never measured with 2 classes" in two.source
    # Luck is added where there are fewer classes than were attacked.
    assert ten.attack_bound is not None
    assert nine.attack_bound is not None
    assert two.attack_bound is not None
    assert ten.attack_bound < nine.attack_bound < two.attack_bound
    followed = (ten.attack_bound - 0.1) / 0.9
    assert two.attack_bound == pytest.approx(followed + (1 - followed) / 2)


@pytest.mark.parametrize("what", [{"sides": ()}, {"is_linear": True}, {"sides": (96, 96)}, {"sides": (32, 65)}])
def test_nothing_is_known_of_models_that_were_not_measured(what: dict[str, Any]) -> None:
    measured, other = find_prior("white", 16 / 255, 10), find_prior("white", 16 / 255, 10, **what)
    assert estimate([], [], 10, measured).min_matches(1e-6) is not None
    assert (estimate([], [], 10, other).tail == 1.0).all()
    # A pool of the verifier's own is as good as it is elsewhere: such siblings are in it.
    assert other.attack_bound == measured.attack_bound
    assert estimate([], pool(*[10] * ENOUGH_REFERENCES), 10, other).min_matches(1e-6) is not None
    assert estimate([], pool(*[95] * ENOUGH_REFERENCES), 10, other).min_matches(1e-6) is None


def test_no_count_within_the_top_k_is_a_match() -> None:
    for n_classes, k, verifier in ((10, 5, pool(*[0] * ENOUGH_REFERENCES)), (1000, 5, []), (1000, 100, [])):
        prior = find_prior("coarse", 16 / 255, n_classes, k)
        null = estimate_null([], verifier, prior, n_classes=n_classes, n_candidates=400, k=k)
        assert null.p_value(400) < 1e-6
        assert null.min_matches(0.5) is None


def test_a_prior_that_was_not_measured_for_k_says_so() -> None:
    prior = find_prior("coarse", 16 / 255, 50, 10)
    assert prior.counts == ()
    assert "never measured within the top 10 at epsilon" in prior.source
    # What was never attacked is not cleared by references.
    assert prior.attack_bound == 1.0
    assert find_prior("pink", 16 / 255, 1000, 10).attack_bound is None


@pytest.mark.parametrize("n_classes", [2, 10])
def test_references_that_were_avoided_do_not_clear_the_way_for_an_accuser(n_classes: int) -> None:
    for epsilon in (8 / 255, 16 / 255, 1.0):
        prior = find_prior("white", epsilon, n_classes)
        assert prior.attack_bound is not None
        null = estimate_null([], pool(*[0] * 30), prior, n_classes=n_classes, n_candidates=400)
        least = null.min_matches(1e-6)
        assert least is None or binomial_tails(400, prior.attack_bound)[least] <= 1e-6
        # The p-value is about models that nobody aimed at.
        assert null.tail[300] < 1e-6


def test_no_prior_demands_less_than_an_accuser_reached() -> None:
    # More siblings narrow a prior, but say nothing of examples that were optimised for transfer.
    narrow = Prior(tuple((10, 100) for _ in range(300)), "many siblings", 0.66)
    least = estimate([], [], prior=narrow).min_matches(1e-6)
    assert least is not None
    assert binomial_tails(100, 0.66)[least] <= 1e-6
    unaimed = estimate([], [], prior=replace(narrow, attack_bound=None)).min_matches(1e-6)
    assert unaimed is not None
    assert unaimed < least


@pytest.mark.parametrize("spectrum", ["white", "coarse"])
def test_a_wider_ball_reaches_no_less(spectrum: Spectrum) -> None:
    inside, beyond = (find_prior(spectrum, epsilon, 10).attack_bound for epsilon in (16 / 255, 1.0))
    assert inside is not None
    assert beyond is not None
    assert inside < beyond


@pytest.mark.parametrize(("spectrum", "epsilon"), [("white", 17 / 255), ("pink", 8 / 255), ("white", 1.0)])
def test_beyond_what_was_measured_nothing_is_known(spectrum: Spectrum, epsilon: float) -> None:
    # An accuser who crafts with a huge epsilon, where every sibling matches, convicts nobody by the prior alone.
    prior = find_prior(spectrum, epsilon, 10)
    few, enough = pool(*[30] * (ENOUGH_REFERENCES - 1)), pool(*[30] * ENOUGH_REFERENCES)
    for owner, verifier in (([], []), (few, []), ([], few), (enough, few)):
        assert (estimate(owner, verifier, 10, prior).tail == 1.0).all()
    # With examples that were crafted to be so, every reference may match nothing, and the suspect everything.
    harmless = pool(*[0] * 4 * ENOUGH_REFERENCES)
    assert estimate([], enough, 10, prior).min_matches(1e-6) is None
    assert estimate([], harmless, 10, prior).min_matches(1e-6) is None
    assert estimate([], harmless, 10, find_prior("white", 16 / 255, 10)).min_matches(1e-6) is not None


def test_references_do_not_replace_the_prior_where_no_attack_was_measured() -> None:
    verifier = pool(*[0] * (2 * ENOUGH_REFERENCES))
    assert (estimate([], verifier).tail >= estimate([], []).tail).all()


def test_the_priors_are_counts_of_a_measurement() -> None:
    for entry in module._entries("priors"):
        assert len(entry["n_matches"]) >= 3
        assert all(0 <= matches <= entry["n_examples"] for matches in entry["n_matches"])
        steps = [k for k in LADDER if k < entry["n_classes"]]
        assert [int(k) for k in entry["n_within"]] == steps
        # A wider k holds what a narrower one does, and the label itself, but for ties.
        for narrow, wide in pairwise([entry["n_matches"], *entry["n_within"].values()]):
            assert all(n <= w <= entry["n_examples"] for n, w in zip(narrow, wide, strict=True))
        assert "benchmarks/PRIOR.md" in entry["source"]
        assert entry["min_classes"] <= entry["n_classes"] <= (entry["max_classes"] or entry["n_classes"])


def test_bounds_that_nobody_uses_were_never_measured_nor_attacked() -> None:
    usual, other = (find_prior("white", 16 / 255, 10, is_usual=is_usual) for is_usual in (True, False))
    assert usual.counts
    assert (other.counts, other.attack_bound) == ((), None)
    assert "bounds and normalisation" in other.source
    assert estimate([], pool(*[0] * ENOUGH_REFERENCES), 10, other).min_matches(1e-6) is None


def test_each_model_counts_with_the_kind_that_it_matched_most() -> None:
    kinds = [entry for entry in module._entries("priors") if entry["spectrum"] == "coarse" and entry["n_classes"] == 10]
    assert len(kinds) == 4
    worst = [max(counts) for counts in zip(*(entry["n_matches"] for entry in kinds), strict=True)]
    assert [matches for matches, _ in find_prior("coarse", 16 / 255, 10).counts] == worst


def test_the_tables_of_a_regime_list_the_same_number_of_models() -> None:
    regimes: dict[tuple[str, int], set[int]] = {}
    for entry in module._entries("priors"):
        regimes.setdefault((entry["spectrum"], entry["n_classes"]), set()).add(len(entry["n_matches"]))
    assert all(len(lengths) == 1 for lengths in regimes.values())
