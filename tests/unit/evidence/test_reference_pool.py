"""Which references count."""

from __future__ import annotations

import numpy as np
import pytest

from onnxfp.evidence.null import ReferenceCount
from onnxfp.evidence.reference_pool import ReferenceAnswers, min_labels, sort_references
from onnxfp.types import Labels

N = 400


def answers(labels: Labels, number: int, n_matches: int = 10) -> ReferenceAnswers:
    return ReferenceAnswers(ReferenceCount(f"sha256:{number:064x}", n_matches, 200), labels, None)


def independent(n: int, n_classes: int = 10) -> list[ReferenceAnswers]:
    rng = np.random.default_rng(0)
    return [answers(rng.integers(0, n_classes, N), i) for i in range(n)]


def test_independent_models_all_count() -> None:
    pool = independent(8)
    counted, excluded = sort_references(pool, 10)
    assert list(counted) == pool
    assert excluded == ()


def test_copies_of_one_model_count_once_and_the_worst_of_them_does() -> None:
    labels = independent(1)[0].labels
    rng = np.random.default_rng(1)
    copies = []
    for i in range(8):
        changed = labels.copy()
        changed[rng.choice(N, N // 50, replace=False)] = rng.integers(0, 10, N // 50)
        copies.append(answers(changed, i, n_matches=20 + i))
    counted, excluded = sort_references(copies, 10)
    assert [one.count.n_matches for one in counted] == [27]
    assert len(excluded) == 7
    assert {one.same_as for one in excluded} == {counted[0].count.digest}
    assert [one.digest for one in excluded] == [f"sha256:{i:064x}" for i in range(7)]


@pytest.mark.parametrize("n_given", [1, 4])
def test_a_model_that_cannot_answer_the_task_does_not_count(n_given: int) -> None:
    useless = [answers(np.random.default_rng(i).integers(0, n_given, N), i) for i in range(8)]
    counted, excluded = sort_references(useless, 10)
    assert counted == ()
    assert all((one.n_labels, one.same_as) == (n_given, None) for one in excluded)


def test_an_answer_that_is_missing_is_no_label() -> None:
    counted, excluded = sort_references([answers(np.full(N, -1), 0)], 10)
    assert counted == ()
    assert excluded[0].n_labels == 0


def test_of_many_classes_ten_are_enough() -> None:
    assert [min_labels(n) for n in (2, 3, 4, 10, 19, 20, 1000)] == [2, 2, 2, 5, 10, 10, 10]
    pool = [answers(np.random.default_rng(i).integers(0, 10, N), i) for i in range(3)]
    assert len(sort_references(pool, 1000)[0]) == 3
