"""One JSON text for one value, and a reader that accepts nothing but that text.

Signed bytes must mean one thing to everybody: no duplicate keys, no NaN, no white space, sorted keys, ASCII.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

from onnxfp.errors import CodecError

Json = dict[str, Any]

_MAX_DIGITS = 400


def dump(value: Json) -> bytes:
    """Return the canonical text of ``value``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def load(text: bytes, where: str) -> Json:
    """Return the object that ``text`` is the canonical form of.

    Args:
        text: The bytes.
        where: Name of the member or field, for messages.

    Raises:
        CodecError: It is not JSON, not an object, or not in canonical form.
    """
    try:
        value = _parse(text.decode("ascii"))
        canonical = dump(value) if isinstance(value, dict) else b""
    except (ValueError, RecursionError) as error:
        raise CodecError(f"{where} is not canonical JSON: {error}") from error
    if canonical != text:
        raise CodecError(f"{where} is not one canonical JSON object")
    return value  # type: ignore[no-any-return]


def load_any_layout(text: str, where: str) -> Json:
    """Return the object that ``text`` holds, however it is laid out; it still means one thing to everybody.

    Args:
        text: JSON with any white space and order of keys, but no key twice, and numbers only where numbers stand.
        where: Name of the record, for messages.

    Raises:
        CodecError: It is not such JSON, or not an object.
    """
    try:
        value = _parse(text)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CodecError(f"{where} is not one JSON object")
    return value


def _parse(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_no_duplicates,
        parse_constant=_refuse,
        parse_int=_parse_int,
        parse_float=_parse_float,
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names a key twice")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("an integer is too long")
    return int(digits)


def _parse_float(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError("a number is too large")
    return value
