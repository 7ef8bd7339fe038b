"""The record of an evaluation: written, read back, and refused when its numbers contradict each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from onnxfp.errors import ReportFormatError, ReportVersionError
from onnxfp.evaluation.scoring import summarise
from onnxfp.evidence.null import NullRate, ReferenceCount
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.evidence.verdict import Counts, Policy, Verdict
from onnxfp.report.evaluation import MAX_LOSS, Evaluation, Outcome, Role, Row, Usefulness
from onnxfp.report.parts import BundleRecord, Signer

DIGEST = "sha256:" + "ab" * 32


def row(name: str, role: Role, n_matches: int, usefulness: float, *, is_broken: bool = False) -> Row:
    outcome = Outcome(
        digest=DIGEST,
        counts=Counts(n_matches, 100, 100, 120),
        match_rate=n_matches / 100,
        interval=clopper_pearson(n_matches, 100, 0.95),
        p_value=1e-9 if n_matches > 80 else 0.5,
        verdict=Verdict.MATCH if n_matches > 80 else Verdict.NO_MATCH,
        top5_match_rate=None,
        usefulness=usefulness,
    )
    return Row(name, role, "a family", 0.5, outcome, is_broken, "", 1.5)


@pytest.fixture
def evaluation() -> Evaluation:
    rows = (
        row("prune-global-0.5", "variant", 95, 0.9),
        row("prune-global-0.8", "variant", 10, 0.2, is_broken=True),
        row("query-jpeg-90", "query", 85, 0.8),
        Row("int8-static", "variant", "int8", 8, None, False, "it cannot be\x1b[31m quantised", 0.1),
        row("other", "reference", 20, 0.85),
    )
    return Evaluation(
        signer=Signer("ab" * 32, False, None),
        bundle=BundleRecord(DIGEST, DIGEST, "ltrc", 10, 16, 256, "2026-01-02T03:04:05Z"),
        suite="quick",
        usefulness=Usefulness("accuracy", "labelled data", 500, 0.9, MAX_LOSS, DIGEST),
        rows=rows,
        summary=summarise(rows, 0.95),
        owner_references=(ReferenceCount(DIGEST, 3, 100),),
        null=NullRate(0.2, 0.4, "a measurement"),
        min_matches=81,
        policy=Policy(),
        versions=(("onnxfp", "0.1.0"), ("numpy", "2.0")),
    )


def test_what_was_written_is_read_back(evaluation: Evaluation) -> None:
    assert Evaluation.from_json(evaluation.to_json()) == evaluation
    assert json.loads(evaluation.to_json())["schema"] == "onnxfp/evaluation/2"


def test_broken_and_failed_rows_do_not_count(evaluation: Evaluation) -> None:
    summary = evaluation.summary
    assert [r.name for r in evaluation.variants] == ["prune-global-0.5", "query-jpeg-90"]
    assert [r.name for r in evaluation.references] == ["other"]
    assert [r.name for r in evaluation.broken] == ["prune-global-0.8"]
    assert [r.name for r in evaluation.failed] == ["int8-static"]
    assert (summary.n_variants, summary.n_references, summary.n_broken, summary.n_failed) == (2, 1, 1, 1)
    assert (summary.n_convicted, summary.n_accused) == (2, 0)
    assert summary.robustness is not None
    assert summary.robustness.value == pytest.approx(0.9)


def test_what_a_library_says_cannot_steer_a_terminal(evaluation: Evaluation) -> None:
    assert evaluation.failed[0].error.isprintable()
    assert "x" * 5000 not in Row("x" * 5000, "variant", "f", None, None, False, "e", 0.0).name


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set("rows", 0, "outcome", "match_rate", to=0.5), "match rate contradicts"),
        (_set("rows", 0, "outcome", "usefulness", to=1.5), "outside"),
        (_set("rows", 0, "outcome", "interval", "lower", to=0.99), "interval"),
        (_set("rows", 0, "outcome", "digest", to="sha256:1"), "digest"),
        (_set("rows", 0, "error", to="failed"), "both an outcome and an error"),
        (_set("rows", 3, "error", to=""), "or neither"),
        (_set("rows", 1, "is_broken", to=False), "counts other rows"),
        (_set("summary", "robustness", "value", to=0.99), "robustness contradicts"),
        (_set("summary", "transferability", to=None), "transferability contradicts"),
        (_set("rows", 0, "role", to="friend"), "role"),
        (_set("rows", 0, "name", to="\x1b[31m"), "cannot be printed"),
        (_set("extra", to=1), "unknown"),
        (_set("signer", "public_key", to="zz"), "public_key"),
        (_set("usefulness", "digest", to="zz"), "digest"),
    ],
)
def test_an_edited_record_is_refused(
    evaluation: Evaluation, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    record = evaluation.to_dict()
    change(record)
    with pytest.raises(ReportFormatError, match=complaint):
        Evaluation.from_json(json.dumps(record, default=list))


def test_another_schema_and_no_json_are_refused(evaluation: Evaluation) -> None:
    with pytest.raises(ReportVersionError, match="onnxfp/evaluation/9"):
        Evaluation.from_json(evaluation.to_json().replace("onnxfp/evaluation/2", "onnxfp/evaluation/9"))
    with pytest.raises(ReportFormatError, match="not JSON"):
        Evaluation.from_json("{")
