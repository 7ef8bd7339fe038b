"""Records read back from JSON: enums, fields that were added since, and what no record holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from onnxfp.bundle.records import build, find_broken_claim, is_digest, is_key, is_time
from onnxfp.errors import CodecError


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Sample:
    colour: Colour
    share: float = 0.5
    note: str | None = None


def test_an_enum_is_read_by_its_value() -> None:
    assert build(Sample, {"colour": "red", "share": 1, "note": None}, "it") == Sample(Colour.RED, 1.0)
    others: tuple[Any, ...] = ("RED", "blue", None, 1, [], {})
    for other in others:
        with pytest.raises(CodecError, match=r"it\.colour must be Colour"):
            build(Sample, {"colour": other, "share": 0.5, "note": None}, "it")


def test_every_field_must_be_there_and_no_other() -> None:
    assert build(Sample, {"colour": "red", "share": 0.5, "note": "n"}, "it").note == "n"
    # A default in the code is no default in a record.
    with pytest.raises(CodecError, match=r"it\.share is missing"):
        build(Sample, {"colour": "red", "note": None}, "it")
    with pytest.raises(CodecError, match=r"it\.nota is unknown"):
        build(Sample, {"colour": "red", "share": 0.5, "nota": "n", "note": None}, "it")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400, "0.5", True, None])
def test_a_number_is_a_finite_number(value: Any) -> None:
    with pytest.raises(CodecError, match=r"it\.share must be float"):
        build(Sample, {"colour": "red", "share": value, "note": None}, "it")


def test_the_forms_of_digests_keys_and_times() -> None:
    assert is_digest("sha256:" + "0a" * 32)
    assert is_key("0a" * 32)
    assert is_time("2026-01-02T03:04:05Z")
    for text in ("", "0A" * 32, "sha256:" + "0a" * 31, "0a" * 32 + "\n", "2026-13-02T03:04:05Z", "2026-01-02"):
        assert not is_digest(text)
        assert not is_key(text)
        assert not is_time(text)


def test_the_first_broken_claim_is_the_complaint() -> None:
    assert find_broken_claim({}) == ""
    assert find_broken_claim({"a": True, "b": 1}) == ""
    assert find_broken_claim({"a": True, "b": None, "c": False}) == "b"
