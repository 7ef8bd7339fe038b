"""A member too many, too few, or under another name."""

from __future__ import annotations

from typing import Any

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError


@pytest.mark.parametrize("name", ["extra.npy", "../labels.npy", "/etc/passwd", "labels.npy/", "LABELS.npy"])
def test_an_unknown_member_is_refused(members: dict[str, bytes], repack: Any, name: str) -> None:
    with pytest.raises(BundleFormatError, match="unknown member"):
        parse_bundle(repack([*members.items(), (name, b"x")]))


@pytest.mark.parametrize("name", ["manifest.json", "signature.json", "examples.npy", "labels.npy", "indices.npy"])
def test_a_missing_member_is_named(members: dict[str, bytes], repack: Any, name: str) -> None:
    with pytest.raises(BundleFormatError, match=f"{name} is missing"):
        parse_bundle(repack([item for item in members.items() if item[0] != name]))


def test_another_order_or_a_comment_is_refused(members: dict[str, bytes], repack: Any) -> None:
    for content in (repack(list(members.items())[::-1]), repack(list(members.items()), comment=b"hello")):
        with pytest.raises(BundleFormatError, match="one form"):
            parse_bundle(content)
