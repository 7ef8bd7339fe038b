"""Arrays as ``.npy`` bytes in exactly one spelling: version 1.0, C order, little-endian integers.

numpy's own reader accepts many more forms, pickles among them. The header is compared with the only one that
fits, so nothing is parsed and nothing is allocated on a stranger's word.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.errors import CodecError

_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNMENT = 64

MAX_HEADER_BYTES = 2**10
"""No header of an array with few axes is longer."""


def header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the header of an array, as numpy writes it.

    Args:
        dtype: An unsigned 8 or 16 bit, or a signed 64 bit integer type.
        shape: The array's shape.
    """
    description = np.dtype(dtype).newbyteorder("<").str
    text = f"{{'descr': '{description}', 'fortran_order': False, 'shape': {shape!r}, }}"
    # numpy leaves room for the first axis to grow; the padding below is what it comes to.
    text += " " * (21 - len(repr(shape[0]))) if shape else ""
    prefix = len(_MAGIC) + 2
    padding = _ALIGNMENT - (prefix + len(text) + 1) % _ALIGNMENT
    text += " " * padding + "\n"
    return _MAGIC + len(text).to_bytes(2, "little") + text.encode("ascii")


def size(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Return the number of bytes that an array takes, header included."""
    return len(header(dtype, shape)) + np.dtype(dtype).itemsize * prod(shape)


def dump(array: NDArray[Any]) -> bytes:
    """Return ``array`` as ``.npy`` bytes: those that :func:`load` made it of, where it did."""
    loaded = _find_source(array)
    if loaded is not None:
        return loaded
    dtype = array.dtype.newbyteorder("<")
    return header(array.dtype, array.shape) + np.ascontiguousarray(array, dtype).tobytes()


def _find_source(array: NDArray[Any]) -> bytes | None:
    """Return the bytes of which an array is the whole content, or ``None``."""
    source: Any = array
    while isinstance(source, np.ndarray):
        source = source.base
    start = header(array.dtype, array.shape)
    if not (isinstance(source, bytes) and array.flags.c_contiguous and source.startswith(start)):
        return None
    content = np.frombuffer(source, np.uint8, offset=len(start))
    is_whole = content.nbytes == array.nbytes and content.ctypes.data == array.ctypes.data
    return source if is_whole else None


def check_header(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> None:
    """Check that ``content``, or the beginning of it, announces an array of this type and shape.

    Raises:
        CodecError: The header is another one; the member is named.
    """
    expected = header(dtype, shape)
    if content[: len(expected)] != expected:
        raise CodecError(f"{where} is not a {np.dtype(dtype)} array of shape {shape} in C order")


def check_size(n_bytes: int, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> None:
    """Check that an array of this type and shape takes ``n_bytes``, header included.

    Raises:
        CodecError: It does not; the member is named.
    """
    expected = size(dtype, shape)
    if n_bytes != expected:
        raise CodecError(f"{where} has {n_bytes} bytes; {expected} were expected")


def load(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Return the array that ``content`` holds, read-only.

    Raises:
        CodecError: As :func:`check_header` and :func:`check_size`.
    """
    check_header(content, dtype, shape, where)
    check_size(len(content), dtype, shape, where)
    start = len(header(dtype, shape))
    little = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"), offset=start)
    array = little.astype(np.dtype(dtype), copy=False).reshape(shape)
    array.flags.writeable = False
    return array
