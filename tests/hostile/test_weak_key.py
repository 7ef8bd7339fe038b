"""A public key under which one constant signature fits every message: a bundle that anybody can sign."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import SSlibKey

from onnxfp.bundle import canonical_json, npy
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, is_weak_key, member_digest
from onnxfp.bundle.writer import EXAMPLES, INDICES, LABELS, MANIFEST, SIGNATURE, pack
from onnxfp.errors import SignatureError
from onnxfp.recipe.derivation import derive_labels, derive_seeds

FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, FIELD) % FIELD
# R is the neutral point and S is zero: S B = R + h A holds for every h when A has small order and divides it.
CONSTANT = (1).to_bytes(32, "little") + bytes(32)

Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    (a, b), (c, d) = one, other
    product = CURVE * a * c * b * d % FIELD
    return (
        (a * d + c * b) * pow(1 + product, -1, FIELD) % FIELD,
        (b * d + a * c) * pow(1 - product, -1, FIELD) % FIELD,
    )


def multiply(factor: int, point: Point) -> Point:
    total = (0, 1)
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def point_at(y: int) -> Point | None:
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    for candidate in (x, x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD):
        if candidate * candidate % FIELD == square:
            return candidate, y
    return None


def small_order_keys() -> set[str]:
    """All points whose order divides eight, found without any list: multiples of what the large subgroup leaves."""
    found: set[Point] = set()
    y = 2
    while len(found) < 8:
        point = point_at(y)
        if point is not None:
            torsion, total = multiply(ORDER, point), (0, 1)
            for _ in range(8):
                total = add(total, torsion)
                found.add(total)
        y += 1
    return {(y | (x & 1) << 255).to_bytes(32, "little").hex() for x, y in found}


def forged(manifest: Any) -> bytes:
    context, indices = manifest.derivation_context(), np.arange(manifest.n_examples, dtype=np.int64)
    members = {
        MANIFEST: manifest.to_json(),
        EXAMPLES: npy.dump(derive_seeds(context, indices)),
        LABELS: npy.dump(derive_labels(context, indices)),
        INDICES: npy.dump(indices),
    }
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": member_digest(members[name])}} for name in sorted(members)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {},
    }
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest.public_key))
    signature = {"keyid": SSlibKey.from_crypto(key).keyid, "sig": b64encode(CONSTANT).decode()}
    envelope = {
        "payload": b64encode(canonical_json.dump(statement)).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [signature],
    }
    return pack({**members, SIGNATURE: canonical_json.dump(envelope)})


def test_every_point_of_small_order_is_known() -> None:
    keys = small_order_keys()
    assert len(keys) == 8
    assert all(is_weak_key(key) for key in keys)


def test_a_key_in_a_second_spelling_is_weak_too(forge: Any) -> None:
    assert all(is_weak_key((FIELD + extra).to_bytes(32, "little").hex()) for extra in range(19))
    assert not is_weak_key(forge.public_key)


@pytest.mark.parametrize("key", sorted(small_order_keys()))
def test_a_bundle_that_nobody_had_to_sign_is_refused(forge: Any, key: str) -> None:
    with pytest.raises(SignatureError, match="anybody can sign") as raised:
        parse_bundle(forged(replace(forge.manifest(), public_key=key)))
    assert raised.value.hint


def test_the_forgery_would_have_worked(forge: Any) -> None:
    neutral = Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    neutral.verify(CONSTANT, b"whatever anybody likes")
