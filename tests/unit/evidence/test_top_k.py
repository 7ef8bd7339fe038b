"""Graded evidence: ranks, counts within the top k, and how they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom

from onnxfp.bundle.manifest import Manifest, ReferenceResult
from onnxfp.errors import ShapeError
from onnxfp.evidence.null import ENOUGH_REFERENCES, ReferenceCount, estimate_null
from onnxfp.evidence.priors import Conditions, Prior
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.evidence.top_k import TopKEvidence, count_within, measure_top_k, rank_labels
from onnxfp.types import Labels, Ranks, Scores, Spectrum

N = 100


def ranked(recorded: Labels, scores: Scores) -> Ranks:
    ranks = rank_labels(recorded, scores)
    assert ranks is not None
    return ranks


def random_scores(n_classes: int = 12) -> tuple[Labels, Scores]:
    rng = np.random.default_rng(0)
    return rng.integers(0, n_classes, 200), rng.normal(size=(200, n_classes)).astype(np.float32)


def test_ranks_by_brute_force() -> None:
    recorded, scores = random_scores()
    expected = [np.argsort(-row).tolist().index(label) + 1 for row, label in zip(scores, recorded, strict=True)]
    assert ranked(recorded, scores).tolist() == expected
    for k in (1, 5, 12):
        assert count_within(ranked(recorded, scores), k) == sum(rank <= k for rank in expected)


def test_the_first_rank_is_the_suspects_label_and_no_other_score_is_as_large() -> None:
    recorded, scores = random_scores()
    # Of few values, so that many are equal.
    scores = np.rint(scores)
    largest = np.take_along_axis(scores, recorded[:, None], axis=1)[:, 0] == scores.max(axis=1)
    is_alone = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) == 1
    is_first = ranked(recorded, scores) == 1
    assert (is_first == (largest & is_alone)).all()
    assert (scores.argmax(axis=1)[is_first] == recorded[is_first]).all()
    # A tie that argmax decides for the recorded label is no first rank.
    assert ((scores.argmax(axis=1) == recorded) & ~is_first).any()


def test_ties_count_against_the_recorded_label() -> None:
    constant = np.full((4, 10), 0.1, np.float32)
    assert ranked(np.arange(4), constant).tolist() == [10] * 4
    assert count_within(ranked(np.arange(4), constant), 9) == 0
    tied = np.array([[3, 3, 2, 2, 1, 0]], np.float32)
    assert [ranked(np.array([label]), tied).item() for label in range(6)] == [2, 2, 4, 4, 5, 6]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7])
def test_what_is_no_answer_ranks_last(value: float, place: int) -> None:
    scores = np.arange(10, 0, -1, dtype=np.float32)[None].repeat(2, axis=0)
    scores[1, place] = value
    assert ranked(np.array([0, 0]), scores).tolist() == [1, 10]


def test_labels_alone_have_no_ranks() -> None:
    assert rank_labels(np.array([0, 1]), None) is None


@pytest.mark.parametrize(("recorded", "shape"), [([], (0, 10)), ([1], (2, 10)), ([10], (1, 10)), ([1, 1], (2,))])
def test_ranks_refuse_what_does_not_belong_together(recorded: list[int], shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        rank_labels(np.array(recorded, np.int64), np.zeros(shape, np.float32))


def manifest_of(forge: Any, n_classes: int, spectrum: Spectrum = "coarse", n_candidates: int = N) -> Manifest:
    plain: Manifest = forge.manifest(n_examples=N, n_candidates=n_candidates)
    return replace(
        plain, base=replace(plain.base, n_classes=n_classes), recipe=replace(plain.recipe, spectrum=spectrum)
    )


def ranks_with(n_within: int, n_classes: int) -> Ranks:
    """Return ranks of which so many are 1 and the others last."""
    return np.array([1] * n_within + [n_classes] * (N - n_within))


def grade_suspect(ranks: Ranks, references: Mapping[str, Ranks], manifest: Manifest) -> tuple[TopKEvidence, ...]:
    n_classes = manifest.base.n_classes
    side = 32 if n_classes <= 100 else 224
    conditions = Conditions(manifest.spectrum, manifest.epsilon_share, n_classes, (side, side))
    return measure_top_k(ranks, references, conditions, manifest.n_candidates)


def references(n: int, n_within: int, n_classes: int) -> dict[str, Ranks]:
    return {f"sha256:{i:064x}": ranks_with(n_within, n_classes) for i in range(n)}


@pytest.mark.parametrize(
    ("n_classes", "spectrum", "n_references", "steps"),
    [
        (5, "coarse", 0, []),
        (6, "coarse", 0, []),
        (10, "coarse", 0, [5]),
        # The prior was measured with ten classes, and says nothing of the top ten.
        (50, "coarse", 0, [5]),
        (50, "coarse", ENOUGH_REFERENCES - 1, [5]),
        (50, "coarse", ENOUGH_REFERENCES, [5, 10]),
        (101, "coarse", 0, [5, 10, 50, 100]),
        (1000, "coarse", 0, [5, 10, 50, 100]),
        # No prior at all; with many classes no attack either, so that references may not take its place.
        (10, "pink", 0, []),
        (10, "pink", ENOUGH_REFERENCES, [5]),
        (1000, "pink", ENOUGH_REFERENCES, []),
    ],
)
def test_only_what_is_known_is_graded(
    forge: Any, n_classes: int, spectrum: Spectrum, n_references: int, steps: list[int]
) -> None:
    manifest = manifest_of(forge, n_classes, spectrum)
    grades = grade_suspect(ranks_with(60, n_classes), references(n_references, 30, n_classes), manifest)
    assert [grade.k for grade in grades] == steps
    assert all((grade.n_within, grade.rate) == (60, 0.6) for grade in grades)


def test_a_grade_never_falls_below_chance(forge: Any) -> None:
    grades = grade_suspect(ranks_with(20, 1000), references(40, 0, 1000), manifest_of(forge, 1000))
    for grade in grades:
        assert grade.p_value >= binomial_tails(N, grade.k / 1000)[20]
    assert grades[-1].p_value == binomial_tails(N, 0.1)[20]
    assert grades[-1].null.source == "chance, 100 of 1000 classes"
    assert [grade.p_value for grade in grades] == sorted(grade.p_value for grade in grades)


def test_the_verifiers_references_count_and_the_owners_do_not(forge: Any) -> None:
    manifest, suspect = manifest_of(forge, 10), ranks_with(90, 10)

    def p_value(manifest: Manifest, n: int = 0, n_within: int = 0) -> float:
        return grade_suspect(suspect, references(n, n_within, 10), manifest)[0].p_value

    alone = p_value(manifest)
    assert p_value(manifest, 1, 95) > alone
    # Too few to take the prior's place lower nothing; enough do.
    assert p_value(manifest, ENOUGH_REFERENCES - 1, 20) >= alone
    assert p_value(manifest, ENOUGH_REFERENCES, 20) < alone
    owners = tuple(ReferenceResult(f"sha256:{i:064x}", N) for i in range(3))
    assert p_value(replace(manifest, references=owners)) == alone


def test_candidates_that_were_not_kept_count_as_outside(forge: Any) -> None:
    all_kept, selected = (
        grade_suspect(ranks_with(90, 10), {}, manifest_of(forge, 10, n_candidates=m))[0].p_value for m in (N, 130)
    )
    assert selected > all_kept


@pytest.mark.parametrize(("mean", "n_classes", "k"), [(0.02, 1000, 5), (0.3, 1000, 100), (0.7, 10, 5)])
def test_unassociated_models_have_a_small_p_value_as_rarely_as_it_says(mean: float, n_classes: int, k: int) -> None:
    # The suspect's part is computed and leaves no chance; of the pools' part the standard error is below a tenth of
    # alpha. At the widest spread that is assumed, 0.1, nothing of the margin is left (benchmarks/CALIBRATION.md).
    alpha, spread, rng = 0.01, 0.05, np.random.default_rng(0)
    a, b = mean * (1 / spread - 1), (1 - mean) * (1 / spread - 1)
    true = betabinom.sf(np.arange(N + 2) - 1, N, a, b)
    rates, naive = [], []
    for _ in range(40):
        counts = rng.binomial(N, rng.beta(a, b, ENOUGH_REFERENCES))
        pool = [ReferenceCount("", int(count), N) for count in counts]
        null = estimate_null((), pool, Prior((), "", 1.0), n_classes=n_classes, n_candidates=N, k=k)
        rates.append(true[np.argmax(np.append(null.tail, 0.0) <= alpha)])
        naive.append(true[np.argmax(np.append(binomial_tails(N, counts.mean() / N), 0.0) <= alpha)])
    assert np.std(rates) / np.sqrt(len(rates)) < 0.1 * alpha
    assert np.mean(rates) < 0.5 * alpha
    # One rate for all models would accuse many times as often.
    assert np.mean(naive) > 3 * alpha
