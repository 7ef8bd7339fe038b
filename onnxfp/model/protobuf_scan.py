"""The bytes of an ONNX file, walked field by field before the protobuf library builds objects of them.

Two bytes of a file become up to two hundred bytes of memory, so a file of a few hundred megabytes could fill any
machine while it is parsed, in this process and before any limit holds. Here nothing is built: lengths are followed,
weights are jumped over, and what is too deep, too much or cut short is refused with its reason.

References:
    Protocol Buffers, Encoding (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from onnxfp.errors import ModelFormatError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

MAX_DEPTH = 90
"""Deepest nesting of messages: some thirty graphs within each other. The protobuf library itself stops at 100."""

MAX_FIELDS = 2**22
"""Most fields of a file, weights not counted: graphs of a hundred thousand nodes stay well below."""

MAX_PACKED_BYTES = 2**27
"""Most bytes of numbers that grow when they are unpacked; weights in raw form, or as floats, do not."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class _Kind:
    """What fields of one message type mean here.

    Attributes:
        messages: Types of the fields that hold messages.
        growing: Fields with packed integers, each of which may be a single byte.
        texts: Fields with text that is acted upon.
    """

    __slots__ = ("growing", "messages", "texts")

    def __init__(self) -> None:
        self.messages: dict[int, _Kind] = {}
        self.growing: set[int] = set()
        self.texts: set[int] = set()


def check_wire(content: bytes) -> None:
    """Follow the fields of an ONNX file.

    Args:
        content: All of its bytes.

    Raises:
        ModelFormatError: It is cut short, malformed, too deep, or has too many fields. The message begins with a verb,
            for the caller to put the file before it.
    """
    kind, end, at = _model_kind(), len(content), 0
    outer: list[tuple[_Kind, int]] = []
    n_fields = n_packed = 0
    while True:
        while at == end:
            if not outer:
                return
            kind, end = outer.pop()
        n_fields += 1
        if n_fields > MAX_FIELDS:
            raise ModelFormatError(f"has more than {MAX_FIELDS} fields, far beyond any classifier's graph", hint=_HUGE)
        tag, at = _varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise _malformed("there is no field 0")
        if wire != _LENGTH:
            at = _skip_number(content, at, end, wire)
            continue
        length, at = _varint(content, at, end)
        if length > end - at:
            raise _malformed(f"a field of {length} bytes has {end - at} left")
        if inner := kind.messages.get(number):
            if len(outer) == MAX_DEPTH:
                raise ModelFormatError(
                    f"nests messages more than {MAX_DEPTH} deep, far beyond any classifier's graph", hint=_HUGE
                )
            outer.append((kind, end))
            kind, end = inner, at + length
            continue
        if number in kind.growing:
            n_packed = _add_packed(n_packed, length)
        elif number in kind.texts:
            _check_text(content[at : at + length])
        at += length


def _skip_number(content: bytes, at: int, end: int, wire: int) -> int:
    """Return where a field without a length ends."""
    if wire == _VARINT:
        return _varint(content, at, end)[1]
    if wire not in (_FIXED64, _FIXED32):
        raise _malformed(f"there is no wire type {wire} in ONNX")
    at += 8 if wire == _FIXED64 else 4
    if at > end:
        raise _malformed("a number is cut off")
    return at


def _add_packed(n_packed: int, length: int) -> int:
    """Return the bytes of packed integers so far, with those of one more field."""
    if n_packed + length > MAX_PACKED_BYTES:
        raise ModelFormatError(
            f"has more than {MAX_PACKED_BYTES} bytes of packed integers",
            hint="save the model again with its weights as raw data, as onnx.numpy_helper does",
        )
    return n_packed + length


def _check_text(text: bytes) -> None:
    # The protobuf library hands out bytes instead of text here, which nothing expects.
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"a name is no text: {text[:40]!r}") from error


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise _malformed("a number is cut off")


@cache
def _model_kind() -> _Kind:
    import onnx

    kinds: dict[str, _Kind] = {}

    def look(descriptor: Descriptor) -> _Kind:
        known = kinds.get(descriptor.full_name)
        if known:
            return known
        kind = kinds[descriptor.full_name] = _Kind()
        for field in descriptor.fields:
            if field.message_type is not None:
                kind.messages[field.number] = look(field.message_type)
            elif field.type in _INTEGERS:
                # More than one of them in a field of some length: packed.
                kind.growing.add(field.number)
            elif field.type == _TEXT and field.name != "doc_string":
                kind.texts.add(field.number)
        return kind

    return look(onnx.ModelProto.DESCRIPTOR)


# int64, uint64, int32, bool, uint32, enum, sint32, sint64, as descriptors number them: the types written as varints.
_INTEGERS = frozenset({3, 4, 5, 8, 13, 14, 17, 18})
_TEXT = 9


def _malformed(what: str) -> ModelFormatError:
    return ModelFormatError(f"is not an ONNX model, or is truncated: {what}", hint="check the file with onnx.checker")


_HUGE = "is it the right file? onnxruntime can write a smaller one (optimized_model_filepath)"
