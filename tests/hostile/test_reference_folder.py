"""Folders of references in which lies what is no model: pipes, devices, loops, files without end."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

import onnxfp
from onnxfp.errors import FileError, ModelFormatError, OnnxfpError
from tests.fuzz.limits import limited_memory, limited_time

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such files")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_file_of_the_system(path: Path) -> None:
    path.symlink_to("/proc/self/environ" if Path("/proc/self/environ").exists() else "/dev/null")


def a_huge_file(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**40)


def a_large_file_of_zeros(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**28)


MAKERS = [a_pipe, a_loop, a_device, a_folder, a_file_of_the_system, a_huge_file, a_large_file_of_zeros]


@pytest.mark.parametrize("make", MAKERS, ids=lambda f: f.__name__)
def test_such_a_file_is_named(make: object, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    assert callable(make)
    folder = tmp_path / "references"
    folder.mkdir()
    shutil.copy(crafted[0], folder / "another.onnx")
    make(folder / "evil.onnx")
    with limited_time(), limited_memory(), pytest.raises((FileError, ModelFormatError), match=r"evil\.onnx") as raised:
        onnxfp.verify(crafted[0], crafted[1], references=[folder / "evil.onnx"])
    assert raised.value.hint


@pytest.mark.parametrize("name", ["a" * 5000, "loop", "gone", "no\0name"])
def test_a_folder_that_is_none_is_said(name: str, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OnnxfpError) as raised:
        onnxfp.verify(crafted[0], crafted[1], references=[tmp_path / name])
    assert raised.value.hint
