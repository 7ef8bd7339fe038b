"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from onnxfp.errors import FileError, KeyFileError, ResponsesError
from onnxfp.files import open_regular_file, read_bounded, read_start, write_file, write_folder
from tests.fuzz.limits import limited_memory


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_stays_when_it_must(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with pytest.raises(FileError, match="exists already"):
        write_file(path, b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(FileError, match="No space left") as raised:
        write_file(path, b"two")
    assert "space" in raised.value.hint
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        write_file(tmp_path / "no" / "a", b"one")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "f"
    write_folder(folder, {"a": b"1", "b": b"2"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"1", "b": b"2"}

    monkeypatch.chdir(folder)
    for taken in (Path(), folder, folder / "a", Path("/")):
        with pytest.raises(FileError, match="exists already"):
            write_folder(taken, {"a": b"2"})
    assert (folder / "a").read_bytes() == b"1"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        write_folder(tmp_path / "g", {"a": b"1"})
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("limit", [3, 4, 10**6])
def test_a_file_is_read_up_to_the_limit(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_bounded(path, limit, hint="h") == b"abc"
    assert read_start(path, 2, hint="h") == b"ab"
    assert read_start(path, limit, hint="h") == b"abc"


def test_a_larger_file_is_refused_and_never_held(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    with limited_memory(), pytest.raises(FileError, match=r"a exceeds the limit of 3 bytes") as raised:
        read_bounded(path, 3, hint="h")
    assert raised.value.hint == "h"
    with pytest.raises(ResponsesError, match="exceeds the limit"):
        read_bounded(path, 3, hint="h", too_large=ResponsesError)
    with pytest.raises(KeyFileError, match="exceeds the limit"):
        read_bounded(path, 3, hint="h", error=KeyFileError)


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    cases = [(tmp_path / "no", "does not exist"), (tmp_path, "is a folder"), (Path("a\0b"), "cannot be read")]
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        cases += [(tmp_path / "pipe", "not a regular file"), (Path(os.devnull), "not a regular file")]
        cases += [(tmp_path / ("n" * 300), "cannot be read")]
    for path, complaint in cases:
        with pytest.raises(KeyFileError, match=complaint) as raised:
            read_bounded(path, 3, hint="h", error=KeyFileError)
        assert raised.value.hint
        assert str(raised.value).isprintable()


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX alone")
def test_a_stream_is_read_where_it_is_allowed(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"abc")
    os.close(theirs)
    assert read_bounded(Path(f"/dev/fd/{ours}"), 3, hint="h", allow_stream=True) == b"abc"
    os.close(ours)
    with pytest.raises(FileError, match="exceeds the limit"):
        read_bounded(Path("/dev/zero"), 3, hint="h", allow_stream=True)
    with pytest.raises(FileError, match="is a folder"):
        read_bounded(tmp_path, 3, hint="h", allow_stream=True)


def test_a_failure_while_a_file_is_read_is_its_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    with pytest.raises(FileError, match="a cannot be read: Input/output error"), open_regular_file(path, hint="h"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
