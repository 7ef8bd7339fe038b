"""The questions that show how far a classifier is from a linear one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxfp.runtime.session import Answers
from onnxfp.suspects.curvature import is_nearly_linear
from onnxfp.suspects.curvature_questions import MAX_QUADRUPLES, ask_curvature
from onnxfp.types import Levels

SHAPE, N_CLASSES = (3, 8, 8), 4


class Model:
    """A classifier that counts its questions: a power of pixels, a linear map, products of scores."""

    def __init__(self, power: float = 1.0, product: float = 0.0) -> None:
        self.weight = np.random.default_rng(0).normal(size=(192, N_CLASSES))
        self.power, self.product = power, product
        self.asked: list[Levels] = []

    def __call__(self, levels: Levels) -> Answers:
        self.asked.append(levels)
        values = (levels.reshape(len(levels), -1) / 255.0) ** self.power - 0.5
        scores = values @ self.weight
        bent = np.asarray(scores + self.product * scores[:, [1, 2, 3, 0]] * scores, np.float32)
        return Answers(bent.argmax(axis=1).astype(np.int64), bent)


@pytest.fixture
def levels() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (200, *SHAPE)).astype(np.uint8)


@pytest.mark.parametrize("axes", [(1, 2), ()])
@pytest.mark.parametrize("power", [1.0, 2.2])
def test_what_is_linear_behind_a_function_of_pixels_has_none(
    levels: Levels, axes: tuple[int, ...], power: float
) -> None:
    model = Model(power)
    found = ask_curvature(model, levels, model(levels), axes, "sha256:0")
    assert found.size == pytest.approx(0.0, abs=1e-5)
    assert (found.crossed, found.n_crossed_labels) == (0.0, 0)
    # Two hundred examples of four classes hold enough pairs with one label.
    assert found.n_quadruples == MAX_QUADRUPLES


def test_what_multiplies_pixels_has_some(levels: Levels) -> None:
    model = Model(product=1.0)
    found = ask_curvature(model, levels, model(levels), (1, 2), "sha256:0")
    assert found.size is not None
    assert found.crossed is not None
    assert found.size > 0.5
    assert found.crossed > 0


@pytest.mark.parametrize("n", [2, 3, 60, 200])
def test_questions_are_few_and_are_exchanges(levels: Levels, n: int) -> None:
    model = Model()
    answers = model(levels[:n])
    ask_curvature(model, levels[:n], answers, (1, 2), "sha256:0")
    (_, mixed) = model.asked
    assert len(mixed) <= 2 * MAX_QUADRUPLES
    assert len(mixed) >= 2
    assert mixed.dtype == np.uint8
    # Each cell of each channel is that of some input, as a whole.
    cells = levels[:n].reshape(n, 3, 4, 2, 4, 2)
    for cell in mixed.reshape(-1, 3, 4, 2, 4, 2)[:, :, 1, :, 2, :]:
        assert (cells[:, :, 1, :, 2, :] == cell).all(axis=(1, 2, 3)).any()


def test_a_digest_decides_which(levels: Levels) -> None:
    model = Model()
    answers = model(levels)
    for digest in ("sha256:0", "sha256:0", "sha256:1"):
        ask_curvature(model, levels, answers, (1, 2), digest)
    first, again, other = model.asked[1:]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_finite_scores_labels_are_what_there_is(levels: Levels) -> None:
    model = Model()

    def labels_only(asked: Levels) -> Answers:
        return Answers(model(asked).labels, None)

    def infinite(asked: Levels) -> Answers:
        return Answers(model(asked).labels, np.full((len(asked), N_CLASSES), np.nan, np.float32))

    for answer in (labels_only, infinite):
        found = ask_curvature(answer, levels, answer(levels), (1, 2), "sha256:0")
        assert (found.size, found.crossed) == (None, None)
        assert (found.n_crossed_labels, found.n_quadruples) == (0, MAX_QUADRUPLES)


@pytest.mark.parametrize("gives_scores", [True, False])
def test_a_constant_model_shows_nothing(levels: Levels, gives_scores: bool) -> None:
    def constant(asked: Levels) -> Answers:
        scores = np.zeros((len(asked), N_CLASSES), np.float32) if gives_scores else None
        return Answers(np.zeros(len(asked), np.int64), scores)

    assert is_nearly_linear(ask_curvature(constant, levels, constant(levels), (1, 2), "sha256:0")) is None
