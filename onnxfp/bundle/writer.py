"""The bundle file's form: a ``.npz`` of exactly five members, always the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnxfp.bundle import zip_format
from onnxfp.errors import ParameterError

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
EXAMPLES, LABELS, INDICES = "examples.npy", "labels.npy", "indices.npy"
MEMBERS = (MANIFEST, SIGNATURE, EXAMPLES, LABELS, INDICES)

MAX_FILE_BYTES = 2**31 - 1
"""Largest bundle that is written or opened: what a zip file holds without extensions."""


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return the bundle file's bytes: members stored uncompressed, in a fixed order, without times or owners.

    Raises:
        ParameterError: The members are larger than a bundle can be.
    """
    return b"".join(pack_parts(members))


def pack_parts(members: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield what :func:`pack` returns, piece by piece."""
    total = sum(map(len, members.values()))
    if total > MAX_FILE_BYTES - 2**16:
        raise ParameterError(
            f"the fingerprint has {total} bytes; a bundle holds {MAX_FILE_BYTES}", hint="ask for fewer examples"
        )
    return zip_format.write_parts(members, MEMBERS)
