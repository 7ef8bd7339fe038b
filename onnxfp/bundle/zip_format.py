"""The one form of zip file that a bundle is: members stored in a fixed order, without times, owners or extras.

Python's zipfile accepts many forms, builds a record for every entry that a file declares, and may write a bit
differently in its next version. Here the few bytes around the members are written out, so that the same content
makes the same file for ever, and a reader that compares them leaves no corner for a second meaning.

References:
    PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16 (its end).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from onnxfp.errors import BundleFormatError
from onnxfp.text import quote_text

_LOCAL = struct.Struct("<4s2B4HL2L2H")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

_VERSION, _UNIX = 20, 3
_FILE_MODE = 0o600 << 16
_DAY_ONE = 0x21
"""1 January 1980, the first day that the format knows; hour zero."""

_ENCRYPTED = 1
_MAX_DIRECTORY_BYTES = 2**16
"""A bundle's directory takes some 300 bytes; more is read only to say which member does not belong there."""

HINT = "the bundle was not written by onnxfp, or was edited or cut short since: ask the owner for the original file"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the central directory says of one member.

    Attributes:
        name: Its name.
        n_bytes: Length of its content.
        crc: CRC-32 of its content, as declared.
        start: Offset of its content in the file, as it must be.
    """

    name: str
    n_bytes: int
    crc: int
    start: int = 0


def write_parts(members: Mapping[str, bytes], order: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of the file, piece by piece.

    Args:
        members: Content of every member, by name.
        order: Their order.
    """
    entries = [Entry(name, len(members[name]), zlib.crc32(members[name])) for name in order]
    for entry in entries:
        yield _local_header(entry)
        yield members[entry.name]
    yield _directory(entries)


def read_entries(stream: BinaryIO, n_bytes: int, limits: Mapping[str, int]) -> dict[str, Entry]:
    """Return the members of a zip file that has exactly this form; nothing of their content is read.

    Args:
        stream: The file, seekable.
        n_bytes: Its length.
        limits: The largest length of each member, by name, in their order.

    Raises:
        BundleFormatError: A member is unknown, missing, there twice, compressed, encrypted or too large; or some
            byte outside the members is not the one that :func:`write_parts` writes.
    """
    directory = _read_directory(stream, n_bytes)
    found = list(_parse_directory(directory))
    _check_names([entry.name for entry in found], limits)
    for entry in found:
        limit = min(limits[entry.name], n_bytes)
        if entry.n_bytes > limit:
            raise BundleFormatError(
                f"member {entry.name} declares {entry.n_bytes} bytes; at most {limit} are allowed", hint=HINT
            )
    by_name = {entry.name: entry for entry in found}
    entries = [by_name[name] for name in limits]
    if directory != _directory(entries):
        raise _other_form("its central directory")
    for entry, offset in zip(entries, _offsets(entries), strict=False):
        header = _local_header(entry)
        stream.seek(offset)
        if stream.read(len(header)) != header:
            raise _other_form(f"the header of {entry.name}")
        by_name[entry.name] = Entry(entry.name, entry.n_bytes, entry.crc, offset + len(header))
    return by_name


def read_member(stream: BinaryIO, entry: Entry, most: int | None = None) -> bytes:
    """Return a member's content, whatever its CRC.

    Args:
        stream: The file, seekable.
        entry: The member.
        most: Read no more than its first so many bytes.

    Raises:
        BundleFormatError: The file ends before it does.
    """
    stream.seek(entry.start)
    n_bytes = entry.n_bytes if most is None else min(most, entry.n_bytes)
    content = stream.read(n_bytes)
    if len(content) != n_bytes:
        raise BundleFormatError(f"the file ends within {entry.name}", hint=HINT)
    return content


def check_crc(entry: Entry, content: bytes) -> None:
    """Compare a member's content with its declared CRC.

    Signed digests say what the content must be; this only leaves no other CRC beside it.

    Raises:
        BundleFormatError: They differ.
    """
    if zlib.crc32(content) != entry.crc:
        raise _other_form(f"the CRC of {entry.name}")


def _local_header(entry: Entry) -> bytes:
    name, size = entry.name.encode("ascii"), entry.n_bytes
    fixed = (_LOCAL_MAGIC, _VERSION, 0, 0, 0, 0, _DAY_ONE)
    return _LOCAL.pack(*fixed, entry.crc, size, size, len(name), 0) + name


def _directory(entries: Sequence[Entry]) -> bytes:
    parts = []
    *offsets, end = _offsets(entries)
    for entry, offset in zip(entries, offsets, strict=True):
        name, size = entry.name.encode("ascii"), entry.n_bytes
        fixed = (_CENTRAL_MAGIC, _VERSION, _UNIX, _VERSION, 0, 0, 0, 0, _DAY_ONE)
        parts.append(_CENTRAL.pack(*fixed, entry.crc, size, size, len(name), 0, 0, 0, 0, _FILE_MODE, offset) + name)
    length, count = sum(map(len, parts)), len(parts)
    return b"".join([*parts, _END.pack(_END_MAGIC, 0, 0, count, count, length, end, 0)])


def _offsets(entries: Sequence[Entry]) -> list[int]:
    """Return where each member's header starts and, last, where the directory does."""
    return list(accumulate((_LOCAL.size + len(e.name) + e.n_bytes for e in entries), initial=0))


def _read_directory(stream: BinaryIO, n_bytes: int) -> bytes:
    stream.seek(max(0, n_bytes - _END.size))
    end = stream.read(_END.size)
    if len(end) != _END.size or not end.startswith(_END_MAGIC):
        raise BundleFormatError(
            "not a readable .npz file: cut short, with something behind it, or not in the one form of a bundle at all",
            hint=HINT,
        )
    *_, length, start, comment = _END.unpack(end)
    if comment or start + length + _END.size != n_bytes:
        raise _other_form("its end (something stands before, between or behind its parts)")
    if length > _MAX_DIRECTORY_BYTES:
        raise _other_form("its directory (far more members than a bundle has)")
    stream.seek(start)
    return stream.read(length) + end


def _parse_directory(directory: bytes) -> Iterator[Entry]:
    end, position = len(directory) - _END.size, 0
    while position < end:
        if position + _CENTRAL.size > end:
            raise _other_form("its central directory")
        fields = _CENTRAL.unpack_from(directory, position)
        flags, method, crc, packed, size = fields[5], fields[6], fields[9], fields[10], fields[11]
        first = position + _CENTRAL.size
        position = first + sum(fields[12:15])
        if fields[0] != _CENTRAL_MAGIC or position > end:
            raise _other_form("its central directory")
        name = directory[first : first + fields[12]].decode("ascii", "backslashreplace")
        if flags & _ENCRYPTED:
            raise BundleFormatError(f"member {quote_text(name)} is encrypted; bundles never are", hint=HINT)
        if method or packed != size:
            raise BundleFormatError(f"member {quote_text(name)} is compressed; bundles never are", hint=HINT)
        yield Entry(name, size, crc)


def _check_names(names: Sequence[str], known: Mapping[str, int]) -> None:
    for name in names:
        if name not in known:
            raise BundleFormatError(f"unknown member {quote_text(name)}", hint=HINT)
        if names.count(name) > 1:
            raise BundleFormatError(f"member {name} appears {names.count(name)} times", hint=HINT)
    missing = [name for name in known if name not in names]
    if missing:
        raise BundleFormatError(f"member {missing[0]} is missing", hint=HINT)


def _other_form(where: str) -> BundleFormatError:
    return BundleFormatError(f"the file differs from the one form in which a bundle is written: {where}", hint=HINT)
