"""Attestations: what is signed, what comes back, and what is not written in the first place."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp import Report
from onnxfp.errors import (
    FileError,
    KeyFileError,
    KeyMismatchError,
    ParameterError,
    ReportFormatError,
    SignatureError,
)
from onnxfp.report.attestation import (
    Attestation,
    is_attestation,
    parse_attestation,
    read_attestation,
    sign_report,
)
from onnxfp.trust.keys import generate_key_pair, public_key_path

GOLDEN = Path(__file__).parents[2] / "golden" / "report-1.json"


@pytest.fixture(scope="module")
def report() -> Report:
    return Report.from_json(GOLDEN.read_text(encoding="utf-8"))


def test_it_is_an_in_toto_statement_about_both_files(report: Report, forge: Any) -> None:
    content = sign_report(report, forge.signer, "suspect.onnx", "base.fp.npz")
    statement = json.loads(b64decode(json.loads(content)["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:onnxfp:verification:1"
    assert statement["subject"] == [
        {"name": "base.fp.npz", "digest": {"sha256": report.bundle.digest.removeprefix("sha256:")}},
        {"name": "suspect.onnx", "digest": {"sha256": report.suspect.digest.removeprefix("sha256:")}},
    ]
    assert statement["predicate"] == {"public_key": forge.public_key, "report": json.loads(report.to_json())}


def test_it_comes_back_and_the_same_report_makes_the_same_bytes(report: Report, forge: Any, tmp_path: Path) -> None:
    content = sign_report(report, forge.signer, "suspect.onnx", "base.fp.npz")
    assert content == sign_report(report, forge.signer, "suspect.onnx", "base.fp.npz")
    assert parse_attestation(content) == Attestation(report, forge.public_key, "suspect.onnx", "base.fp.npz")
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert read_attestation(path) == parse_attestation(content)


@pytest.mark.parametrize(
    ("suspect", "bundle", "names"),
    [
        ("s.onnx", "b.npz", ("s.onnx", "b.npz")),
        ("", "", ("suspect", "fingerprint")),
        ("\x1b[2J.onnx", "b\nc.npz", ("suspect", "fingerprint")),
        ("same", "same", ("suspect", "fingerprint")),
        ("fingerprint", "", ("suspect", "fingerprint")),
        ("\udcff.onnx", "b.npz", ("suspect", "b.npz")),
        ("modèle.onnx", "b.npz", ("modèle.onnx", "b.npz")),
        ("n" * 1001, "b.npz", ("suspect", "b.npz")),
    ],
)
def test_subjects_have_names_that_can_be_printed_and_told_apart(
    report: Report, forge: Any, suspect: str, bundle: str, names: tuple[str, str]
) -> None:
    loaded = parse_attestation(sign_report(report, forge.signer, suspect, bundle))
    assert (loaded.suspect_name, loaded.bundle_name) == names


def test_a_report_that_no_reader_would_accept_is_not_signed(report: Report, forge: Any) -> None:
    for broken in (
        replace(report, match_rate=0.5),
        replace(report, margin=float("nan")),
        replace(report, versions=tuple((f"{number:01000d}", "x" * 1000) for number in range(1000))),
    ):
        with pytest.raises(ParameterError, match="could not be read again"):
            sign_report(broken, forge.signer, "s", "b")


def test_attest_takes_a_key_file_a_signer_or_the_default_key(
    report: Report, forge: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "auditor.pem"
    public_key = generate_key_pair(key, passphrase=b"horse")
    content = onnxfp.attest(report, key=key, passphrase=lambda _: b"horse", suspect=tmp_path / "s.onnx")
    loaded = parse_attestation(content)
    assert (loaded.public_key, loaded.suspect_name, loaded.bundle_name) == (public_key, "s.onnx", "fingerprint")
    assert parse_attestation(onnxfp.attest(report, key=forge.signer)).public_key == forge.public_key
    assert len(parse_attestation(onnxfp.attest(report)).public_key) == 64
    assert "made your default key pair" in caplog.text
    with pytest.raises(ParameterError, match="encrypted"):
        onnxfp.attest(report, key=key)
    with pytest.raises(KeyFileError):
        onnxfp.attest(report, key=tmp_path / "missing.pem")


def test_the_auditor_can_be_pinned(report: Report, tmp_path: Path) -> None:
    key, path = tmp_path / "auditor.pem", tmp_path / "a.json"
    public_key = generate_key_pair(key)
    path.write_bytes(onnxfp.attest(report, key=key))
    assert onnxfp.load_attestation(path).report == report
    assert onnxfp.load_attestation(path, public_key=public_key_path(key)).public_key == public_key
    with pytest.raises(KeyMismatchError, match="the attestation is signed by") as raised:
        onnxfp.load_attestation(path, public_key="ff" * 32)
    assert "auditor" in raised.value.hint


def test_errors_name_the_file_and_the_next_step(tmp_path: Path) -> None:
    junk = tmp_path / "junk.json"
    junk.write_bytes(b"{}")
    with pytest.raises(ReportFormatError, match=r"junk\.json: .*not a DSSE envelope") as raised:
        read_attestation(junk)
    assert "auditor" in raised.value.hint
    junk.write_bytes(b'{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}')
    with pytest.raises(SignatureError, match="carries no signature"):
        read_attestation(junk)
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(FileError) as missing:
            read_attestation(path)
        assert missing.value.hint


def test_the_first_byte_tells_an_attestation_from_a_bundle(report: Report, forge: Any, tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert not is_attestation(path)
    assert not is_attestation(tmp_path)
    path.write_bytes(b"")
    assert not is_attestation(path)
    forge.fingerprint().save(path)
    assert not is_attestation(path)
    path.write_bytes(sign_report(report, forge.signer, "s", "b"))
    assert is_attestation(path)
