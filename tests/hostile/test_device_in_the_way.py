"""An output path that is not a regular file: renaming over it would take a device or a pipe from everybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from onnxfp.errors import FileError
from onnxfp.files import write_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and links are POSIX's")


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(FileError, match="not a regular file") as raised:
        write_file(path, b"x")
    assert raised.value.hint
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_pipe_is_refused_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "pipe")
    with pytest.raises(FileError, match="not a regular file"):
        write_file(link, b"x")
    assert link.is_symlink()


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not a regular file"):
        write_file(tmp_path, b"x")


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    link, real = tmp_path / "link", tmp_path / "real"
    real.write_bytes(b"one")
    link.symlink_to("real")
    write_file(link, b"two")
    assert link.is_symlink()
    assert real.read_bytes() == b"two"
    with pytest.raises(FileError, match="exists already"):
        write_file(link, b"three", overwrite=False)


def test_a_link_in_a_circle_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("link")
    write_or_refuse = pytest.raises(FileError)
    with write_or_refuse:
        write_file(link, b"x", overwrite=False)
    assert list(tmp_path.iterdir()) == [link]


def test_a_name_that_no_system_takes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written") as raised:
        write_file(tmp_path / "a\0b", b"x")
    assert str(raised.value).isprintable()
