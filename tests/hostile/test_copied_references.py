"""A verifier's pool of eight files that are no eight models: copies, constants, noisy copies."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxfp.evidence.null import ReferenceCount, estimate_null
from onnxfp.evidence.priors import Conditions, find_prior
from onnxfp.evidence.reference_pool import ReferenceAnswers, sort_references
from onnxfp.types import Labels

N, N_SYNTHETIC = 200, 256
CONDITIONS = Conditions("coarse", 16 / 255, 10, (32, 32))


def pool_of(answers: list[Labels], recorded: Labels) -> list[ReferenceAnswers]:
    return [
        ReferenceAnswers(ReferenceCount(f"sha256:{i:064x}", int((one[:N] == recorded).sum()), N), one, None)
        for i, one in enumerate(answers)
    ]


def needed(pool: list[ReferenceAnswers]) -> int | None:
    counted, _ = sort_references(pool, 10)
    own = [one.count for one in counted]
    return estimate_null((), own, find_prior(CONDITIONS), n_classes=10, n_candidates=N).min_matches(1e-6)


@pytest.fixture
def recorded() -> Labels:
    return np.random.default_rng(0).integers(0, 10, N)


def draw(seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 10, N + N_SYNTHETIC)


def test_eight_different_models_lower_the_requirement(recorded: Labels) -> None:
    # What the cases below must not gain.
    found, plain = needed(pool_of([draw(seed) for seed in range(1, 9)], recorded)), needed([])
    assert plain == 197
    assert found is not None
    assert found < plain


def test_eight_copies_count_once(recorded: Labels) -> None:
    pool = pool_of([draw(1)] * 8, recorded)
    counted, excluded = sort_references(pool, 10)
    assert (len(counted), len(excluded)) == (1, 7)
    assert {one.same_as for one in excluded} == {counted[0].count.digest}
    assert needed(pool) == needed(pool[:1])


def test_constants_do_not_count(recorded: Labels) -> None:
    pool = pool_of([np.full(N + N_SYNTHETIC, label) for label in range(8)], recorded)
    counted, excluded = sort_references(pool, 10)
    assert not counted
    assert {(one.n_labels, one.same_as) for one in excluded} == {(1, None)}
    assert needed(pool) == needed([])


def test_noisy_copies_that_agree_on_91_percent_count_once(recorded: Labels) -> None:
    original, copies = draw(1), []
    for number in range(8):
        # Each is changed elsewhere: 4.5 % of the answers, so that any two agree on 91 %.
        copy = original.copy()
        places = slice(number * 20, (number + 1) * 20)
        copy[places] = (copy[places] + 1) % 10
        copies.append(copy)
    assert (copies[0] == copies[1]).mean() == pytest.approx(0.912, abs=0.001)
    pool = pool_of(copies, recorded)
    assert len(sort_references(pool, 10)[0]) == 1
    assert needed(pool) == needed(pool[:1])
