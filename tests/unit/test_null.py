"""The null rate: which of chance, pools and prior decides."""

from __future__ import annotations

import json

import pytest

from onnxfp.errors import ParameterError
from onnxfp.evidence import null as module
from onnxfp.evidence.null import ENOUGH_REFERENCES, Prior, ReferenceCount, estimate_null, find_prior
from onnxfp.evidence.statistics import upper_bound
from onnxfp.examples.defaults import Choices, choose_recipe
from onnxfp.types import InputGrid, Kind, Spectrum

PRIOR = Prior(0.4, "a benchmark")


def pool(*counts: int) -> list[ReferenceCount]:
    return [ReferenceCount(f"sha256:{i:064x}", count, 100) for i, count in enumerate(counts)]


def test_without_references_the_prior_decides() -> None:
    null = estimate_null([], [], 10, PRIOR)
    assert null.rate == PRIOR.rate
    assert "conservative prior" in null.source


def test_a_bad_reference_of_either_side_raises_the_null() -> None:
    for owner, verifier in ((pool(70), []), ([], pool(70))):
        null = estimate_null(owner, verifier, 10, PRIOR)
        assert null.rate == upper_bound(70, 100, 0.99) > 0.7


def test_the_owner_cannot_lower_the_null_with_harmless_references() -> None:
    assert estimate_null(pool(*[0] * 1000), [], 10, PRIOR).rate == PRIOR.rate


def test_enough_references_of_the_verifier_replace_the_prior() -> None:
    few = estimate_null([], pool(*[1] * (ENOUGH_REFERENCES - 1)), 10, PRIOR)
    enough = estimate_null([], pool(*[1] * ENOUGH_REFERENCES), 1000, PRIOR)
    assert few.rate == PRIOR.rate
    assert enough.rate == upper_bound(1, 100, 0.99) < PRIOR.rate


def test_the_null_never_falls_below_chance() -> None:
    assert estimate_null([], pool(*[0] * 20), 2, Prior(0.01, "x")).rate == 0.5


def test_two_classes_at_least() -> None:
    with pytest.raises(ParameterError, match="at least 2 classes"):
        estimate_null([], [], 1, PRIOR)


@pytest.mark.parametrize("kind", ["c", "rc", "ltrc"])
@pytest.mark.parametrize("n_classes", [2, 10, 100, 101, 1000, 100_000])
def test_the_defaults_have_a_prior_for_every_number_of_classes(kind: Kind, n_classes: int) -> None:
    shape = (3, 64, 64)
    recipe = choose_recipe(Choices(kind=kind), InputGrid(), shape, (1, 2), n_classes)
    prior = find_prior(kind, recipe.spectrum, recipe.epsilon_levels / 255, n_classes)
    assert 0.05 < prior.rate < 0.9
    assert " of " in prior.source


@pytest.mark.parametrize(
    ("kind", "spectrum", "epsilon"), [("c", "white", 17 / 255), ("ltrc", "pink", 8 / 255), ("rc", "white", 1.0)]
)
def test_beyond_what_was_measured_nothing_is_known(kind: Kind, spectrum: Spectrum, epsilon: float) -> None:
    # An accuser who crafts with a huge epsilon, where every sibling matches, convicts nobody by the prior alone.
    prior = find_prior(kind, spectrum, epsilon, 10)
    assert prior.rate == 1.0
    assert estimate_null([], [], 10, prior).rate == 1.0
    assert estimate_null([], pool(*[30] * ENOUGH_REFERENCES), 10, prior).rate < 0.5


def test_the_priors_are_counts_of_a_measurement() -> None:
    for entry in module._priors():
        assert 0 <= entry["n_matches"] <= entry["n_examples"]
        assert json.dumps(entry["source"])
