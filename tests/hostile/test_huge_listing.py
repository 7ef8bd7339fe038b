"""A directory of a million members, or a file of gigabytes that holds nothing: work without end for the reader."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from onnxfp.bundle.reader import parse_bundle, read_bundle
from onnxfp.errors import BundleFormatError
from tests.fuzz.limits import limited_time

ENTRY = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0x21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"z"


def end(n_entries: int, length: int, start: int = 0, comment: int = 0) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n_entries % 2**16, n_entries % 2**16, length, start, comment)


def test_a_million_entries_are_not_listed() -> None:
    content = ENTRY * 1_000_000 + end(1_000_000, len(ENTRY) * 1_000_000)
    tracemalloc.start()
    try:
        with limited_time(), pytest.raises(BundleFormatError, match="far more members"):
            parse_bundle(content)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_bytes", [2**31 - 1, 2**33])
def test_an_empty_file_of_gigabytes_is_not_read(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "sparse.fp.npz"
    with path.open("wb") as stream:
        stream.truncate(n_bytes)
    tracemalloc.start()
    try:
        with pytest.raises(BundleFormatError, match=r"sparse\.fp\.npz"):
            read_bundle(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "directory",
    [
        b"",
        ENTRY[:20],
        ENTRY[:-1],
        b"PK\x01\x03" + ENTRY[4:],
        ENTRY[:28] + b"\xff\xff" + ENTRY[30:],
        ENTRY[:30] + b"\xff\xff\xff\xff" + ENTRY[34:],
    ],
)
def test_a_malformed_directory_is_refused(directory: bytes) -> None:
    with pytest.raises(BundleFormatError):
        parse_bundle(directory + end(1, len(directory)))


@pytest.mark.parametrize(("length", "start"), [(0, 1), (2**32 - 1, 0), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1)])
def test_a_directory_outside_the_file_is_refused(length: int, start: int) -> None:
    with pytest.raises(BundleFormatError, match="one form"):
        parse_bundle(end(0, length, start))


def test_a_large_file_costs_its_own_length_and_no_more(tmp_path: Path, forge: Any) -> None:
    from dataclasses import replace

    manifest = forge.manifest(n_examples=8, n_candidates=8, shape=(3, 512, 512))
    path = tmp_path / "large.fp.npz"
    forge.fingerprint(replace(manifest, recipe=replace(manifest.recipe, spectrum="white"))).save(path)
    tracemalloc.start()
    try:
        read_bundle(path)
        assert tracemalloc.get_traced_memory()[1] < 1.2 * path.stat().st_size
    finally:
        tracemalloc.stop()
