"""The bundle file: a ``.npz`` of exactly five members, read as if it came from an enemy.

The checks run in this order, each with its own error: file, size, zip listing, manifest, signature, array headers,
digests, and only then arrays and their values. Last, the file must equal what this release would write for its
content, byte for byte, so no corner of the zip format is left for a second meaning.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from onnxfp.bundle import npy
from onnxfp.bundle.atomic import write_file
from onnxfp.bundle.fingerprint import EXAMPLES, INDICES, LABELS, MANIFEST, SIGNATURE, Fingerprint
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.signing import check_members, member_digest, verify_envelope
from onnxfp.errors import BundleFormatError, FileError

MEMBERS = (MANIFEST, SIGNATURE, EXAMPLES, LABELS, INDICES)

MAX_FILE_BYTES = 2**33
"""Largest bundle that is opened (8 GiB)."""

MAX_TEXT_BYTES = 2**20
"""Largest manifest or envelope that is parsed (1 MiB)."""

# What Python's zipfile raises on damaged input; RuntimeError is its word for encryption.
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError, RuntimeError, OverflowError)

_HINT = "the bundle was not written by onnxfp, or was edited or cut short since: ask the owner for the original file"


def write_bundle(fingerprint: Fingerprint, path: Path) -> None:
    """Write a bundle file, whole or not at all; the same content makes the same bytes.

    Raises:
        FileError: The folder is missing or not writable, or the disk is full.
    """
    write_file(path, pack(fingerprint.members()))


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return the bundle file's bytes: members stored uncompressed, in a fixed order, without times or owners."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in MEMBERS:
            info = zipfile.ZipInfo(name)
            # Otherwise the operating system's number would end up in the file.
            info.create_system = 3
            archive.writestr(info, members[name])
    return stream.getvalue()


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
    try:
        return parse_bundle(_read(path))
    except BundleFormatError as error:
        raise BundleFormatError(f"{path}: {error}", hint=error.hint) from error


def parse_bundle(content: bytes) -> Fingerprint:
    """Return the fingerprint that the bytes of a bundle file hold.

    Raises:
        BundleFormatError: As :func:`read_bundle`; so are the other errors.
    """
    members = _unpack(content)
    manifest = Manifest.from_json(members[MANIFEST])
    signed = verify_envelope(members[SIGNATURE], manifest.public_key)
    arrays = {
        EXAMPLES: (manifest.grid.dtype, (manifest.n_examples, *manifest.base.input.shape)),
        LABELS: (np.dtype(np.int64), (manifest.n_examples,)),
        INDICES: (np.dtype(np.int64), (manifest.n_examples,)),
    }
    for name, (dtype, shape) in arrays.items():
        npy.check_header(members[name], dtype, shape, name)
    check_members(signed, {name: member_digest(members[name]) for name in MEMBERS if name != SIGNATURE})
    levels, labels, indices = (npy.load(members[name], dtype, shape, name) for name, (dtype, shape) in arrays.items())
    if labels.min() < 0 or labels.max() >= manifest.base.n_classes:
        raise BundleFormatError(f"{LABELS}: a label lies outside [0, {manifest.base.n_classes})", hint=_HINT)
    if pack(members) != content:
        raise BundleFormatError("the file differs from the one form in which a bundle is written", hint=_HINT)
    return Fingerprint(levels, labels, indices, manifest, members[SIGNATURE])


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            reason = "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is no plain file"
            raise FileError(f"{path} {reason}", hint="give the path of a bundle, for example model.fp.npz")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BundleFormatError(f"{size} bytes exceed the limit of {MAX_FILE_BYTES}", hint=_HINT)
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}", hint="check the file's permissions") from error


def _unpack(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listing = archive.infolist()
            _check_listing(listing, len(content))
            return {info.filename: archive.read(info) for info in listing}
    except _ZIP_ERRORS as error:
        raise BundleFormatError(f"not a readable .npz file: {error}", hint=_HINT) from error


def _check_listing(listing: list[zipfile.ZipInfo], file_bytes: int) -> None:
    names = [info.filename for info in listing]
    for name in names:
        if name not in MEMBERS:
            raise BundleFormatError(f"unknown member {name[:100]!r}", hint=_HINT)
        if names.count(name) > 1:
            raise BundleFormatError(f"member {name} appears {names.count(name)} times", hint=_HINT)
    missing = [name for name in MEMBERS if name not in names]
    if missing:
        raise BundleFormatError(f"member {missing[0]} is missing", hint=_HINT)
    for info in listing:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise BundleFormatError(f"member {info.filename} is compressed; bundles never are", hint=_HINT)
        limit = MAX_TEXT_BYTES if info.filename in (MANIFEST, SIGNATURE) else file_bytes
        if info.file_size > limit:
            raise BundleFormatError(
                f"member {info.filename} declares {info.file_size} bytes; at most {limit} are allowed", hint=_HINT
            )
    total = sum(info.file_size for info in listing)
    if total > file_bytes:
        raise BundleFormatError(f"members declare {total} bytes, the file has {file_bytes}", hint=_HINT)
