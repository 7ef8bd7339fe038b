"""Text that steers the terminal: a bundle that paints its own verdict over the report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnxfp.bundle import canonical_json
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError

PAINT = "\x1b[2J\x1b[1;1Hverdict  MATCH"


@pytest.mark.parametrize("text", [PAINT, "a\nb", "a\rb", "\x00", "\x9b2J", "\u202egnp.exe", "\ud800"])
@pytest.mark.parametrize("field", ["name", "version"])
def test_such_text_is_refused_and_not_repeated(forge: Any, text: str, field: str) -> None:
    value = json.loads(forge.manifest().to_json())
    if field == "name":
        value["base"]["input"]["name"] = text
    else:
        value["versions"] = [["onnxfp", text]]
    with pytest.raises(BundleFormatError, match="cannot be printed") as raised:
        Manifest.from_json(canonical_json.dump(value))
    assert str(raised.value).isprintable()


def test_a_field_of_such_a_name_is_not_repeated(forge: Any) -> None:
    value = {**json.loads(forge.manifest().to_json()), PAINT: 1}
    with pytest.raises(BundleFormatError, match="is unknown") as raised:
        Manifest.from_json(canonical_json.dump(value))
    assert str(raised.value).isprintable()


def test_a_member_of_such_a_name_is_not_repeated(members: dict[str, bytes], repack: Any) -> None:
    with pytest.raises(BundleFormatError, match="unknown member") as raised:
        parse_bundle(repack([*members.items(), (PAINT, b"")]))
    assert str(raised.value).isprintable()
