"""Numbers by which images are resized and cropped: never to nothing, and always by something."""

from __future__ import annotations

import pytest

from onnxfp.recipe.image_changes import crop_edge, has_jpeg, resize_side


def test_jpeg_holds_grey_and_coloured_images() -> None:
    assert [n for n in range(6) if has_jpeg(n)] == [1, 3]


@pytest.mark.parametrize(("n", "factor", "side"), [(224, 0.5, 112), (9, 0.75, 7), (3, 2.0, 6), (1, 0.1, 1)])
def test_a_resized_side_keeps_at_least_one_pixel(n: int, factor: float, side: int) -> None:
    assert resize_side(n, factor) == side


@pytest.mark.parametrize(("n", "share", "edge"), [(224, 0.07, 16), (32, 0.0625, 2), (8, 0.025, 1)])
def test_a_crop_takes_at_least_one_pixel(n: int, share: float, edge: int) -> None:
    assert crop_edge(n, share) == edge
