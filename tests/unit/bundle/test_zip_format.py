"""The one form of zip file, against Python's own writer and reader."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from onnxfp.bundle import zip_format
from onnxfp.bundle.writer import MAX_FILE_BYTES, MEMBERS, pack
from onnxfp.errors import BundleFormatError, ParameterError


@pytest.mark.parametrize("n_bytes", [0, 1, 64, 70_000])
def test_the_bytes_are_those_of_pythons_writer(repack_stored: Any, n_bytes: int) -> None:
    members = {name: bytes(range(256)) * (n_bytes // 256) + bytes(n_bytes % 256) for name in MEMBERS}
    assert pack(members) == repack_stored(members)


def test_python_reads_every_member(forge: Any) -> None:
    members = forge.fingerprint().members()
    with zipfile.ZipFile(io.BytesIO(pack(members))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(MEMBERS)
        assert {name: archive.read(name) for name in MEMBERS} == members


def test_what_is_written_is_read(forge: Any) -> None:
    members = forge.fingerprint().members()
    content = pack(members)
    entries = zip_format.read_entries(io.BytesIO(content), len(content), dict.fromkeys(MEMBERS, len(content)))
    for name in MEMBERS:
        assert zip_format.read_member(io.BytesIO(content), entries[name]) == members[name]
        assert zip_format.read_member(io.BytesIO(content), entries[name], 3) == members[name][:3]
        zip_format.check_crc(entries[name], members[name])
        with pytest.raises(BundleFormatError, match="CRC"):
            zip_format.check_crc(entries[name], members[name] + b"\0")


def test_a_file_that_shrinks_while_it_is_read_is_an_error(forge: Any) -> None:
    members = forge.fingerprint().members()
    content = pack(members)
    entries = zip_format.read_entries(io.BytesIO(content), len(content), dict.fromkeys(MEMBERS, len(content)))
    with pytest.raises(BundleFormatError, match="the file ends within"):
        zip_format.read_member(io.BytesIO(content[:200]), entries["indices.npy"])


def test_more_than_a_bundle_holds_is_refused_before_it_is_written() -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return MAX_FILE_BYTES

    with pytest.raises(ParameterError, match="a bundle holds") as raised:
        pack({**dict.fromkeys(MEMBERS, b""), "examples.npy": Large()})
    assert "fewer" in raised.value.hint


@pytest.fixture
def repack_stored() -> Any:
    def write(members: dict[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name in MEMBERS:
                info = zipfile.ZipInfo(name)
                info.create_system = 3
                archive.writestr(info, members[name])
        return stream.getvalue()

    return write
