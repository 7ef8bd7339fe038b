"""Arrays in exactly numpy's spelling, and no other accepted."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxfp.bundle import npy
from onnxfp.errors import CodecError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("shape", [(1,), (5,), (100, 3, 32, 32), (12_345, 7), (1, 2, 3, 4, 5)])
def test_the_bytes_are_numpys_own(dtype: type, shape: tuple[int, ...]) -> None:
    array: NDArray[Any] = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    expected = io.BytesIO()
    np.lib.format.write_array(expected, array, version=(1, 0), allow_pickle=False)
    assert npy.dump(array) == expected.getvalue()
    loaded = npy.load(npy.dump(array), array.dtype, shape, "a")
    assert (loaded == array).all()
    assert not loaded.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.int32),
        np.zeros((4, 5), np.int64),
        np.zeros(16, np.int64),
        np.asfortranarray(np.arange(16).reshape(4, 4)),
        np.zeros((4, 4), ">i8"),
        np.zeros((4, 4), [("a", "<i8")]),
    ],
)
def test_any_other_array_is_refused(array: NDArray[Any]) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    with pytest.raises(CodecError, match="labels"):
        npy.check_header(stream.getvalue(), np.dtype(np.int64), (4, 4), "labels")


def test_bytes_too_many_or_too_few_are_refused() -> None:
    content = npy.dump(np.zeros(4, np.int64))
    for changed in (content[:-1], content + b"\0"):
        with pytest.raises(CodecError, match="bytes"):
            npy.load(changed, np.dtype(np.int64), (4,), "labels")


def test_the_bytes_of_a_loaded_array_are_those_that_were_loaded() -> None:
    array = np.arange(12, dtype=np.int64).reshape(4, 3)
    content = npy.dump(array)
    loaded = npy.load(content, array.dtype, (4, 3), "a")
    assert npy.dump(loaded) is content
    for view in (loaded[::-1], loaded[1:], loaded.T, loaded[:, :2], loaded.reshape(3, 4), loaded.view(np.uint64)):
        expected = io.BytesIO()
        np.lib.format.write_array(expected, np.ascontiguousarray(view), version=(1, 0), allow_pickle=False)
        assert npy.dump(view) == expected.getvalue()
    # As many bytes of the same buffer, from another place on.
    shifted = np.frombuffer(content, np.int64, 12, len(content) - 8 * 13).reshape(4, 3)
    assert npy.load(npy.dump(shifted), array.dtype, (4, 3), "a").tolist() == shifted.tolist() != array.tolist()
