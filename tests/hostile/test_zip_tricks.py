"""Zip files with a second meaning: something before, between or behind, ZIP64, comments, members that overlap."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError


def directory(bundle: bytes) -> tuple[int, int]:
    """Return where the central directory starts and ends."""
    end = bundle.rindex(b"PK\x05\x06")
    return int(struct.unpack("<L", bundle[end + 16 : end + 20])[0]), end


def data_before(bundle: bytes) -> bytes:
    return b"#!/bin/sh\n" + bundle


def data_behind(bundle: bytes) -> bytes:
    return bundle + b"\0"


def a_comment(bundle: bytes) -> bytes:
    return bundle[:-2] + b"\x05\0hello"


def two_files(bundle: bytes) -> bytes:
    return bundle + bundle


def data_before_the_directory(bundle: bytes) -> bytes:
    start, end = directory(bundle)
    changed = bundle[:start] + b"between" + bundle[start:end] + bundle[end : end + 16]
    return changed + struct.pack("<L", start + 7) + bundle[end + 20 :]


def zip64_beside(bundle: bytes) -> bytes:
    start, end = directory(bundle)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 5, 5, end - start, start)
    return bundle[:end] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + bundle[end:]


def zip64_instead(bundle: bytes) -> bytes:
    _, end = directory(bundle)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return zip64_beside(bundle)[: end + 76] + last


def overlapping(bundle: bytes) -> bytes:
    """Let the last entry's content start where the first one's does."""
    start, end = directory(bundle)
    last = bundle.rindex(b"PK\x01\x02", start, end)
    return bundle[: last + 42] + struct.pack("<L", 0) + bundle[last + 46 :]


def fewer_entries_declared(bundle: bytes) -> bytes:
    _, end = directory(bundle)
    return bundle[: end + 8] + struct.pack("<2H", 4, 4) + bundle[end + 12 :]


def other_name_in_the_local_header(bundle: bytes) -> bytes:
    return bundle.replace(b"manifest.json", b"manifest.jsoN", 1)


def written_by_a_common_library(bundle: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as good, zipfile.ZipFile(stream, "w") as archive:
        for name in good.namelist():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(good.read(name))
    return stream.getvalue()


TRICKS = [
    *(data_before, data_behind, a_comment, two_files, data_before_the_directory, zip64_beside, zip64_instead),
    *(overlapping, fewer_entries_declared, other_name_in_the_local_header, written_by_a_common_library),
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda f: f.__name__)
def test_only_one_form_is_read(trick: Callable[[bytes], bytes], bundle: bytes) -> None:
    content = trick(bundle)
    assert content != bundle
    with pytest.raises(BundleFormatError) as raised:
        parse_bundle(content)
    assert raised.value.hint
    parse_bundle(bundle)
