"""A bundle without its signature, or with one that says less."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from onnxfp.bundle import canonical_json
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import PAYLOAD_TYPE, sign_members
from onnxfp.bundle.writer import pack
from onnxfp.errors import BundleFormatError, DigestError, OnnxfpError, SignatureError


def with_envelope(members: dict[str, bytes], edit: Callable[[dict[str, Any]], object]) -> bytes:
    envelope = json.loads(members["signature.json"])
    edit(envelope)
    return pack({**members, "signature.json": canonical_json.dump(envelope)})


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda e: e["signatures"].clear(), SignatureError),
        (lambda e: e["signatures"][0].update(sig="AAAA"), SignatureError),
        (lambda e: e["signatures"][0].update(sig="A" * 86 + "=="), SignatureError),
        (lambda e: e["signatures"][0].update(keyid="00"), SignatureError),
        (lambda e: e["signatures"][0].update(sig="not base64!"), BundleFormatError),
        (lambda e: e["signatures"][0].update(extra=1), BundleFormatError),
        (lambda e: e["signatures"].append(e["signatures"][0]), BundleFormatError),
        (lambda e: e.update(payloadType="text/plain"), BundleFormatError),
        (lambda e: e.update(payload="AAAA"), SignatureError),
        (lambda e: e.update(extra=1), BundleFormatError),
        (lambda e: e.pop("payload"), BundleFormatError),
    ],
)
def test_the_envelope_must_be_whole(
    members: dict[str, bytes], edit: Callable[[dict[str, Any]], object], error: type[OnnxfpError]
) -> None:
    with pytest.raises(error) as raised:
        parse_bundle(with_envelope(members, edit))
    assert raised.value.hint


def test_the_statement_must_cover_every_member(members: dict[str, bytes], forge: Any) -> None:
    from onnxfp.bundle.signing import member_digest

    digests = {name: member_digest(members[name]) for name in ("manifest.json", "examples.npy", "indices.npy")}
    with pytest.raises(DigestError, match=r"labels\.npy"):
        parse_bundle(pack({**members, "signature.json": sign_members(digests, forge.signer)}))


@pytest.mark.parametrize(
    "statement",
    [
        {"_type": "https://in-toto.io/Statement/v1", "predicate": {}, "predicateType": "urn:x", "subject": []},
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": {},
            "predicateType": "urn:onnxfp:fingerprint:1",
            "subject": [{"name": "a"}],
        },
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": {},
            "predicateType": "urn:onnxfp:fingerprint:1",
            "subject": "all",
        },
        {"subject": []},
    ],
)
def test_a_signed_statement_about_something_else_is_refused(
    members: dict[str, bytes], forge: Any, statement: dict[str, Any]
) -> None:
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical_json.dump(statement), PAYLOAD_TYPE, {})
    envelope.sign(forge.signer)
    with pytest.raises((BundleFormatError, DigestError)):
        parse_bundle(pack({**members, "signature.json": canonical_json.dump(envelope.to_dict())}))
