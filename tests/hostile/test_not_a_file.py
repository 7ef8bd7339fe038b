"""Paths that are no bundle at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onnxfp.bundle.reader import read_bundle
from onnxfp.errors import BundleFormatError, FileError


def test_missing_folder_and_device_are_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        read_bundle(tmp_path / "missing")
    with pytest.raises(FileError, match="is a folder"):
        read_bundle(tmp_path)
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileError, match="not a regular file"):
            read_bundle(tmp_path / "pipe")


@pytest.mark.parametrize("content", [b"", b"PK", b"hello" * 100, bytes(1000)])
def test_other_content_is_named_with_its_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.fp.npz"
    path.write_bytes(content)
    with pytest.raises(BundleFormatError, match=r"some\.fp\.npz"):
        read_bundle(path)
