"""Ranks of recorded labels, and counts within the top k."""

from __future__ import annotations

import numpy as np
import pytest

from onnxfp.errors import ShapeError
from onnxfp.evidence.graded import count_within, rank_labels
from onnxfp.types import Labels, Ranks, Scores


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
