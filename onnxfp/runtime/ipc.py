"""What goes through the pipe between a process and the worker in which a stranger's model is open.

A frame is a JSON object and a list of values: arrays of numbers as raw bytes, and whatever else a model may give
(texts, maps from class to score) as JSON. The worker may have been taken over by its model, so nothing here runs code,
and sizes are checked before memory is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_HEAD_BYTES = 2**25
MAX_VALUES_BYTES = 2**31
MAX_AXES = 32
_NUMBERS = "?bhilqBHILQefd"
# NumPy's own reader of type names also takes lists, repetitions and Python literals.
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_PIECE = 2**20


class MessageError(Exception):
    """What came through the pipe is no frame."""


def write_message(stream: IO[bytes], head: dict[str, Any], values: Sequence[Any] = ()) -> None:
    """Write a JSON object and values.

    Args:
        stream: The pipe.
        head: Plain values.
        values: Arrays of numbers, or values that JSON holds.
    """
    described: list[dict[str, Any]] = []
    contents: list[memoryview] = []
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype.char in _NUMBERS:
            array = np.ascontiguousarray(value)
            described.append({"dtype": array.dtype.str, "shape": value.shape})
            contents.append(array.reshape(-1).view(np.uint8).data)
        else:
            described.append({"json": _plain(value)})
    text = json.dumps({"head": head, "values": described}).encode()
    stream.write(len(text).to_bytes(8, "little") + text)
    stream.writelines(contents)
    stream.flush()


def read_message(stream: IO[bytes], most: int = MAX_VALUES_BYTES) -> tuple[dict[str, Any], list[Any]]:
    """Read what :func:`write_message` wrote.

    Args:
        stream: The pipe.
        most: Most bytes of all its arrays together.

    Raises:
        EOFError: The other side has closed the pipe.
        MessageError: It is no frame, or larger than any frame may be.
    """
    length = int.from_bytes(_read(stream, 8), "little")
    if length > MAX_HEAD_BYTES:
        raise MessageError(f"a head of {length} bytes")
    try:
        frame = json.loads(_read(stream, length))
        head, values = dict(frame["head"]), []
        for entry in frame["values"]:
            if "json" in entry:
                values.append(_restored(entry["json"]))
                continue
            array = _read_array(stream, entry["dtype"], entry["shape"], most)
            most -= array.nbytes
            values.append(array)
        return head, values
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MessageError(str(error)) from error


def _read_array(stream: IO[bytes], dtype: str, shape: list[int], most: int) -> NDArray[Any]:
    if not _DTYPE.fullmatch(dtype) or len(shape) > MAX_AXES or any(type(axis) is not int or axis < 0 for axis in shape):
        raise MessageError(f"an array of {dtype} {shape}")
    # An axis of zero must not hide others that no array can have.
    if prod(max(axis, 1) for axis in shape) * np.dtype(dtype).itemsize > most:
        raise MessageError(f"arrays of more than {most} bytes")
    return np.frombuffer(_read(stream, prod(shape) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def _read(stream: IO[bytes], size: int) -> bytearray:
    content = bytearray()
    while len(content) < size:
        piece = stream.read(min(_PIECE, size - len(content)))
        if not piece:
            raise EOFError
        content += piece
    return content


def _plain(value: Any) -> Any:
    """Return texts and maps from class to score as JSON has them: a map is a list of pairs under ``map``."""
    if isinstance(value, dict):
        return {"map": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return [str(item) for item in value.ravel().tolist()]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value if isinstance(value, int | float) else str(value)


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item for key, item in value["map"]}  # noqa: C416 - a pair that is none must raise
    return [_restored(item) for item in value] if isinstance(value, list) else value
