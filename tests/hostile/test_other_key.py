"""A bundle that somebody else signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

import onnxfp
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import member_digest, sign_members
from onnxfp.bundle.writer import pack
from onnxfp.errors import KeyMismatchError, SignatureError

OTHER = CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def test_a_signature_by_another_key_than_the_manifest_names_is_bad(members: dict[str, bytes]) -> None:
    digests = {name: member_digest(content) for name, content in members.items() if name != "signature.json"}
    with pytest.raises(SignatureError):
        parse_bundle(pack({**members, "signature.json": sign_members(digests, OTHER)}))


def test_a_pinned_key_is_demanded(tmp_path: Path, bundle: bytes, forge: Any) -> None:
    path = tmp_path / "a.fp.npz"
    path.write_bytes(bundle)
    onnxfp.load(path, public_key=forge.public_key)
    with pytest.raises(KeyMismatchError, match="pinned") as raised:
        onnxfp.load(path, public_key="ff" * 32)
    assert "owner" in raised.value.hint
