"""Facts about changes of images, for the two families of input transformations.

:mod:`onnxfp.crafting.input_transforms` crafts examples that survive such changes, and
:mod:`onnxfp.variants.input_transforms` measures whether they do. Both resize, crop and compress by these numbers.
"""

from __future__ import annotations

_JPEG_CHANNELS = (1, 3)


def has_jpeg(n_channels: int) -> bool:
    """Return whether JPEG holds images of that many channels."""
    return n_channels in _JPEG_CHANNELS


def resize_side(n_pixels: int, factor: float) -> int:
    """Return the pixels of a resized side, at least one.

    Args:
        n_pixels: Pixels of the side.
        factor: Positive.
    """
    return max(1, round(n_pixels * factor))


def crop_edge(n_pixels: int, share: float) -> int:
    """Return the pixels that a crop takes from one end of a side, at least one.

    Args:
        n_pixels: Pixels of the side.
        share: Share of the side that goes at this end, in (0, 1).
    """
    return max(1, round(n_pixels * share))
