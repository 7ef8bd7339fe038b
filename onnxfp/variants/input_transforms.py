"""What a service may do to an image before its model sees it: compression, resizing, cropping, shifts, noise.

All work on images in unit values, ``(n, channels, height, width)`` float32 in [0, 1], and give the same shape back, on
the grid of 8-bit images.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onnxfp.errors import ParameterError
from onnxfp.recipe.image_changes import crop_edge, has_jpeg, resize_side

Images = NDArray[np.float32]


def reduce_depth(images: Images, bits: int) -> Images:
    """Return the images with fewer levels a channel.

    Args:
        images: See the module.
        bits: Bits of a channel, 1 to 8.
    """
    levels = np.float32(2**bits - 1)
    return _on_grid(np.rint(images * levels) / levels)


def compress(images: Images, quality: int) -> Images:
    """Return the images after JPEG.

    Args:
        images: See the module; of one or three channels.
        quality: JPEG quality, 1 to 95.

    Raises:
        ParameterError: JPEG does not know that number of channels.
    """
    if not has_jpeg(images.shape[1]):
        raise ParameterError(f"JPEG holds one or three channels; the images have {images.shape[1]}")
    result = np.empty_like(images)
    for number, pixels in enumerate(_as_bytes(images)):
        stream = io.BytesIO()
        picture = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(picture)).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as opened:
            decoded = np.asarray(opened, np.float32) / 255
        result[number] = decoded[None] if decoded.ndim == 2 else decoded.transpose(2, 0, 1)
    return result


def resize_and_back(images: Images, factor: float) -> Images:
    """Return the images after resizing by ``factor`` and back, bilinearly.

    Args:
        images: See the module.
        factor: Positive; each side keeps at least one pixel.
    """
    height, width = images.shape[2:]
    small = (resize_side(width, factor), resize_side(height, factor))
    return _on_grid(_resampled(_resampled(images, small), (width, height)))


def crop(images: Images, share: float) -> Images:
    """Return the middle of the images, resized to their full size, bilinearly.

    Args:
        images: See the module.
        share: Share of each side that is kept, in ``(0, 1)``; at least one pixel on each edge goes.
    """
    height, width = images.shape[2:]
    top, left = (crop_edge(side, (1 - share) / 2) for side in (height, width))
    if 2 * top >= height or 2 * left >= width:
        raise ParameterError(f"images of {height} x {width} pixels cannot be cropped")
    return _on_grid(_resampled(images[:, :, top : height - top, left : width - left], (width, height)))


def shift(images: Images, n_pixels: int) -> Images:
    """Return the images moved right and down, their edges repeated.

    Args:
        images: See the module.
        n_pixels: Pixels, positive.
    """
    height, width = images.shape[2:]
    rows, columns = (np.maximum(np.arange(side) - n_pixels, 0) for side in (height, width))
    return np.ascontiguousarray(images[:, :, rows][:, :, :, columns])


def add_noise(images: Images, scale: float, seed: int) -> Images:
    """Return the images with Gaussian noise.

    Args:
        images: See the module.
        scale: Standard deviation, in unit values.
        seed: Seeds the noise.
    """
    rng = np.random.default_rng(seed)
    return _on_grid(images + rng.normal(0.0, scale, images.shape).astype(np.float32))


def _resampled(images: Images, size: tuple[int, int]) -> Images:
    flat = np.ascontiguousarray(images, np.float32).reshape(-1, *images.shape[2:])
    resized = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)) for plane in flat]
    return np.stack(resized).reshape(*images.shape[:2], size[1], size[0])


def _on_grid(images: Images) -> Images:
    return np.asarray(np.rint(np.clip(images, 0.0, 1.0) * 255) / 255, np.float32)


def _as_bytes(images: Images) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(images, 0.0, 1.0) * 255), np.uint8)
