"""Sign, mutate, verify: of many thousands of damaged bundles none is accepted, and none costs more than it may.

A third are files damaged anywhere. A third are members damaged within a good file. A third are put together by somebody
who knows the format: a manifest whose values were changed, members and envelopes of two bundles mixed, and bundles
that another key signed anew. ``ONNXFP_MUTATIONS`` sets how many; ``make fuzz`` runs a hundred thousand.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

import onnxfp
from onnxfp.bundle import canonical_json
from onnxfp.bundle.signing import member_digest, sign_members
from onnxfp.bundle.writer import MANIFEST, MEMBERS, SIGNATURE, pack
from onnxfp.errors import BundleError, TrustError
from onnxfp.trust.keys import signer_public_key
from tests.fuzz.limits import feed, limited_memory
from tests.fuzz.mutations import mutate, mutate_json

COUNT = int(os.environ.get("ONNXFP_MUTATIONS", "4000"))
OTHER = CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))

Members = dict[str, bytes]


def any_bytes(members: Members, _: Members, rng: random.Random) -> bytes:
    return mutate(pack(members), rng)


def one_member(members: Members, _: Members, rng: random.Random) -> bytes:
    name = rng.choice(MEMBERS)
    return pack({**members, name: mutate(members[name], rng)})


def another_value(members: Members, _: Members, rng: random.Random) -> bytes:
    name = rng.choice((MANIFEST, MANIFEST, SIGNATURE))
    return pack({**members, name: mutate_json(members[name], rng)})


def mixed(members: Members, other: Members, rng: random.Random) -> bytes:
    return pack({name: rng.choice((members, other))[name] for name in MEMBERS})


def signed_anew(members: Members, _: Members, rng: random.Random) -> bytes:
    """Change anything, put in a key of one's own or leave the owner's, and sign everything with one's own."""
    changed = {name: content for name, content in members.items() if name != SIGNATURE}
    if rng.random() < 0.5:
        value = canonical_json.load(changed[MANIFEST], MANIFEST)
        value["public_key"] = signer_public_key(OTHER)
        changed[MANIFEST] = canonical_json.dump(value)
    if rng.random() < 0.8:
        name = rng.choice(list(changed))
        changed[name] = mutate_json(changed[name], rng) if name == MANIFEST else mutate(changed[name], rng)
    envelope = sign_members({name: member_digest(content) for name, content in changed.items()}, OTHER)
    return pack({**changed, SIGNATURE: envelope})


DAMAGES: list[Callable[[Members, Members, random.Random], bytes]] = [
    *(any_bytes, any_bytes, any_bytes),
    *(one_member, one_member, one_member),
    *(another_value, mixed, signed_anew),
]


def test_no_mutation_is_accepted(forge: Any, tmp_path: Path) -> None:
    rng = random.Random(20260102)
    members = forge.fingerprint().members()
    other = forge.fingerprint(replace(forge.manifest(), created="2026-01-02T03:04:06Z")).members()
    good = {pack(members), pack(other)}
    path = tmp_path / "mutated.fp.npz"
    outcomes: dict[str, int] = {}
    slowest = 0.0

    def refused(content: bytes) -> None:
        # What a verifier does before any suspect is asked, the owner's key being known.
        path.write_bytes(content)
        try:
            onnxfp.load(path, public_key=forge.public_key)
        except (BundleError, TrustError) as error:
            kind = type(error).__name__ if error.hint else "no hint"
            outcomes[kind] = outcomes.get(kind, 0) + 1
        else:
            pytest.fail(f"accepted: {content!r}")

    with limited_memory():
        while sum(outcomes.values()) < COUNT:
            content = rng.choice(DAMAGES)(members, other, rng)
            if content not in good:
                slowest = max(slowest, feed(refused, content))
    print(f"{COUNT} mutated bundles refused, the slowest in {slowest:.3f} s: {outcomes}")
    # All stages had their share, and not the first one alone.
    names = {"BundleFormatError", "BundleVersionError", "SignatureError", "DigestError", "KeyMismatchError"}
    assert set(outcomes) == names


def test_the_good_ones_are_accepted(forge: Any, tmp_path: Path) -> None:
    path = tmp_path / "good.fp.npz"
    path.write_bytes(pack(forge.fingerprint().members()))
    onnxfp.load(path, public_key=forge.public_key)
