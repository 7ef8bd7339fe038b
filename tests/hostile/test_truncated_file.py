"""A file cut short, at every length, or with something before or after it."""

from __future__ import annotations

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleFormatError


def test_no_prefix_is_a_bundle(bundle: bytes) -> None:
    for length in range(0, len(bundle), 7):
        with pytest.raises(BundleFormatError):
            parse_bundle(bundle[:length])


@pytest.mark.parametrize(("before", "after"), [(b"MZ", b""), (b"", b"\0"), (b"", b"PK\x05\x06" + bytes(18))])
def test_nothing_may_stand_around_it(bundle: bytes, before: bytes, after: bytes) -> None:
    with pytest.raises(BundleFormatError):
        parse_bundle(before + bundle + after)
