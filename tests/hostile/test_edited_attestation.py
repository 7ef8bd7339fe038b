"""Attestations that were edited, signed by somebody else, or are something else."""

from __future__ import annotations

import json
import os
import random
from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

import onnxfp
from onnxfp import Report
from onnxfp.bundle import canonical_json
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import PAYLOAD_TYPE, Statement, sign_statement
from onnxfp.bundle.writer import pack
from onnxfp.errors import (
    BundleFormatError,
    DigestError,
    OnnxfpError,
    ReportError,
    ReportFormatError,
    ReportVersionError,
    SignatureError,
    TrustError,
)
from onnxfp.report.attestation import ATTESTATION, MAX_FILE_BYTES, parse_attestation, read_attestation, sign_report
from tests.fuzz.limits import limited_time
from tests.fuzz.mutations import put_strange_values

COUNT = max(1, int(os.environ.get("ONNXFP_MUTATIONS", "4000")) // 4)
GOLDEN = Path(__file__).parents[1] / "golden" / "report-1.json"
OTHER = CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    1,
    -1,
    2**63,
    10**30,
    0.0,
    -0.0,
    0.5,
    1.0,
    5e-324,
    1.7e308,
    "",
    "MATCH",
    "\x1b[2J",
    "\ud800",
    "a" * 2000,
    [],
    [0],
    [[]],
    {},
    {"a": 1},
    ["a", "b"],
)


@pytest.fixture(scope="module")
def attestation(forge: Any) -> bytes:
    """A good one."""
    report = Report.from_json(GOLDEN.read_text(encoding="utf-8"))
    return sign_report(report, forge.signer, "suspect.onnx", "base.fp.npz")


@pytest.fixture(scope="module")
def statement(attestation: bytes) -> dict[str, Any]:
    """What it signs."""
    value: dict[str, Any] = json.loads(b64decode(json.loads(attestation)["payload"]))
    return value


def signed(statement: dict[str, Any], signer: CryptoSigner) -> bytes:
    """Sign whatever it is, as an auditor of bad will can."""
    envelope = Envelope(canonical_json.dump(statement), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_json.dump(envelope.to_dict())


def with_payload(attestation: bytes, payload: bytes) -> bytes:
    return canonical_json.dump({**json.loads(attestation), "payload": b64encode(payload).decode()})


@pytest.mark.parametrize("pattern", [0x01, 0x80, 0xFF])
def test_every_byte_counts(attestation: bytes, pattern: int) -> None:
    for offset in range(len(attestation)):
        mutated = bytearray(attestation)
        mutated[offset] ^= pattern
        with pytest.raises((ReportError, TrustError)):
            parse_attestation(bytes(mutated))


@pytest.mark.parametrize("edit", [lambda c: c[:-1], lambda c: c + b"\n", lambda c: b" " + c, lambda c: c + c])
def test_nothing_is_added_or_cut_off(attestation: bytes, edit: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ReportFormatError, match="canonical JSON") as raised:
        parse_attestation(edit(attestation))
    assert raised.value.hint


def test_another_verdict_cannot_be_put_in(attestation: bytes, statement: dict[str, Any]) -> None:
    changed = deepcopy(statement)
    changed["predicate"]["report"]["decision"] |= {"verdict": "NO_MATCH", "p_value": 0.5}
    with pytest.raises(SignatureError, match="does not verify") as raised:
        parse_attestation(with_payload(attestation, canonical_json.dump(changed)))
    assert "auditor" in raised.value.hint


def test_another_file_cannot_be_put_under_the_report(attestation: bytes, statement: dict[str, Any], forge: Any) -> None:
    changed = deepcopy(statement)
    changed["subject"][1]["digest"]["sha256"] = "ab" * 32
    with pytest.raises(SignatureError):
        parse_attestation(with_payload(attestation, canonical_json.dump(changed)))
    # Not even by the auditor.
    with pytest.raises(DigestError, match="not about the suspect and the bundle") as raised:
        parse_attestation(signed(changed, forge.signer))
    assert raised.value.hint


def test_another_key_cannot_sign_in_the_auditors_name(statement: dict[str, Any], tmp_path: Path, forge: Any) -> None:
    with pytest.raises(SignatureError, match="names another key"):
        parse_attestation(signed(statement, OTHER))
    own = deepcopy(statement)
    own["predicate"]["public_key"] = OTHER.public_key.keyval["public"]
    path = tmp_path / "a.json"
    path.write_bytes(signed(own, OTHER))
    assert onnxfp.load_attestation(path).public_key != forge.public_key
    with pytest.raises(TrustError, match="pinned"):
        onnxfp.load_attestation(path, public_key=forge.public_key)


def test_a_key_under_which_anybody_can_sign_is_refused(statement: dict[str, Any]) -> None:
    weak = (1).to_bytes(32, "little")
    changed = deepcopy(statement)
    changed["predicate"]["public_key"] = weak.hex()
    key_id = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(weak)).keyid
    signature = {"keyid": key_id, "sig": b64encode(weak + bytes(32)).decode()}
    payload = b64encode(canonical_json.dump(changed)).decode()
    envelope = {"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    with pytest.raises(SignatureError, match="anybody can sign"):
        parse_attestation(canonical_json.dump(envelope))


def test_neither_passes_for_the_other(
    attestation: bytes, statement: dict[str, Any], members: dict[str, bytes], tmp_path: Path, forge: Any
) -> None:
    with pytest.raises(ReportFormatError, match="'urn:onnxfp:verification:1' was expected"):
        parse_attestation(members["signature.json"])
    with pytest.raises(BundleFormatError, match="'urn:onnxfp:fingerprint:1' was expected"):
        parse_bundle(pack({**members, "signature.json": attestation}))
    # Nor with the members' digests, or the report, under the other's name.
    subjects = dict.fromkeys(members, "00" * 32)
    with pytest.raises(BundleFormatError, match="was expected"):
        parse_bundle(
            pack({**members, "signature.json": sign_statement(Statement(subjects), ATTESTATION, forge.signer)})
        )
    with pytest.raises(ReportFormatError, match="was expected"):
        parse_attestation(signed({**statement, "predicateType": "urn:onnxfp:fingerprint:1"}, forge.signer))
    said = signed({**statement, "predicateType": "urn:onnxfp:fingerprint:1"}, forge.signer)
    with pytest.raises(BundleFormatError, match="says more"):
        parse_bundle(pack({**members, "signature.json": said}))
    bundle = tmp_path / "a.fp.npz"
    bundle.write_bytes(pack(members))
    with pytest.raises(ReportFormatError):
        read_attestation(bundle)


def test_a_file_larger_than_any_attestation_is_not_read_whole(tmp_path: Path, attestation: bytes) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.write(attestation)
        stream.truncate(2**33)
    with pytest.raises(ReportFormatError, match="exceeds the limit"):
        read_attestation(path)
    with pytest.raises(ReportFormatError, match="exceeds the limit"):
        parse_attestation(b"{" * (MAX_FILE_BYTES + 1))


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OnnxfpError, match="not a regular file"):
        read_attestation(tmp_path / "pipe")


def test_no_key_may_stand_twice(attestation: bytes, statement: dict[str, Any], forge: Any) -> None:
    with pytest.raises(ReportFormatError, match="twice"):
        parse_attestation(attestation[:-1] + b',"signatures":[]}')
    payload = canonical_json.dump(statement).replace(b'"verdict":"MATCH"', b'"verdict":"NO_MATCH","verdict":"MATCH"')
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(forge.signer)
    with pytest.raises(ReportFormatError, match="twice"):
        parse_attestation(canonical_json.dump(envelope.to_dict()))


@pytest.mark.parametrize(
    ("edit", "error", "complaint"),
    [
        (lambda s: s["predicate"].update(extra=1), ReportFormatError, "predicate"),
        (lambda s: s["predicate"].pop("report"), ReportFormatError, "predicate"),
        (lambda s: s["predicate"].update(public_key="AB" * 32), ReportFormatError, "predicate"),
        (lambda s: s.update(predicate=[]), ReportFormatError, "in-toto Statement"),
        (lambda s: s.update(extra=1), ReportFormatError, "in-toto Statement"),
        (lambda s: s.update(_type="x"), ReportFormatError, "in-toto Statement"),
        (lambda s: s.update(subject="all"), ReportFormatError, "in-toto Statement"),
        (lambda s: s["subject"].reverse(), ReportFormatError, "in-toto Statement"),
        (lambda s: s["subject"][0].update(uri="x"), ReportFormatError, "in-toto Statement"),
        (lambda s: s["subject"].append(s["subject"][0]), ReportFormatError, "malformed subject"),
        (lambda s: s["subject"].append({"digest": {"sha256": "00"}, "name": "z"}), DigestError, "not about"),
        (lambda s: s["subject"].pop(), DigestError, "not about"),
        (lambda s: s["subject"][1].update(name="t\x1b[2J"), ReportFormatError, "cannot be printed"),
        (lambda s: s["predicate"]["report"].update(schema="onnxfp/verification/9"), ReportVersionError, "schema"),
        (lambda s: s["predicate"]["report"].update(match_rate=0.5), ReportFormatError, "match_rate"),
        (lambda s: s["predicate"]["report"].update(match_rate=1), ReportFormatError, "second spelling"),
        (lambda s: s["predicate"]["report"]["null"].update(source="\x1b[2J"), ReportFormatError, "cannot be printed"),
    ],
)
def test_an_auditor_of_bad_will_is_held_to_the_form(
    statement: dict[str, Any],
    forge: Any,
    edit: Callable[[dict[str, Any]], object],
    error: type[OnnxfpError],
    complaint: str,
) -> None:
    changed = deepcopy(statement)
    edit(changed)
    with pytest.raises(error, match=complaint) as raised:
        parse_attestation(signed(changed, forge.signer))
    assert raised.value.hint
    assert str(raised.value).isprintable()


def test_one_digest_for_two_subjects_is_refused(statement: dict[str, Any], forge: Any) -> None:
    changed = deepcopy(statement)
    digest = changed["subject"][0]["digest"]["sha256"]
    changed["subject"][1]["digest"]["sha256"] = digest
    changed["predicate"]["report"]["suspect"]["digest"] = changed["predicate"]["report"]["bundle"]["digest"]
    with pytest.raises(DigestError):
        parse_attestation(signed(changed, forge.signer))


def test_no_signed_attestation_ends_in_a_crash(statement: dict[str, Any], forge: Any) -> None:
    rng = random.Random(20260104)
    for _ in range(COUNT):
        value = deepcopy(statement)
        put_strange_values(value, STRANGE, rng)
        content = signed(value, forge.signer)
        with limited_time():
            try:
                attestation = parse_attestation(content)
            except (ReportError, TrustError):
                pass
            else:
                assert sign_report(attestation.report, forge.signer, "s", "b")
