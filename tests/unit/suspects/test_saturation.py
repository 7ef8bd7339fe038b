"""The range that a suspect tells apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from onnxfp.suspects.saturation import N_PROBES, measure_fed_epsilon, measure_window
from onnxfp.types import Levels, Scores

SEEDS = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8)).astype(np.uint8)
WEIGHTS = np.random.default_rng(1).normal(size=(192, 10))


def suspect(low: float, high: float, *, noise: float = 0.0) -> Callable[[Levels], Scores]:
    """Return a model that clips its input, in shares of the range."""

    def ask(levels: Levels) -> Scores:
        top = 255 if levels.dtype == np.uint8 else 65535
        values = np.clip(levels / top, low, high).reshape(len(levels), -1)
        scores = np.tanh(values @ WEIGHTS) + noise * np.sin(1e6 * values.sum(axis=1, keepdims=True))
        return np.asarray(scores, np.float32)

    return ask


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("low", "high", "window"),
    [
        (0, 1, 1.0),
        # What a static quantiser or a careless preprocessing clips.
        (0.02, 0.98, 1.0),
        (0.1, 0.9, 1.0),
        (0.26, 0.74, 0.5),
        (0, 0.5, 0.5),
        (0.5, 1, 0.5),
        # Fed in [0, 255] and made for [0, 1]: the lowest level alone is told apart from the others.
        (0, 1 / 255, 0.125),
    ],
)
def test_what_is_clipped_is_not_told_apart(low: float, high: float, window: float, dtype: type) -> None:
    seeds = SEEDS if dtype is np.uint8 else SEEDS.astype(np.uint16) * 257
    assert measure_window(suspect(low, high), seeds) == window


def test_it_takes_few_questions_and_numerical_noise_does_not_matter() -> None:
    asked = []

    def ask(levels: Levels) -> Scores:
        asked.append(len(levels))
        return suspect(0, 0.5, noise=1e-5)(levels)

    assert measure_window(ask, SEEDS) == 0.5
    assert sum(asked) <= 9 * N_PROBES


def test_a_constant_model_tells_nothing_apart() -> None:
    assert measure_window(lambda levels: np.ones((len(levels), 10), np.float32), SEEDS) == 0.0


def test_labels_alone_do_not_tell() -> None:
    assert measure_window(lambda _: None, SEEDS) is None


def test_the_ball_is_measured_on_what_is_fed() -> None:
    moved = np.clip(SEEDS.astype(int) + 16, 0, 255).astype(np.uint8)
    assert measure_fed_epsilon(lambda levels: levels / 255.0, moved, SEEDS) == pytest.approx(16 / 255)
    # Bounds of -4080 to 255 on a model of bytes: a level is seventeen bytes, and most of them are cut off.
    wide = measure_fed_epsilon(lambda levels: np.clip(np.rint(levels * 17.0 - 4080), 0, 255), moved, SEEDS)
    assert wide == 1.0
    assert measure_fed_epsilon(lambda levels: np.zeros(levels.shape), moved, SEEDS) == 0.0
