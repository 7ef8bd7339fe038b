"""Input transformations: what a service may do to an image before its model sees it, as differentiable functions.

A gradient that is averaged over such transformations leads to examples that survive them. JPEG is the codec's own
arithmetic without its lossless part: YCbCr, chroma at half resolution, the DCT of 8 x 8 blocks, and quantisation tables
scaled by the quality; where it rounds, ``round(x) + (x - round(x))**3`` stands for the rounding, so that coefficients
that would vanish pass hardly any gradient.

References:
    Expectation over transformation: Athalye et al., arXiv:1707.07397. The rounding: Shin and Song, *JPEG-resistant
    Adversarial Images* (2017). Tables and scaling: ITU-T T.81, annex K, and the Independent JPEG Group's library. Which
    transformations are drawn, and how strong, is this project's own choice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import cos, pi, prod, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.errors import ParameterError
from onnxfp.recipe.image_changes import crop_edge, has_jpeg, resize_side

Transformation = Callable[[Tensor], Tensor]
"""``(n, channels, height, width)`` unit values to the same shape."""

_QUALITIES = (60, 95)
_MAX_SHIFT = 2
_MAX_CROP = 0.07
_FACTORS = (0.5, 0.6, 0.75, 0.9, 1.5, 2.0)
_MAX_NOISE = 0.04

_BLOCK = 8
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * _BLOCK,) * 4,
)
# ITU-R BT.601, as JFIF has it.
_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


class Transformations:
    """Draws one transformation after the other: none, JPEG, a shift, a crop, resizing there and back, or noise.

    Args:
        shape: Shape of one example.
        spatial_axes: Its two spatial axes; those of an image.

    Raises:
        ParameterError: The examples are no images.
    """

    def __init__(self, shape: tuple[int, ...], spatial_axes: tuple[int, ...]) -> None:
        if len(spatial_axes) != 2:
            raise ParameterError(
                f"input transformations are those of images; examples of shape {shape} are none",
                hint="use --kind rc, or ltrc where neighbours are alike",
            )
        self._height, self._width = (shape[axis] for axis in spatial_axes)
        self._axes = spatial_axes
        self._n_channels = prod(shape) // (self._height * self._width)

    def draw(self, generator: torch.Generator) -> Transformation:
        """Return one transformation, of examples of the shape that was given.

        Args:
            generator: Source of randomness, on the examples' device.

        Returns:
            A function of ``(n, *shape)`` unit values that returns the same shape; differentiable.
        """
        device = generator.device

        def whole(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (), generator=generator, device=device))

        def share() -> float:
            return float(torch.rand((), generator=generator, device=device))

        choice = whole(0, 5)
        if choice == 0:
            return unchanged
        if choice == 1 and has_jpeg(self._n_channels):
            change: Transformation = partial(compress, quality=whole(*_QUALITIES))
        elif choice == 2:
            change = partial(shift, down=whole(-_MAX_SHIFT, _MAX_SHIFT), right=whole(-_MAX_SHIFT, _MAX_SHIFT))
        elif choice == 3:
            vertical, horizontal = (crop_edge(side, _MAX_CROP) for side in (self._height, self._width))
            edges = (whole(0, vertical), whole(0, vertical), whole(0, horizontal), whole(0, horizontal))
            change = partial(crop, edges=edges)
        elif choice == 4:
            change = partial(resize_and_back, factor=_FACTORS[whole(0, len(_FACTORS) - 1)])
        else:
            # One pattern for the whole batch: the next step draws another.
            size = (self._n_channels, self._height, self._width)
            pattern = torch.randn(size, generator=generator, device=device) * (_MAX_NOISE * share())
            change = partial(_add, pattern=pattern)
        return partial(self._apply, change)

    def _apply(self, change: Transformation, examples: Tensor) -> Tensor:
        axes = tuple(axis + 1 for axis in self._axes)
        images = examples.movedim(axes, (-2, -1))
        changed = change(images.reshape(len(images), self._n_channels, self._height, self._width))
        return changed.reshape(images.shape).movedim((-2, -1), axes)


def compress(images: Tensor, quality: int) -> Tensor:
    """Return the images nearly as JPEG leaves them.

    Args:
        images: ``(n, channels, height, width)`` unit values, of one or three channels.
        quality: 1 to 95.
    """
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    luminance, chrominance = (
        torch.tensor([[min(max((entry * scale + 50) // 100, 1), 255) for entry in row] for row in table]).to(images)
        for table in (_LUMINANCE, _CHROMINANCE)
    )
    if images.shape[1] == 1:
        return ((_quantise(images * 255 - 128, luminance) + 128) / 255).clamp(0.0, 1.0)
    matrix = torch.tensor(_TO_YCBCR).to(images)
    planes = torch.einsum("ij,njhw->nihw", matrix, images * 255)
    light = _quantise(planes[:, :1] - 128, luminance) + 128
    colour = _quantise(F.avg_pool2d(planes[:, 1:], 2, ceil_mode=True), chrominance)
    colour = F.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
    colour = colour[:, :, : images.shape[2], : images.shape[3]]
    found = torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), torch.cat([light, colour], dim=1))
    return (found / 255).clamp(0.0, 1.0)


def resize_and_back(images: Tensor, factor: float) -> Tensor:
    """Return the images after resizing by ``factor`` and back, bilinearly.

    Args:
        images: ``(n, channels, height, width)`` unit values.
        factor: Positive; each side keeps at least one pixel.
    """
    height, width = images.shape[2:]
    return _resized(_resized(images, resize_side(height, factor), resize_side(width, factor)), height, width)


def crop(images: Tensor, edges: tuple[int, int, int, int]) -> Tensor:
    """Return what is left without some rows and columns, resized to full size, bilinearly.

    Args:
        images: ``(n, channels, height, width)`` unit values.
        edges: Rows at the top and bottom, columns at the left and right.
    """
    height, width = images.shape[2:]
    top, bottom, left, right = edges
    return _resized(images[:, :, top : height - bottom, left : width - right], height, width)


def shift(images: Tensor, down: int, right: int) -> Tensor:
    """Return the images moved by whole pixels, their edges repeated.

    Args:
        images: ``(n, channels, height, width)`` unit values.
        down: Pixels; upwards where negative.
        right: Pixels; to the left where negative.
    """
    height, width = images.shape[2:]
    rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - right).clamp(0, width - 1)
    return images[:, :, rows][:, :, :, columns]


def unchanged(images: Tensor) -> Tensor:
    """Return the images as they are."""
    return images


def _add(images: Tensor, pattern: Tensor) -> Tensor:
    return (images + pattern).clamp(0.0, 1.0)


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)


def _quantise(planes: Tensor, table: Tensor) -> Tensor:
    """Return ``(n, channels, height, width)`` planes after the rounding of every block's coefficients."""
    n, channels, height, width = planes.shape
    padded = F.pad(planes, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
    rows, columns = (side // _BLOCK for side in padded.shape[2:])
    blocks = padded.reshape(n, channels, rows, _BLOCK, columns, _BLOCK).transpose(3, 4)
    transform = _dct_matrix().to(planes)
    coefficients = transform @ blocks @ transform.T / table
    nearest = coefficients.detach().round()
    blocks = transform.T @ ((nearest + (coefficients - nearest) ** 3) * table) @ transform
    return blocks.transpose(3, 4).reshape(padded.shape)[:, :, :height, :width]


def _dct_matrix() -> Tensor:
    """Return the orthonormal DCT-II matrix of a block's side."""
    return torch.tensor(
        [
            [
                (sqrt(0.5) if k == 0 else 1.0) * sqrt(2 / _BLOCK) * cos(pi / _BLOCK * k * (i + 0.5))
                for i in range(_BLOCK)
            ]
            for k in range(_BLOCK)
        ]
    )
