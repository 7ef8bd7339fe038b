"""A fingerprint's examples in the form that people and services know: images as images, all else as real values."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import ParameterError
from onnxfp.files import write_folder
from onnxfp.types import InputGrid

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint

RESPONSES = "responses.csv"
"""Name of the file that the responses to exported examples are recorded in."""


def example_images(fingerprint: Fingerprint) -> NDArray[np.uint8]:
    """Return ``(n, height, width, channels)`` uint8 images of the examples; 16-bit levels lose their lower half.

    Raises:
        ParameterError: The examples are no images of one, three or four channels.
    """
    spec, images = fingerprint.manifest.base.input, fingerprint.levels
    if spec.layout == "NCHW":
        images = images.transpose(0, 2, 3, 1)
    elif spec.layout != "NHWC":
        raise ParameterError(
            f"the examples have shape {spec.shape} and are no images",
            hint="only fingerprints of image models have a contact sheet",
        )
    if images.shape[3] not in (1, 3, 4):
        raise ParameterError(f"images of {images.shape[3]} channels cannot be shown")
    return images.astype(np.uint8) if fingerprint.manifest.grid.n_levels == 256 else (images // 257).astype(np.uint8)


def present_examples(fingerprint: Fingerprint) -> NDArray[Any]:
    """Return the examples as somebody else's model takes them.

    Returns:
        ``(n, height, width, channels)`` uint8 where they are images of 8 bits, with the base's order of channels; else
        ``(n, *shape)`` float32 real inputs, within the bounds of the base's input and before its normalisation.
    """
    grid = fingerprint.manifest.grid
    if grid.n_levels == 256:
        try:
            return example_images(fingerprint)
        except ParameterError:
            pass
    return InputGrid(grid.bounds, grid.n_levels).to_model_input(fingerprint.levels)


def export_examples(fingerprint: Fingerprint, folder: Path) -> list[str]:
    """Write every example to a file of its own, and a table in which the responses can be recorded.

    Images of 8 bits become PNG files, which a service takes as they are; all else ``.npy`` files of float32.

    Args:
        fingerprint: The fingerprint.
        folder: Where they go; it must not exist, or be empty.

    Returns:
        The names of the files, in the order of the examples.

    Raises:
        FileError: The folder holds something already, or cannot be written.
    """
    presented = present_examples(fingerprint)
    encode, suffix = (encode_png, "png") if presented.dtype == np.uint8 else (_npy, "npy")
    width = max(4, len(str(len(presented))))
    names = [f"{number:0{width}d}.{suffix}" for number in range(1, len(presented) + 1)]
    files = {name: encode(example) for name, example in zip(names, presented, strict=True)}
    table = "example,label\n" + "".join(f"{name},\n" for name in names)
    write_folder(folder, {**files, RESPONSES: table.encode()})
    return names


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of a ``(height, width, channels)`` image."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(stream, "PNG")
    return stream.getvalue()


def _npy(example: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, example, allow_pickle=False)
    return stream.getvalue()
