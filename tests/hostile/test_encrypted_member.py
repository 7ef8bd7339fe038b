"""A member that asks for a password, and other flags of the zip format that no bundle sets."""

from __future__ import annotations

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError


@pytest.mark.parametrize("bit", range(16))
def test_no_flag_may_be_set(bundle: bytes, bit: int) -> None:
    directory = bundle.index(b"PK\x01\x02")
    for offset in (6, directory + 8):
        content = bytearray(bundle)
        content[offset + bit // 8] |= 1 << bit % 8
        with pytest.raises(BundleFormatError) as raised:
            parse_bundle(bytes(content))
        assert raised.value.hint
        if bit == 0 and offset > directory:
            assert "is encrypted" in str(raised.value)
