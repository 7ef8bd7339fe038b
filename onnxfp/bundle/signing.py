"""Signatures: a DSSE envelope over an in-toto Statement, which says something about files by their digests.

A fingerprint's statement has the bundle's members as subjects, an attestation's the suspect and the bundle. Each kind
has a predicate type of its own, so that one can never pass for the other.

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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onnxfp.bundle import canonical_json
from onnxfp.bundle.canonical_json import Json
from onnxfp.errors import (
    BundleFormatError,
    CodecError,
    DigestError,
    KeyMismatchError,
    OnnxfpError,
    SignatureError,
    translate_codec,
)
from onnxfp.text import quote_text

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


@dataclass(frozen=True, slots=True)
class StatementKind:
    """What a statement is about, for its reader and for messages.

    Attributes:
        predicate_type: URI that the statement names.
        noun: What people call its file.
        where: What holds the envelope.
        signer: Who signs it.
        error: Class of the error for one that is malformed.
    """

    predicate_type: str
    noun: str
    where: str
    signer: str
    error: type[OnnxfpError]

    @property
    def hint(self) -> str:
        """The next step for whoever holds one that is not good."""
        return f"the {self.noun} was not written by onnxfp, or was edited since: ask the {self.signer} for the original"


FINGERPRINT = StatementKind(PREDICATE_TYPE, "bundle", "signature.json", "owner", BundleFormatError)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed.

    Attributes:
        subjects: SHA-256 (hexadecimal) of every file that it is about, by name.
        predicate: What it says about them.
    """

    subjects: Mapping[str, str]
    predicate: Json = field(default_factory=dict)

    def to_json(self, kind: StatementKind) -> bytes:
        """Return the canonical JSON of the in-toto Statement."""
        return canonical_json.dump(
            {
                "_type": STATEMENT_TYPE,
                "subject": [
                    {"name": name, "digest": {"sha256": self.subjects[name]}} for name in sorted(self.subjects)
                ],
                "predicateType": kind.predicate_type,
                "predicate": self.predicate,
            }
        )


def sign_statement(statement: Statement, kind: StatementKind, signer: Signer) -> bytes:
    """Return the canonical JSON of a signed envelope."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(statement.to_json(kind), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_json.dump(envelope.to_dict())


def verify_statement(envelope: bytes, kind: StatementKind, public_key: str) -> Statement:
    """Check the signature and return what was signed.

    Args:
        envelope: The envelope's JSON.
        kind: What the statement must be about.
        public_key: The key that must have signed it, 64 hexadecimal digits.

    Raises:
        OnnxfpError: Of the kind's own class: the envelope or its statement is malformed, or about something else.
        SignatureError: There is no signature, or it is not by that key, or anybody can sign under that key.
    """
    with translate_codec(kind.error, kind.hint):
        payload, signature = _parse_envelope(envelope, kind)
        _verify(payload, signature, public_key, kind)
        return _parse_statement(payload, kind)


def claimed_predicate(envelope: bytes, kind: StatementKind) -> Json:
    """Return what an envelope says *before* anybody checked its signature: only to find the key that it names.

    Raises:
        OnnxfpError: Of the kind's own class: the envelope or its statement is malformed, or about something else.
        SignatureError: There is no signature.
    """
    with translate_codec(kind.error, kind.hint):
        payload, _ = _parse_envelope(envelope, kind)
        return _parse_statement(payload, kind).predicate


def sign_members(digests: Mapping[str, str], signer: Signer) -> bytes:
    """Return the canonical JSON of a fingerprint's signed envelope.

    Args:
        digests: SHA-256 (hexadecimal) of every member, by name.
        signer: The owner's key.
    """
    return sign_statement(Statement(digests), FINGERPRINT, signer)


def verify_envelope(envelope: bytes, public_key: str) -> Mapping[str, str]:
    """Check the signature of a fingerprint and return the digests that were signed.

    Args:
        envelope: The envelope's JSON.
        public_key: The key that must have signed it, 64 hexadecimal digits.

    Returns:
        SHA-256 (hexadecimal) of every member, by name.

    Raises:
        BundleFormatError: The envelope or its statement is malformed.
        SignatureError: There is no signature, or it is not by that key.
    """
    statement = verify_statement(envelope, FINGERPRINT, public_key)
    if statement.predicate:
        raise BundleFormatError("the signed statement says more than a fingerprint's", hint=FINGERPRINT.hint)
    return statement.subjects


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


def check_pinned(public_key: str, pinned: str, kind: StatementKind = FINGERPRINT) -> None:
    """Compare the key that signed with the one that the verifier trusts.

    Raises:
        KeyMismatchError: They differ.
    """
    if public_key != pinned:
        raise KeyMismatchError(
            f"the {kind.noun} is signed by {public_key[:16]}..., the pinned key is {pinned[:16]}...",
            hint=f"ask the {kind.signer} which key is theirs; what another key signed proves nothing for them",
        )


def is_weak_key(public_key: str) -> bool:
    """Return whether a raw Ed25519 public key is a point of small order, or written in a second spelling.

    Args:
        public_key: 64 hexadecimal digits.
    """
    y = int.from_bytes(bytes.fromhex(public_key), "little") % 2**255
    return y >= _FIELD or y in _WEAK


def _parse_statement(payload: bytes, kind: StatementKind) -> Statement:
    value = canonical_json.load(payload, "the signed statement")
    found = value.get("predicateType")
    if found != kind.predicate_type:
        raise CodecError(
            f"the signed statement is of type {quote_text(str(found))}; {kind.predicate_type!r} was expected"
        )
    subjects: dict[str, str] = {}
    given = value.get("subject")
    for subject in given if isinstance(given, list) else []:
        match subject:
            case {"name": str(name), "digest": {"sha256": str(digest)}} if name not in subjects:
                subjects[name] = digest
            case _:
                raise CodecError("the signed statement has a malformed subject")
    predicate = value.get("predicate")
    statement = Statement(subjects, predicate if isinstance(predicate, dict) else {})
    if statement.to_json(kind) != payload:
        raise CodecError("the signed statement is not an in-toto Statement as onnxfp writes it")
    return statement


def _parse_envelope(envelope: bytes, kind: StatementKind) -> tuple[bytes, tuple[str, bytes]]:
    value = canonical_json.load(envelope, kind.where)
    match value:
        case {"payload": str(payload), "payloadType": str(found), "signatures": list(signatures)} if len(value) == 3:
            if found != PAYLOAD_TYPE:
                raise CodecError(f"the envelope has payload type {quote_text(found, 60)}, not {PAYLOAD_TYPE!r}")
        case _:
            raise CodecError(f"{kind.where} is not a DSSE envelope")
    if not signatures:
        raise SignatureError(f"the {kind.noun} carries no signature", hint=f"ask the {kind.signer} for the signed one")
    match signatures:
        case [{"keyid": str(key_id), "sig": str(signature), **rest}] if not rest:
            return _decode(payload, kind), (key_id, _decode(signature, kind))
        case _:
            raise CodecError("the envelope does not hold exactly one signature")


def _decode(text: str, kind: StatementKind) -> bytes:
    try:
        content = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise CodecError(f"{kind.where} holds malformed base64: {error}") from error
    if b64encode(content).decode() != text:
        raise CodecError(f"{kind.where} holds base64 in a second spelling")
    return content


def _verify(payload: bytes, signature: tuple[str, bytes], public_key: str, kind: StatementKind) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import Signature, SSlibKey

    key_id, content = signature
    if is_weak_key(public_key):
        raise SignatureError(
            f"the {kind.noun} names the key {public_key[:16]}..., under which anybody can sign", hint=kind.hint
        )
    if len(content) != SIGNATURE_BYTES:
        raise SignatureError(f"the signature has {len(content)} bytes; {SIGNATURE_BYTES} were expected", hint=kind.hint)
    try:
        key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)))
        if key_id != key.keyid:
            raise SignatureError(f"the signature names another key than the {kind.noun}", hint=kind.hint)
        Envelope(payload, PAYLOAD_TYPE, {key_id: Signature(key_id, content.hex())}).verify([key], 1)
    except (VerificationError, ValueError) as error:
        raise SignatureError(
            f"the signature does not verify under the key {public_key[:16]}... that the {kind.noun} names",
            hint=kind.hint,
        ) from error
