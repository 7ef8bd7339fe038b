"""A member twice: one reader would take the first, another the last."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError


@pytest.mark.parametrize("name", ["labels.npy", "manifest.json"])
def test_a_member_twice_is_refused(members: dict[str, bytes], repack: Any, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = repack([*members.items(), (name, members[name])])
    with pytest.raises(BundleFormatError, match=rf"{name} appears 2 times"):
        parse_bundle(content)
