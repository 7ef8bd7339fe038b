"""What services do to images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from onnxfp.errors import ParameterError
from onnxfp.variants import input_transforms
from onnxfp.variants.catalogue import list_input_transforms

GRID = np.asarray(np.rint(np.random.default_rng(0).random((3, 3, 12, 16)) * 255) / 255, np.float32)
SMOOTH = np.broadcast_to(np.linspace(0, 1, 16, dtype=np.float32), (2, 3, 16, 16)).copy()


@pytest.mark.parametrize("query", list_input_transforms("full"), ids=lambda query: query.name)
def test_every_change_gives_images_of_8_bits_in_the_same_shape(query: object) -> None:
    transform: Callable[[np.ndarray], np.ndarray] = query.transform  # type: ignore[attr-defined]
    before = GRID.copy()
    changed = transform(GRID)
    assert changed.shape == GRID.shape
    assert changed.dtype == np.float32
    assert np.array_equal(GRID, before), "the images were modified"
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.allclose(changed * 255, np.rint(changed * 255), atol=1e-3)
    # Something smooth survives all of them but the shift's and crop's displacement of a pixel or two.
    assert np.abs(transform(SMOOTH) - SMOOTH).mean() < 0.15


def test_8_bits_change_nothing_on_their_own_grid_and_fewer_do() -> None:
    assert np.array_equal(input_transforms.reduce_depth(GRID, 8), GRID)
    assert len(np.unique(input_transforms.reduce_depth(GRID, 4))) == 16


def test_a_shift_moves_pixels_and_repeats_the_edge() -> None:
    moved = input_transforms.shift(GRID, 1)
    assert np.array_equal(moved[:, :, 1:, 1:], GRID[:, :, :-1, :-1])
    assert np.array_equal(moved[:, :, 0, 1:], GRID[:, :, 0, :-1])


def test_lower_quality_loses_more_and_grey_images_work() -> None:
    losses = [np.abs(input_transforms.compress(GRID, quality) - GRID).mean() for quality in (95, 75, 30)]
    assert losses == sorted(losses)
    assert input_transforms.compress(GRID[:, :1], 90).shape == (3, 1, 12, 16)
    with pytest.raises(ParameterError, match="one or three channels"):
        input_transforms.compress(np.zeros((1, 4, 8, 8), np.float32), 90)


def test_noise_has_the_scale_that_is_asked_for_and_repeats() -> None:
    grey = np.full((10, 3, 32, 32), 0.5, np.float32)
    noisy = input_transforms.add_noise(grey, 8 / 255, seed=1)
    # 30,720 values: the standard error of a standard deviation is 0.4 %; rounding to 8 bits adds 0.1 %.
    assert (noisy - grey).std() == pytest.approx(8 / 255, rel=0.03)
    assert np.array_equal(noisy, input_transforms.add_noise(grey, 8 / 255, seed=1))


def test_a_crop_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ParameterError, match="cannot be cropped"):
        input_transforms.crop(np.zeros((1, 3, 2, 2), np.float32), 0.9)
