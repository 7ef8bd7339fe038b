"""Records (frozen dataclasses) read back from parsed JSON, strictly: what was not written here is not read.

For bundles and reports alike: both come from strangers, and their text is printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from onnxfp.errors import CodecError, ParameterError
from onnxfp.text import escape_text, quote_text

MAX_TEXT = 1000
"""Longest text of a field, in characters."""

Record = TypeVar("Record")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def build(kind: type[Record], value: Any, where: str) -> Record:
    """Return a record (a frozen dataclass) from parsed JSON, strictly.

    Args:
        kind: The dataclass.
        value: What JSON held in its place.
        where: Path of the field, for messages.

    Raises:
        CodecError: A field is missing, unknown, of the wrong type or refused by the record; it is named.
    """
    if not isinstance(value, Mapping):
        raise CodecError(f"{where} must be an object")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    strangers = sorted(set(value) ^ set(names))
    if strangers:
        problem = "is unknown" if strangers[0] in value else "is missing"
        raise CodecError(f"{where}.{escape_text(strangers[0], 100)} {problem}")
    arguments = {name: _convert(hints[name], value[name], f"{where}.{name}") for name in names}
    try:
        return kind(**arguments)
    except ParameterError as error:
        raise CodecError(f"{where}: {error}") from error


def find_broken_claim(claims: Mapping[str, object]) -> str:
    """Return the first complaint whose claim does not hold, or an empty string.

    Args:
        claims: By complaint, what is true, or truthy, of a record that is good; in the order in which they are judged.
    """
    return next((complaint for complaint, holds in claims.items() if not holds), "")


def is_digest(text: str) -> bool:
    """Return whether ``text`` is ``sha256:`` and 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Return whether ``text`` is 64 lower-case hexadecimal digits, as a record spells a public key."""
    return _KEY.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Return whether ``text`` is a time in UTC with whole seconds, as RFC 3339 writes it."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return build(kind, value, where)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        if len(parts) == 2 and parts[1] is ...:
            return tuple(_convert(parts[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(parts) == len(value):
            return tuple(
                _convert(p, item, f"{where}[{i}]") for i, (p, item) in enumerate(zip(parts, value, strict=True))
            )
    elif origin is Literal and any(value == part and type(value) is type(part) for part in parts):
        return value
    elif origin in (Union, UnionType) and NoneType in parts:
        return None if value is None else _convert(next(p for p in parts if p is not NoneType), value, where)
    elif isinstance(kind, type) and issubclass(kind, Enum) and value in [member.value for member in kind]:
        return kind(value)
    elif kind is float and type(value) in (int, float) and abs(value) < 1e300:
        return float(value)
    elif kind is str and type(value) is str and not value.isprintable():
        # It could steer the terminal of whoever reads the report.
        raise CodecError(f"{where} holds characters that cannot be printed: {quote_text(value, 60)}")
    elif (
        (kind is int and type(value) is int and abs(value) < 2**63)
        or (kind is bool and type(value) is bool)
        or (kind is str and type(value) is str and len(value) <= MAX_TEXT)
    ):
        return value
    expected = getattr(kind, "__name__", None) if origin is None else str(kind)
    raise CodecError(f"{where} must be {expected}; found {str(value)[:60]!r}")
