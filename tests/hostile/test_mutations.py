"""Thousands of random mutations of good bundles: none accepted, none with an unexpected error, none slow.

``ONNXFP_MUTATIONS`` sets how many; ``make fuzz`` runs a hundred thousand.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from onnxfp.bundle.archive import parse_bundle
from onnxfp.errors import BundleError, TrustError

COUNT = int(os.environ.get("ONNXFP_MUTATIONS", "4000"))


def mutate(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at, n = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0:
                data[at : at + n] = rng.randbytes(n)
            case 1:
                del data[at : at + n]
            case 2:
                data[at:at] = rng.randbytes(n)
            case 3:
                source = rng.randrange(len(data) + 1)
                data[at : at + n] = data[source : source + n]
            case 4:
                data[at : at + n] = rng.choice((b"\0", b"\xff", b"0", b"9", b'"', b"PK\x01\x02")) * n
            case _:
                data = data[:at] if rng.random() < 0.2 and at else data + rng.randbytes(1)
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def test_no_mutation_is_accepted(bundle: bytes, forge: Any) -> None:
    rng = random.Random(20260102)
    slowest = 0.0
    for _ in range(COUNT):
        mutated = mutate(bundle, rng)
        if mutated == bundle:
            continue
        began = time.perf_counter()
        with pytest.raises((BundleError, TrustError)):
            parse_bundle(mutated)
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 1.0
