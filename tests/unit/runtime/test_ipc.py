"""Frames: what goes through the pipe to a worker, and what does not."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxfp.runtime import ipc
from onnxfp.runtime.ipc import MessageError, read_message, write_message


def through(head: dict[str, Any], *values: Any) -> tuple[dict[str, Any], list[Any]]:
    stream = io.BytesIO()
    write_message(stream, head, values)
    stream.seek(0)
    return read_message(stream)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int64, np.uint8, bool])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_come_back_as_they_were(dtype: type, shape: tuple[int, ...]) -> None:
    array: NDArray[Any] = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    head, (back,) = through({"a": 1}, array)
    assert head == {"a": 1}
    assert back.dtype == array.dtype
    assert back.shape == shape
    assert (back == array).all()


def test_an_array_need_not_be_contiguous() -> None:
    array = np.arange(12.0).reshape(3, 4).T
    assert (through({}, array)[1][0] == array).all()


def test_maps_and_texts_come_back_as_python_has_them() -> None:
    maps = [{0: 0.25, 1: 0.75}, {"cat": np.float32(0.5)}]
    assert through({}, maps)[1] == [[{0: 0.25, 1: 0.75}, {"cat": 0.5}]]
    assert through({}, np.array(["cat", "dog"], dtype=object))[1] == [["cat", "dog"]]


def test_a_closed_pipe_is_told_from_a_broken_frame() -> None:
    with pytest.raises(EOFError):
        read_message(io.BytesIO())
    with pytest.raises(EOFError):
        read_message(io.BytesIO((100).to_bytes(8, "little") + b"{"))


def framed(text: bytes) -> io.BytesIO:
    return io.BytesIO(len(text).to_bytes(8, "little") + text + bytes(64))


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"nonsense", b'{"head":{},"values":[{}]}', b'{"head":[],"values":3}', b"[" * 100_000]
    + [
        json.dumps({"head": {}, "values": [value]}).encode()
        for value in (
            {"dtype": "O", "shape": [1]},
            {"dtype": "f4,f4", "shape": [1]},
            {"dtype": "f4", "shape": [-1]},
            {"dtype": "f4", "shape": [2**40]},
            {"dtype": "f4", "shape": "x"},
            {"dtype": "M8[s]", "shape": [1]},
            {"json": {"other": 1}},
            {"json": {"map": [1]}},
            {"json": {"map": [[[], 1]]}},
            None,
        )
    ],
)
def test_whatever_a_taken_over_worker_writes_is_a_frame_or_refused(text: bytes) -> None:
    with pytest.raises(MessageError):
        read_message(framed(text))


def test_a_frame_that_announces_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageError, match="head of"):
        read_message(io.BytesIO((ipc.MAX_HEAD_BYTES + 1).to_bytes(8, "little")))
