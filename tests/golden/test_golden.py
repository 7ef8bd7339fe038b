"""Files that earlier releases wrote: read and believed for ever.

``derived-1.fp.npz`` is what the test key signs in memory, byte for byte; ``base-1.fp.npz`` is a fingerprint of
``models/base.onnx`` as generated, ``report-1.json`` a report on ``models/stolen/int8.onnx``, and ``attestation-1.json``
that report attested with the test key. A schema that is added
gets files of its own beside these; these never change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnxfp
from onnxfp import Report, Verdict
from onnxfp.bundle.packing import pack

HERE = Path(__file__).parent


def test_the_format_is_still_written_byte_for_byte(forge: Any) -> None:
    assert pack(forge.fingerprint().members()) == (HERE / "derived-1.fp.npz").read_bytes()


def test_a_bundle_of_the_first_release_still_convicts(models: Path) -> None:
    fingerprint = onnxfp.load(HERE / "base-1.fp.npz", public_key=HERE / "test-key.pub.pem")
    assert onnxfp.verify(models / "base.onnx", fingerprint).match_rate == 1.0
    assert onnxfp.verify(models / "stolen" / "int8.onnx", fingerprint).verdict is Verdict.MATCH
    assert onnxfp.verify(models / "independent" / "vgg_seed2.onnx", fingerprint).verdict is Verdict.NO_MATCH


def test_a_report_still_has_the_fields_of_the_first_release(models: Path) -> None:
    def fields(value: Any, of: Any) -> Any:
        if isinstance(value, dict):
            # What was added since is no business of a reader of the first release.
            return {key: fields(item, of[key]) for key, item in value.items() if key in of and key != "versions"}
        return [fields(item, of[0]) for item in value[:1]] if isinstance(value, list) else type(value).__name__

    report = onnxfp.verify(
        models / "stolen" / "int8.onnx",
        HERE / "base-1.fp.npz",
        references=[models / "independent" / "resnet.onnx"],
    )
    recorded = json.loads((HERE / "report-1.json").read_text(encoding="utf-8"))
    assert fields(json.loads(report.to_json()), recorded) == fields(recorded, recorded)
    assert report.to_dict()["suspect"]["digest"] == recorded["suspect"]["digest"]
    assert report.counts.n_asked == recorded["counts"]["n_asked"]


def test_a_report_of_the_first_release_is_still_read() -> None:
    text = (HERE / "report-1.json").read_text(encoding="utf-8")
    report = Report.from_json(text)
    assert report.verdict is Verdict.MATCH
    assert report.counts.n_matches == report.counts.n_asked == 200
    # Nothing of it is lost.
    written, recorded = json.loads(report.to_json()), json.loads(text)
    assert written == recorded


def test_an_attestation_of_the_first_release_is_still_believed() -> None:
    attestation = onnxfp.load_attestation(HERE / "attestation-1.json", public_key=HERE / "test-key.pub.pem")
    assert attestation.report == Report.from_json((HERE / "report-1.json").read_text(encoding="utf-8"))
    assert (attestation.suspect_name, attestation.bundle_name) == ("int8.onnx", "base-1.fp.npz")
