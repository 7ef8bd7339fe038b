"""The input grid: levels to model input and back to first principles."""

from __future__ import annotations

import tracemalloc
from typing import Literal

import numpy as np
import pytest

from onnxfp.errors import ParameterError
from onnxfp.types import Bounds, InputGrid, Levels


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_impossible_bounds_are_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ParameterError, match="bounds"):
        Bounds(*ends)


def test_levels_become_normalised_values_of_the_right_channel() -> None:
    grid = InputGrid(Bounds(0, 1), mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    levels = np.full((1, 3, 2, 2), 51, np.uint8)
    expected = (51 / 255 - np.array([0.1, 0.2, 0.3])) / np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(grid.to_model_input(levels)[0, :, 0, 0], expected, rtol=1e-6, atol=1e-8)
    last = InputGrid(Bounds(0, 1), mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0), channel_axis=2)
    np.testing.assert_array_equal(
        last.to_model_input(levels.transpose(0, 2, 3, 1)), grid.to_model_input(levels).transpose(0, 2, 3, 1)
    )


def test_the_ends_of_the_grid_are_the_bounds() -> None:
    grid = InputGrid(Bounds(-3, 5), 65536)
    assert grid.to_model_input(np.array([[0, 65535]], np.uint16)).tolist() == [[-3.0, 5.0]]


@pytest.mark.parametrize(
    "fields",
    [{"n_levels": 100}, {"mean": (0.0, 0.0)}, {"mean": (), "std": ()}, {"std": (0.0,)}, {"mean": (float("nan"),)}],
)
def test_impossible_grids_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        InputGrid(**fields)  # type: ignore[arg-type]


def test_a_mean_for_each_channel_needs_that_many_channels() -> None:
    grid = InputGrid(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    with pytest.raises(ParameterError, match="channels"):
        grid.to_model_input(np.zeros((1, 4, 2, 2), np.uint8))


@pytest.mark.parametrize(("epsilon", "levels"), [(16 / 255, 16), (0.0999, 25), (5.0, 255), (1 / 255, 1)])
def test_epsilon_is_rounded_down_to_whole_levels(epsilon: float, levels: int) -> None:
    assert InputGrid().epsilon_in_levels(epsilon) == levels


@pytest.mark.parametrize("n_levels", [256, 65536])
@pytest.mark.parametrize(("mean", "std", "axis"), [((0.3,), (0.2,), 0), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 2)])
def test_looked_up_values_are_the_computed_ones_to_the_last_bit(
    n_levels: Literal[256, 65536], mean: tuple[float, ...], std: tuple[float, ...], axis: int
) -> None:
    grid = InputGrid(Bounds(-1, 3), n_levels, mean=mean, std=std, channel_axis=axis)
    drawn = np.random.default_rng(0).integers(0, n_levels, (4, 5, 6, 3))
    levels: Levels = drawn.astype(np.uint8) if n_levels == 256 else drawn.astype(np.uint16)
    computed = (-1 + levels.astype(np.float64) / (n_levels - 1) * 4 - np.array(mean)) / np.array(std)
    scale, offset = grid.affine((5, 6, 3))
    exact = levels.astype(np.float64) / (n_levels - 1) * scale + offset
    assert (grid.to_model_input(levels) == exact.astype(np.float32)).all()
    assert grid.to_model_input(levels) == pytest.approx(computed, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("n_examples", [1, 40, 300])
def test_values_computed_one_by_one_and_looked_up_are_the_same(n_examples: int) -> None:
    # Of 256 levels, tables pay off beyond 256 values a channel: the last number of examples is above, the others below.
    rng = np.random.default_rng(1)
    for n_levels in (256, 65536):
        mean, std = tuple(rng.normal(size=7) * 100), tuple(rng.random(7) + 1e-3)
        grid = InputGrid(Bounds(-3, 250), n_levels, mean=mean, std=std)
        drawn = rng.integers(0, n_levels, (n_examples, 7))
        levels: Levels = drawn.astype(np.uint8) if n_levels == 256 else drawn.astype(np.uint16)
        scale, offset = grid.affine((7,))
        tables = (np.arange(n_levels)[:, np.newaxis] / (n_levels - 1) * scale + offset).astype(np.float32)
        assert grid.to_model_input(levels).tobytes() == np.take_along_axis(tables, drawn, 0).tobytes()


def test_many_channels_of_many_levels_take_little_memory() -> None:
    # A table of them all would take 1.5 GB, and as much again twice over while it is made.
    grid = InputGrid(n_levels=65536, mean=(0.0,) * 3000, std=(1.0,) * 3000)
    levels = np.full((2, 3000), 65535, np.uint16)
    tracemalloc.start()
    try:
        assert (grid.to_model_input(levels) == 1.0).all()
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
