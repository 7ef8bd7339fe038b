"""A flipped byte anywhere in the file: every offset, every bit of the structural parts."""

from __future__ import annotations

import pytest

from onnxfp.bundle.reader import parse_bundle
from onnxfp.errors import BundleError, TrustError


@pytest.mark.parametrize("pattern", [0x01, 0x80, 0xFF])
def test_every_byte_counts(bundle: bytes, pattern: int) -> None:
    for offset in range(len(bundle)):
        mutated = bytearray(bundle)
        mutated[offset] ^= pattern
        with pytest.raises((BundleError, TrustError)):
            parse_bundle(bytes(mutated))


def test_the_untouched_bundle_is_good(bundle: bytes) -> None:
    assert parse_bundle(bundle).n_examples == 6
