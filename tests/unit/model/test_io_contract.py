"""What a shape says about its axes."""

from __future__ import annotations

import pytest

from onnxfp.model.io_contract import _layout, channel_axis, spatial_axes
from onnxfp.types import Layout


@pytest.mark.parametrize(
    ("shape", "layout", "spatial", "channel"),
    [
        ((64,), "NC", (), 0),
        ((2, 128), "NCL", (1,), 0),
        ((128, 2), "NLC", (0,), 1),
        ((16, 16), "NCL", (1,), 0),
        ((3, 32, 32), "NCHW", (1, 2), 0),
        ((32, 32, 3), "NHWC", (0, 1), 2),
        ((3, 3, 3), "NCHW", (1, 2), 0),
        ((16, 16, 2), "NHWC", (0, 1), 2),
        ((2, 16, 16), "NCHW", (1, 2), 0),
        ((1, 8, 16, 16), "NCDHW", (1, 2, 3), 0),
        ((8, 16, 16, 3), "NDHWC", (0, 1, 2), 3),
        ((1, 2, 3, 4, 5), "OTHER", (), 0),
    ],
)
def test_axes_are_told_by_their_lengths(
    shape: tuple[int, ...], layout: Layout, spatial: tuple[int, ...], channel: int
) -> None:
    assert _layout(shape) == layout
    assert spatial_axes(layout) == spatial
    assert channel_axis(layout) == channel
