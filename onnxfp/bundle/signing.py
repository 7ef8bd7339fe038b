"""Signatures: a DSSE envelope over an in-toto Statement whose subjects are the members' digests.

The envelope, its pre-authentication encoding and the signature itself are securesystemslib's, whose signers also
reach key management services and hardware. Here is only what is signed, and how strictly it is read back.

References:
    DSSE v1.0.2 and in-toto Statement v1 (https://github.com/in-toto/attestation).
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onnxfp.bundle import canonical_json
from onnxfp.errors import BundleFormatError, DigestError, KeyMismatchError, SignatureError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:onnxfp:fingerprint:1"
SIGNATURE_BYTES = 64

_FIELD = 2**255 - 19
# The y coordinates of the points of small order. Under such a "public key" one constant signature fits every message,
# so it would be a bundle that anybody can sign. Ed25519 itself (RFC 8032) accepts them.
_ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_WEAK = frozenset({0, 1, _FIELD - 1, _ORDER_EIGHT, _FIELD - _ORDER_EIGHT})


def member_digest(content: bytes) -> str:
    """Return the SHA-256 of a member's bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sign_members(digests: Mapping[str, str], signer: Signer) -> bytes:
    """Return the canonical JSON of a signed envelope.

    Args:
        digests: SHA-256 (hexadecimal) of every member, by name.
        signer: The owner's key.
    """
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical_json.dump(_statement(digests)), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_json.dump(envelope.to_dict())


def verify_envelope(envelope: bytes, public_key: str) -> dict[str, str]:
    """Check the signature and return the digests that were signed.

    Args:
        envelope: The envelope's JSON.
        public_key: The key that must have signed it, 64 hexadecimal digits.

    Returns:
        SHA-256 (hexadecimal) of every member, by name.

    Raises:
        BundleFormatError: The envelope or its statement is malformed.
        SignatureError: There is no signature, or it is not by that key.
    """
    payload, signature = _parse_envelope(envelope)
    _verify(payload, signature, public_key)
    statement = canonical_json.load(payload, "the signed statement")
    digests: dict[str, str] = {}
    subjects = statement.get("subject")
    for subject in subjects if isinstance(subjects, list) else []:
        match subject:
            case {"name": str(name), "digest": {"sha256": str(digest)}} if name not in digests:
                digests[name] = digest
            case _:
                raise BundleFormatError("the signed statement has a malformed subject", hint=_HINT)
    if statement != _statement(digests):
        raise BundleFormatError("the signed statement is not one about a fingerprint", hint=_HINT)
    return digests


def check_members(signed: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Compare the digests that were signed with those of the members.

    Raises:
        DigestError: A member is missing, was added, or has other bytes; it is named.
    """
    for name in sorted(set(signed) | set(found)):
        if signed.get(name) != found.get(name):
            raise DigestError(
                f"{name} is not the member that was signed", hint="the bundle was edited after it was signed"
            )


def check_pinned(public_key: str, pinned: str) -> None:
    """Compare the bundle's key with the one that the verifier trusts.

    Raises:
        KeyMismatchError: They differ.
    """
    if public_key != pinned:
        raise KeyMismatchError(
            f"the bundle is signed by {public_key[:16]}..., the pinned key is {pinned[:16]}...",
            hint="ask the owner which key is theirs; a bundle by another key proves nothing for them",
        )


def is_weak_key(public_key: str) -> bool:
    """Return whether a raw Ed25519 public key is a point of small order, or written in a second spelling.

    Args:
        public_key: 64 hexadecimal digits.
    """
    y = int.from_bytes(bytes.fromhex(public_key), "little") % 2**255
    return y >= _FIELD or y in _WEAK


def _statement(digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {},
    }


def _parse_envelope(envelope: bytes) -> tuple[bytes, tuple[str, bytes]]:
    value = canonical_json.load(envelope, "signature.json")
    match value:
        case {"payload": str(payload), "payloadType": str(kind), "signatures": list(signatures)} if len(value) == 3:
            if kind != PAYLOAD_TYPE:
                raise BundleFormatError(
                    f"the envelope has payload type {kind[:60]!r}, not {PAYLOAD_TYPE!r}", hint=_HINT
                )
        case _:
            raise BundleFormatError("signature.json is not a DSSE envelope", hint=_HINT)
    if not signatures:
        raise SignatureError("the bundle carries no signature", hint="ask the owner for the bundle as they signed it")
    match signatures:
        case [{"keyid": str(key_id), "sig": str(signature), **rest}] if not rest:
            return _decode(payload), (key_id, _decode(signature))
        case _:
            raise BundleFormatError("the envelope does not hold exactly one signature", hint=_HINT)


def _decode(text: str) -> bytes:
    try:
        content = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise BundleFormatError(f"signature.json holds malformed base64: {error}", hint=_HINT) from error
    if b64encode(content).decode() != text:
        raise BundleFormatError("signature.json holds base64 in a second spelling", hint=_HINT)
    return content


def _verify(payload: bytes, signature: tuple[str, bytes], public_key: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import Signature, SSlibKey

    key_id, content = signature
    if is_weak_key(public_key):
        raise SignatureError(
            f"the manifest names the key {public_key[:16]}..., under which anybody can sign", hint=_HINT
        )
    if len(content) != SIGNATURE_BYTES:
        raise SignatureError(f"the signature has {len(content)} bytes; {SIGNATURE_BYTES} were expected", hint=_HINT)
    try:
        key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)))
        if key_id != key.keyid:
            raise SignatureError("the signature names another key than the manifest", hint=_HINT)
        Envelope(payload, PAYLOAD_TYPE, {key_id: Signature(key_id, content.hex())}).verify([key], 1)
    except (VerificationError, ValueError) as error:
        raise SignatureError(
            f"the signature does not verify under the key {public_key[:16]}... that the manifest names", hint=_HINT
        ) from error


_HINT = "the bundle was not written by onnxfp, or was edited since: ask the owner for the original file"
