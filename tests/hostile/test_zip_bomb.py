"""Members that grow without end when they are unpacked, or declare that they will."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from typing import Any

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError


def refused_cheaply(content: bytes, match: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BundleFormatError, match=match):
            parse_bundle(content)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_compressed_member_is_not_unpacked(members: dict[str, bytes], repack: Any) -> None:
    bomb = {**members, "examples.npy": bytes(100_000_000)}
    refused_cheaply(repack(list(bomb.items()), zipfile.ZIP_DEFLATED), "compressed")


@pytest.mark.parametrize("name", ["examples.npy", "manifest.json"])
def test_a_declared_size_is_not_believed(bundle: bytes, name: str) -> None:
    # Both sizes of the member's entry in the central directory become 4 GB.
    entry = bundle.rindex(b"PK\x01\x02", 0, bundle.rindex(name.encode()))
    content = bytearray(bundle)
    content[entry + 20 : entry + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    refused_cheaply(bytes(content), "declare")


def test_a_manifest_larger_than_any_needs_to_be_is_not_parsed(members: dict[str, bytes], repack: Any) -> None:
    huge = {**members, "manifest.json": b"{" + b" " * (2**20 + 1)}
    refused_cheaply(repack(list(huge.items())), "declares")
