"""Reading a bundle file as if it came from an enemy.

The checks run in this order, each with its own error: file, size, zip listing, manifest, signature, array headers,
digests, and only then arrays and their values. No array is read before the lengths of all are known to be those
that the manifest gives, so a file costs its own length in memory and no more. Every byte outside the members must
be the one that this package writes there (:mod:`onnxfp.bundle.zip_format`).
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from onnxfp.bundle import npy, zip_format
from onnxfp.bundle.fingerprint import Fingerprint, mark_read
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.signing import check_members, member_digest, verify_envelope
from onnxfp.bundle.writer import EXAMPLES, INDICES, LABELS, MANIFEST, MAX_FILE_BYTES, MEMBERS, SIGNATURE
from onnxfp.errors import BundleError, BundleFormatError, TrustError, name_file, translate_codec
from onnxfp.files import open_regular_file

MAX_TEXT_BYTES = 2**20
"""Largest manifest or envelope that is parsed (1 MiB)."""


def read_bundle(path: str | Path) -> Fingerprint:
    """Read a bundle file and check everything that can be checked without asking a model or deriving again.

    Args:
        path: The file.

    Returns:
        The fingerprint; its arrays are read-only.

    Raises:
        FileError: The file cannot be read.
        BundleFormatError: It is not a bundle in the one canonical form.
        BundleVersionError: It was written in a schema that this release does not know.
        SignatureError: The signature is missing or does not verify.
        DigestError: A member is not the one that was signed.
    """
    path = Path(path)
    hint = "give the path of a bundle, for example model.fp.npz"
    with name_file(path, BundleError, TrustError), open_regular_file(path, hint=hint) as stream:
        return _parse(stream, os.fstat(stream.fileno()).st_size)


def parse_bundle(content: bytes) -> Fingerprint:
    """Return the fingerprint that the bytes of a bundle file hold.

    Raises:
        BundleFormatError: As :func:`read_bundle`; so are the other errors.
    """
    return _parse(io.BytesIO(content), len(content))


def _parse(stream: BinaryIO, n_bytes: int) -> Fingerprint:
    if n_bytes > MAX_FILE_BYTES:
        raise BundleFormatError(f"{n_bytes} bytes exceed the limit of {MAX_FILE_BYTES}", hint=zip_format.HINT)
    limits = {name: MAX_TEXT_BYTES if name in (MANIFEST, SIGNATURE) else n_bytes for name in MEMBERS}
    entries = zip_format.read_entries(stream, n_bytes, limits)
    members = {name: zip_format.read_member(stream, entries[name]) for name in (MANIFEST, SIGNATURE)}
    manifest = Manifest.from_json(members[MANIFEST])
    signed = verify_envelope(members[SIGNATURE], manifest.public_key)
    arrays = {
        EXAMPLES: (manifest.grid.dtype, (manifest.n_examples, *manifest.base.input.shape)),
        LABELS: (np.dtype(np.int64), (manifest.n_examples,)),
        INDICES: (np.dtype(np.int64), (manifest.n_examples,)),
    }
    with translate_codec(BundleFormatError, zip_format.HINT):
        for name, (dtype, shape) in arrays.items():
            npy.check_header(zip_format.read_member(stream, entries[name], npy.MAX_HEADER_BYTES), dtype, shape, name)
            npy.check_size(entries[name].n_bytes, dtype, shape, name)
    members |= {name: zip_format.read_member(stream, entries[name]) for name in arrays}
    check_members(signed, {name: member_digest(members[name]) for name in MEMBERS if name != SIGNATURE})
    for name in MEMBERS:
        zip_format.check_crc(entries[name], members[name])
    with translate_codec(BundleFormatError, zip_format.HINT):
        levels, labels, indices = (npy.load(members[name], *form, name) for name, form in arrays.items())
    if labels.min() < 0 or labels.max() >= manifest.base.n_classes:
        raise BundleFormatError(f"{LABELS}: a label lies outside [0, {manifest.base.n_classes})", hint=zip_format.HINT)
    return mark_read(Fingerprint(levels, labels, indices, manifest, members[SIGNATURE]))
