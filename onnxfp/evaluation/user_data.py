"""The user's own inputs, with or without labels, from an ``.npz`` file that is read as if a stranger had written it.

Arrays of plain numbers alone are read: no pickles, and no more memory than the file declares and the limit allows.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from onnxfp.bundle.manifest import BaseModel
from onnxfp.errors import FileError, ShapeError
from onnxfp.files import open_regular_file
from onnxfp.text import quote_text
from onnxfp.types import InputGrid, Labels, Levels

MAX_BYTES = 2**33
"""Largest array that is read (8 GiB)."""

_CHUNK = 1024
# Values of features may lie outside their usual range here and there; a wrong normalisation puts most of them there.
_SLACK, _MAX_OUTSIDE = 0.01, 0.05

_IMAGES, _LABELS = "images.npy", "labels.npy"
_HINT = "write it with numpy.savez(path, images=..., labels=...)"


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Inputs of the base's own kind.

    Attributes:
        levels: ``(n, *shape)`` levels of the base's grid.
        labels: ``(n,)`` int64 class indices, or ``None``.
        digest: ``sha256:<hex>`` of the file.
    """

    levels: Levels
    labels: Labels | None
    digest: str


def read_data(path: Path, base: BaseModel, grid: InputGrid) -> Data:
    """Read ``images`` and, where there are any, ``labels``.

    Args:
        path: The ``.npz`` file.
        base: The base model, whose input the images must fit; height, width and channels may stand in either order.
        grid: Its grid: images in bytes are levels of it, others are rounded to it.

    Raises:
        FileError: The file cannot be read, or holds something else.
        ShapeError: The arrays do not fit the model or each other.
    """
    with open_regular_file(path, hint="give an .npz file with images, and labels if there are any") as stream:
        hashed = hashlib.sha256()
        while piece := stream.read(2**20):
            hashed.update(piece)
        stream.seek(0)
        try:
            with zipfile.ZipFile(stream) as archive:
                names = archive.namelist()
                if _IMAGES not in names:
                    raise FileError(
                        f"{path} holds no array named images; it has {quote_text(', '.join(names), 200)}", hint=_HINT
                    )
                images = _read_array(path, archive, _IMAGES)
                labels = _read_array(path, archive, _LABELS) if _LABELS in names else None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise FileError(f"{path} is no readable .npz file: {error}", hint=_HINT) from error
    return Data(
        _to_levels(path, images, base, grid),
        _fit_labels(path, labels, len(images), base),
        f"sha256:{hashed.hexdigest()}",
    )


def _read_array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    size = archive.getinfo(name).file_size
    if size > MAX_BYTES:
        raise FileError(f"{path}: {name} declares {size} bytes; at most {MAX_BYTES} are read", hint="give fewer images")
    with archive.open(name) as stream:
        try:
            shape, is_fortran, dtype = _read_header(stream)
        except ValueError as error:
            raise FileError(f"{path}: {name} is no array: {error}", hint=_HINT) from error
        n_bytes = prod(shape) * dtype.itemsize
        if dtype.kind not in "uif" or n_bytes > size:
            raise FileError(f"{path}: {name} is no array of plain numbers ({dtype} {shape})", hint=_HINT)
        content = stream.read(n_bytes)
    if len(content) != n_bytes:
        raise FileError(f"{path}: {name} ends early", hint=_HINT)
    array = np.frombuffer(content, dtype)
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    version = npy_format.read_magic(stream)
    if version not in read:
        raise ValueError(f"version {version} of the format")
    return read[version](stream)


def _to_levels(path: Path, images: NDArray[Any], base: BaseModel, grid: InputGrid) -> Levels:
    shape = base.input.shape
    moved = {"NCHW": (0, 3, 1, 2), "NHWC": (0, 2, 3, 1)}.get(base.input.layout)
    if images.shape[1:] != shape and moved and images.ndim == 4 and np.transpose(images, moved).shape[1:] == shape:
        images = np.transpose(images, moved)
    if images.shape[1:] != shape or len(images) < 2:
        raise ShapeError(
            f"{path}: images have shape {images.shape}; the model takes {('n', *shape)}, and two are the least",
            hint="store one image, or one row of features, for each index of the first axis",
        )
    if images.dtype == np.uint8 and grid.n_levels == 256:
        return np.ascontiguousarray(images, np.uint8)
    if images.dtype.kind != "f":
        raise ShapeError(
            f"{path}: images are {images.dtype}; bytes (for image models) or floating point are read",
            hint="store images as uint8, or as float32 that the model can be fed directly",
        )
    scale, offset = grid.affine(shape)
    levels = np.empty(images.shape, grid.dtype)
    most, n_outside = grid.n_levels - 1, 0
    for first in range(0, len(images), _CHUNK):
        unit = (images[first : first + _CHUNK].astype(np.float64) - offset) / scale
        n_outside += int((~((unit > -_SLACK) & (unit < 1 + _SLACK))).sum())
        levels[first : first + _CHUNK] = np.rint(np.clip(np.nan_to_num(unit), 0.0, 1.0) * most).astype(grid.dtype)
    if n_outside > _MAX_OUTSIDE * images.size:
        raise ShapeError(
            f"{path}: {n_outside / images.size:.0%} of the values lie outside the range of the model's input",
            hint="floating-point images must be what the model is fed: scaled and normalised as the base needs them",
        )
    return levels


def _fit_labels(path: Path, labels: NDArray[Any] | None, n: int, base: BaseModel) -> Labels | None:
    if labels is None:
        return None
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (n,) or labels.dtype.kind not in "ui":
        raise ShapeError(f"{path}: labels are {labels.dtype} {labels.shape}; integers of shape {(n,)} are expected")
    if labels.min() < 0 or labels.max() >= base.n_classes:
        raise ShapeError(
            f"{path}: labels run from {labels.min()} to {labels.max()}; the model has classes 0 to {base.n_classes - 1}"
        )
    return np.asarray(labels, np.int64)
