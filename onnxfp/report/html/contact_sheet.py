"""The examples of a fingerprint as one picture, to be looked at."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError
from onnxfp.files import write_file
from onnxfp.suspects.export import encode_png, example_images

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint

_GAP = 2
_SHEET_PIXELS = 1200
_LARGEST_ZOOM = 3

# On a page: enough to see what they are, few enough that the page stays small and gives most of them away to nobody.
_PAGE_EXAMPLES = 40
_PAGE_COLUMNS = 10
_PAGE_SIDE = 64


@dataclass(frozen=True, slots=True)
class Sheet:
    """Some examples, for a page.

    Attributes:
        uri: The PNG as a ``data:`` address.
        width: Its width in pixels.
        height: Its height in pixels.
        n_shown: Number of examples on it.
        is_reduced: Whether they are shown smaller than they are.
    """

    uri: str
    width: int
    height: int
    n_shown: int
    is_reduced: bool


def write_contact_sheet(fingerprint: Fingerprint, path: Path) -> None:
    """Write all examples as one PNG, in rows, in the order of the bundle.

    Args:
        fingerprint: Its examples must be images of one, three or four channels.
        path: The PNG file.

    Raises:
        ParameterError: The examples are no images.
        FileError: The file cannot be written.
    """
    images = example_images(fingerprint)
    n, height, width, _ = images.shape
    columns = ceil(sqrt(n * height / width))
    zoom = max(1, min(_LARGEST_ZOOM, _SHEET_PIXELS // (columns * width)))
    images = images.repeat(zoom, 1).repeat(zoom, 2)
    write_file(path, encode_png(_arrange(images, columns, _GAP, 255)))


def page_sheet(fingerprint: Fingerprint) -> Sheet | None:
    """Return some of the examples, evenly taken and reduced where they are large; ``None`` if they are no images."""
    try:
        images = example_images(fingerprint)
    except ParameterError:
        return None
    n_shown = min(_PAGE_EXAMPLES, len(images))
    images = images[np.linspace(0, len(images) - 1, n_shown).astype(int)]
    step = ceil(max(images.shape[1:3]) / _PAGE_SIDE)
    images = images[:, ::step, ::step]
    gap = max(1, images.shape[2] // 16)
    sheet = _arrange(_with_opacity(images), min(_PAGE_COLUMNS, n_shown), gap, 0)[:-gap, :-gap]
    uri = f"data:image/png;base64,{base64.b64encode(encode_png(sheet)).decode()}"
    return Sheet(uri, sheet.shape[1], sheet.shape[0], n_shown, step > 1)


def _with_opacity(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the images with an alpha channel, so that a page's ground shows between them."""
    n, height, width, channels = images.shape
    colours = images if channels >= 3 else images.repeat(3, 3)
    return np.concatenate([colours[..., :3], np.full((n, height, width, 1), 255, np.uint8)], axis=3)


def _arrange(images: NDArray[np.uint8], columns: int, gap: int, ground: int) -> NDArray[np.uint8]:
    """Return the images in rows, each with a gap at its right and below it."""
    n, height, width, channels = images.shape
    rows = ceil(n / columns)
    sheet = np.full((rows * (height + gap), columns * (width + gap), channels), ground, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
