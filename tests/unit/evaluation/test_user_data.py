"""The user's own data: what fits is read, whatever else is there is named."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxfp.bundle.manifest import BaseModel
from onnxfp.errors import FileError, ShapeError
from onnxfp.evaluation.task_runner import split_data
from onnxfp.evaluation.user_data import read_data
from onnxfp.types import Bounds, InputGrid, InputSpec, OutputSpec

BASE = BaseModel(
    "sha256:" + "ab" * 32,
    5,
    InputSpec("image", (3, 8, 6), "float32", "NCHW", None),
    OutputSpec("o", "scores", 5),
    (1, 2),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 6)).astype(np.uint8)
LABELS = np.array([0, 1, 4, 2])


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.npz"


def test_bytes_are_levels_in_either_order_of_axes_packed_or_not(path: Path) -> None:
    data = read_data(saved(path, images=IMAGES, labels=LABELS), BASE, InputGrid())
    assert np.array_equal(data.levels, IMAGES)
    assert data.labels is not None
    assert np.array_equal(data.labels, LABELS)
    assert data.digest.startswith("sha256:")
    np.savez_compressed(
        path, images=np.asfortranarray(IMAGES.transpose(0, 2, 3, 1)), labels=LABELS[:, None].astype(np.int8)
    )
    again = read_data(path, BASE, InputGrid())
    assert np.array_equal(again.levels, IMAGES)
    assert again.labels is not None
    assert again.labels.dtype == np.int64
    assert read_data(saved(path, images=IMAGES), BASE, InputGrid()).labels is None


def test_floating_point_is_what_the_model_takes(path: Path) -> None:
    grid = InputGrid(Bounds(0, 1), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    data = read_data(saved(path, images=grid.to_model_input(IMAGES)), BASE, grid)
    assert np.array_equal(data.levels, IMAGES)
    with pytest.raises(ShapeError, match="outside the range"):
        read_data(path, BASE, InputGrid())
    images = grid.to_model_input(IMAGES)
    images[:, 0] = np.nan
    with pytest.raises(ShapeError, match="outside the range"):
        read_data(saved(path, images=images), BASE, grid)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": IMAGES[:, :, :4]}, "have shape"),
        ({"images": IMAGES[:1]}, "two are the least"),
        ({"images": IMAGES.astype(np.int64)}, "images are int64"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "labels are int64"),
        ({"images": IMAGES, "labels": LABELS + 1}, "classes 0 to 4"),
        ({"images": IMAGES, "labels": LABELS - 1}, "run from -1"),
        ({"images": IMAGES, "labels": LABELS.astype(float)}, "labels are float64"),
    ],
)
def test_what_does_not_fit_is_named(path: Path, arrays: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ShapeError, match=complaint):
        read_data(saved(path, **arrays), BASE, InputGrid())


def test_no_pickle_is_opened(path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path(path.with_suffix(".sprung")).touch, ()

    array = np.empty(2, object)
    array[:] = [Trap(), Trap()]
    np.savez(path, images=array)
    with pytest.raises(FileError, match="plain numbers"):
        read_data(path, BASE, InputGrid())
    assert not path.with_suffix(".sprung").exists()


def _header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (_header("(1000000000000, 3, 8, 6)"), "plain numbers"),
        (_header("(4, 3, 8, 6)") + bytes(10), "plain numbers"),
        (_header("(4, 3, 8, 6)", "|O"), "plain numbers"),
        (_header("__import__('os')"), "is no array"),
        (b"not an array at all", "is no array"),
        (b"", "is no array"),
    ],
)
def test_a_header_that_lies_takes_no_memory(path: Path, content: bytes, complaint: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", content)
    with pytest.raises(FileError, match=complaint):
        read_data(path, BASE, InputGrid())


def test_a_member_that_declares_too_much_is_not_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxfp.evaluation.user_data.MAX_BYTES", 2**16)
    np.savez_compressed(path, images=np.zeros((2**10, 3, 8, 6), np.uint8))
    with pytest.raises(FileError, match="at most 65536"):
        read_data(path, BASE, InputGrid())


def test_files_that_are_none_are_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        read_data(path, BASE, InputGrid())
    with pytest.raises(FileError, match="is a folder"):
        read_data(tmp_path, BASE, InputGrid())
    path.write_bytes(b"something else")
    with pytest.raises(FileError, match="no readable"):
        read_data(path, BASE, InputGrid())
    with pytest.raises(FileError, match="no array named images"):
        read_data(saved(path, pictures=IMAGES), BASE, InputGrid())
    whole = io.BytesIO()
    np.savez_compressed(whole, images=IMAGES)
    damaged = bytearray(whole.getvalue())
    damaged[200:220] = bytes(20)
    path.write_bytes(damaged)
    with pytest.raises(FileError):
        read_data(path, BASE, InputGrid())


@pytest.mark.parametrize("n", [2, 10, 499, 500, 5000])
def test_what_is_trained_on_is_never_measured_on(n: int) -> None:
    split = split_data(n, "standard", is_trained=True)
    assert not set(split.measured.tolist()) & set(split.learned.tolist())
    assert len(split.measured) + len(split.learned) == n
    assert 1 <= len(split.measured) <= max(1, n // 5)
    whole = split_data(n, "quick", is_trained=False)
    assert len(whole.measured) == min(n, 500)
    assert len(whole.learned) > 0
