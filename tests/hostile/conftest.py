"""What an attacker can do to a bundle file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.writer import pack

Repack = Callable[..., bytes]


@pytest.fixture(scope="session")
def bundle(forge: Any) -> bytes:
    """A small, good bundle."""
    return pack(forge.fingerprint().members())


@pytest.fixture(scope="session")
def members(forge: Any) -> dict[str, bytes]:
    """The members of the same bundle."""
    fingerprint: Fingerprint = forge.fingerprint()
    return fingerprint.members()


@pytest.fixture(scope="session")
def repack() -> Repack:
    """Write members as a zip file in any order and with any compression."""

    def write(items: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            archive.comment = comment
            for name, content in items:
                info = zipfile.ZipInfo(name)
                info.create_system = 3
                info.compress_type = compression
                archive.writestr(info, content)
        return stream.getvalue()

    return write
