"""The examples of a fingerprint as one picture, to be looked at."""

from __future__ import annotations

import io
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxfp.bundle.atomic import write_file
from onnxfp.errors import ParameterError

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint

_GAP = 2
_SHEET_PIXELS = 1200
_LARGEST_ZOOM = 3


def write_contact_sheet(fingerprint: Fingerprint, path: Path) -> None:
    """Write all examples as one PNG, in rows, in the order of the bundle.

    Args:
        fingerprint: Its examples must be images of one, three or four channels.
        path: The PNG file.

    Raises:
        ParameterError: The examples are no images.
        FileError: The file cannot be written.
    """
    from PIL import Image

    layout = fingerprint.manifest.base.input.layout
    images = fingerprint.levels
    if layout == "NCHW":
        images = images.transpose(0, 2, 3, 1)
    elif layout != "NHWC":
        raise ParameterError(
            f"the examples have shape {fingerprint.manifest.base.input.shape} and are no images",
            hint="only fingerprints of image models have a contact sheet",
        )
    if images.shape[3] not in (1, 3, 4):
        raise ParameterError(f"images of {images.shape[3]} channels cannot be shown")
    if fingerprint.manifest.grid.n_levels != 256:
        images = (images // 257).astype(np.uint8)
    n, height, width, channels = images.shape
    columns = ceil(sqrt(n * height / width))
    zoom = max(1, min(_LARGEST_ZOOM, _SHEET_PIXELS // (columns * width)))
    rows = ceil(n / columns)
    sheet = np.full((rows * (height * zoom + _GAP), columns * (width * zoom + _GAP), channels), 255, np.uint8)
    for number, image in enumerate(images):
        top = number // columns * (height * zoom + _GAP)
        left = number % columns * (width * zoom + _GAP)
        sheet[top : top + height * zoom, left : left + width * zoom] = image.repeat(zoom, 0).repeat(zoom, 1)
    stream = io.BytesIO()
    Image.fromarray(sheet.squeeze(2) if channels == 1 else sheet).save(stream, "PNG")
    write_file(path, stream.getvalue())
