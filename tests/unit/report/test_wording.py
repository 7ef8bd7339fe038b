"""Reasons and gaps of a verdict in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from onnxfp.evidence.verdict import Reason, Verdict
from onnxfp.report.checks import CommitmentRecord
from onnxfp.report.parts import BaseCheck, Probes
from onnxfp.report.verification import Report
from onnxfp.report.wording import Gap, describe_gap, explain_reason, list_gaps
from onnxfp.trust.timestamp import Timestamp

GOLDEN = Path(__file__).parents[2] / "golden" / "report-1.json"
VALUE = "sha256:" + "12" * 32
STAMP = Timestamp("bundle", VALUE, "2026-01-03T00:00:00Z", "CN=TSA", VALUE, "1.2.3", "a1")


@pytest.fixture
def report() -> Report:
    return Report.from_dict(json.loads(GOLDEN.read_text(encoding="utf-8")))


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_is_a_sentence(reason: Reason, report: Report) -> None:
    sentence = explain_reason(reason, report)
    assert sentence.endswith(".")
    assert sentence[0].isupper() or sentence.startswith(f"{report.counts.n_matches} of ")


@pytest.mark.parametrize("gap", get_args(Gap))
def test_every_gap_is_a_sentence(gap: Gap, report: Report) -> None:
    sentence = describe_gap(gap, report)
    assert sentence.endswith(".")
    assert sentence[0].isupper()


def test_the_date_is_described_by_what_shows_it(report: Report) -> None:
    assert "the time in the bundle is its signer's claim." in describe_gap("date", report)
    opened = replace(report, commitment=CommitmentRecord(VALUE, is_demanded=True))
    assert "before its commitment was published" in describe_gap("date", opened)
    dated = describe_gap("date", replace(opened, timestamp=STAMP))
    assert "existed before 2026-01-03T00:00:00Z" in dated
    assert "revoked" in dated


def test_a_gap_closes_when_something_was_looked_at(report: Report) -> None:
    assert {"base", "linearity", "input range", "common descent", "numbers"} <= set(list_gaps(report))
    looked = replace(
        report,
        base_check=BaseCheck(report.bundle.base_digest, 200),
        probes=Probes(is_linear=False, window=1.0, fed_epsilon=0.06),
        decision=replace(report.decision, descent="excluded"),
    )
    assert not {"base", "linearity", "input range", "common descent"} & set(list_gaps(looked))
    is_base = replace(report, suspect=replace(report.suspect, digest=report.bundle.base_digest))
    assert "base" not in list_gaps(is_base)
    # What a MATCH alone leaves open.
    no_match = replace(report, decision=replace(report.decision, verdict=Verdict.NO_MATCH))
    assert not {"linearity", "input range"} & set(list_gaps(no_match))


def test_an_opening_that_states_no_number_leaves_one_open(report: Report) -> None:
    for n_bundles, is_open in ((None, True), (3, False)):
        opened = replace(report, commitment=CommitmentRecord(VALUE, True, n_bundles))
        assert ("other commitments" in list_gaps(opened)) is is_open
