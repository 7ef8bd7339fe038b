"""Files that earlier releases wrote: read and believed for ever.

``derived-1.fp.npz`` is what the test key signs in memory, byte for byte; ``base-1.fp.npz`` is a fingerprint of
``models/base.onnx`` as generated, ``report-1.json`` a report on ``models/stolen/int8.onnx``, and ``attestation-1.json``
that report attested with the test key. ``base-1.fp.commitment.json`` opens a commitment to ``base-1.fp.npz``, the
``.tsr`` beside it is the commitment's time-stamp by an authority under ``tsa.pem`` whose key nobody has, and
``report-1-dated.json`` the report with both.

Of the second schemas, ``derived-2.fp.npz`` declares a lineage and is signed in memory as well. ``report-2.json`` is a
report on ``int8.onnx`` with references, an excluded one, an ancestor, co-descendants, the base and a commitment to
three bundles, which ``base-2.fp.commitment.json`` opens. ``attestation-2.json`` attests it with the test key.

A schema that is added gets files of its own beside these; these never change.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnxfp
from onnxfp import Report, Verdict
from onnxfp.bundle.manifest import AncestorResult, Lineage
from onnxfp.bundle.writer import pack
from onnxfp.report.attestation import sign_report
from onnxfp.report.checks import CommitmentRecord
from onnxfp.report.schemas import upgrade
from onnxfp.report.verification import SCHEMA
from onnxfp.trust.commitment import Commitment, read_opening
from onnxfp.trust.timestamp import check_token, load_authority, read_token

HERE = Path(__file__).parent
SALT = bytes(range(32)).hex()


def test_the_format_is_still_written_byte_for_byte(forge: Any) -> None:
    written = forge.fingerprint(forge.manifest(shape=(3, 4, 4), schema="onnxfp/bundle/1"))
    assert pack(written.members()) == (HERE / "derived-1.fp.npz").read_bytes()


def test_a_declared_lineage_is_still_written_byte_for_byte(forge: Any) -> None:
    ancestors = (AncestorResult("sha256:" + "01" * 32, 2), AncestorResult("sha256:" + "02" * 32, None))
    manifest = forge.manifest(shape=(3, 4, 4), schema="onnxfp/bundle/2")
    written = forge.fingerprint(replace(manifest, lineage=Lineage("declared", ancestors)))
    assert pack(written.members()) == (HERE / "derived-2.fp.npz").read_bytes()
    read = onnxfp.load(HERE / "derived-2.fp.npz", public_key=HERE / "test-key.pub.pem")
    assert read.manifest.lineage == Lineage("declared", ancestors)


def test_a_bundle_of_the_first_schema_declares_nothing() -> None:
    assert onnxfp.load(HERE / "derived-1.fp.npz").manifest.lineage == Lineage()


def test_a_report_of_the_second_schema_is_still_read() -> None:
    text = (HERE / "report-2.json").read_text(encoding="utf-8")
    report = Report.from_json(text)
    assert f"{report.to_json()}\n" == text
    assert (report.verdict, report.decision.descent) == (Verdict.MATCH, "excluded")
    (excluded,) = report.excluded_references
    assert excluded.same_as in {one.digest for one in report.verifier_references}
    assert len(report.descent.co_descendants) == 8
    assert report.base_check is not None
    assert report.base_check.n_matches == 200
    assert report.commitment == CommitmentRecord(
        read_opening(HERE / "base-2.fp.commitment.json").value, is_demanded=True, n_bundles=3
    )


def test_an_attestation_of_the_second_schema_is_still_signed_byte_for_byte(forge: Any) -> None:
    path = HERE / "attestation-2.json"
    report = onnxfp.load_attestation(path, public_key=HERE / "test-key.pub.pem").report
    assert report == Report.from_json((HERE / "report-2.json").read_text(encoding="utf-8"))
    assert sign_report(report, forge.signer, "int8.onnx", "base-1.fp.npz") == path.read_bytes()


def test_a_commitment_of_several_bundles_still_opens() -> None:
    path = HERE / "base-2.fp.commitment.json"
    opening = read_opening(path)
    assert opening == Commitment("onnxfp/commitment/2", onnxfp.load(HERE / "base-1.fp.npz").digest, SALT, 3)
    assert opening.to_json() == path.read_bytes()
    assert opening.value == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    opening.check(onnxfp.load(HERE / "base-1.fp.npz").digest, opening.value)


def test_a_bundle_of_the_first_release_still_convicts(models: Path) -> None:
    fingerprint = onnxfp.load(HERE / "base-1.fp.npz", public_key=HERE / "test-key.pub.pem")
    assert onnxfp.verify(models / "base.onnx", fingerprint).match_rate == 1.0
    assert onnxfp.verify(models / "stolen" / "int8.onnx", fingerprint).verdict is Verdict.MATCH
    assert onnxfp.verify(models / "independent" / "vgg_seed2.onnx", fingerprint).verdict is Verdict.NO_MATCH


def test_a_report_still_has_the_fields_of_the_first_release(models: Path) -> None:
    def fields(value: Any, of: Any) -> Any:
        if of is None:
            # The first release did not record it.
            return None
        if isinstance(value, dict):
            # What was added since is no business of a reader of the first release.
            return {key: fields(item, of[key]) for key, item in value.items() if key in of and key != "versions"}
        # A list that is empty there has no items to compare with.
        return (
            [fields(item, of[0]) for item in value[: len(of[:1])]] if isinstance(value, list) else type(value).__name__
        )

    report = onnxfp.verify(
        models / "stolen" / "int8.onnx",
        HERE / "base-1.fp.npz",
        references=[models / "independent" / "resnet.onnx"],
    )
    recorded = upgrade(json.loads((HERE / "report-1.json").read_text(encoding="utf-8")), SCHEMA)
    assert fields(json.loads(report.to_json()), recorded) == fields(recorded, recorded)
    assert report.to_dict()["suspect"]["digest"] == recorded["suspect"]["digest"]
    assert report.counts.n_asked == recorded["counts"]["n_asked"]


def test_a_report_of_the_first_release_is_still_read() -> None:
    text = (HERE / "report-1.json").read_text(encoding="utf-8")
    report = Report.from_json(text)
    assert report.verdict is Verdict.MATCH
    assert report.counts.n_matches == report.counts.n_asked == 200
    # Nothing of it is lost.
    assert json.loads(report.to_json()) == upgrade(json.loads(text), SCHEMA)


def test_an_attestation_of_the_first_release_is_still_believed() -> None:
    attestation = onnxfp.load_attestation(HERE / "attestation-1.json", public_key=HERE / "test-key.pub.pem")
    assert attestation.report == Report.from_json((HERE / "report-1.json").read_text(encoding="utf-8"))
    assert (attestation.suspect_name, attestation.bundle_name) == ("int8.onnx", "base-1.fp.npz")


def test_a_commitment_of_the_first_release_still_opens(models: Path) -> None:
    path = HERE / "base-1.fp.commitment.json"
    recorded = Report.from_json((HERE / "report-1-dated.json").read_text(encoding="utf-8"))
    assert recorded.commitment is not None
    # As anybody checks it, without this package.
    assert recorded.commitment.value == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    report = onnxfp.verify(
        models / "base.onnx",
        HERE / "base-1.fp.npz",
        time_evidence=onnxfp.TimeEvidence(commitment=recorded.commitment.value, opening=path),
    )
    assert report.commitment == recorded.commitment


def test_a_time_stamp_of_the_first_release_is_still_believed() -> None:
    recorded = Report.from_json((HERE / "report-1-dated.json").read_text(encoding="utf-8"))
    found = check_token(
        read_token(HERE / "base-1.fp.commitment.json.tsr"),
        [("commitment", read_opening(HERE / "base-1.fp.commitment.json").value)],
        load_authority(HERE / "tsa.pem"),
        # Long after the certificates ran out.
        now=datetime(2100, 1, 1, tzinfo=UTC),
    )
    assert found == recorded.timestamp
    assert json.loads(recorded.to_json())["timestamp"]["subject"] == "commitment"
