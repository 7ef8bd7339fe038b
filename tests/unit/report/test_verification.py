"""The report's strict reader: every field present, known, of its type, and in agreement with the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onnxfp.errors import ReportFormatError, ReportVersionError
from onnxfp.evidence.verdict import Verdict
from onnxfp.report.parts import SuspectRecord
from onnxfp.report.schemas import upgrade
from onnxfp.report.verification import SCHEMA, Report
from onnxfp.report.wording import list_gaps

GOLDEN = Path(__file__).parents[2] / "golden" / "report-1.json"
RATES = {"rate": 0.7, "upper": 0.9, "source": ""}
GRADE: dict[str, Any] = {"k": 5, "n_within": 200, "rate": 1.0, "null": RATES, "p_value": 1e-4}
REFERENCE = {"digest": "sha256:" + "0" * 64, "n_matches": 1, "n_examples": 40}


@pytest.fixture
def record() -> dict[str, Any]:
    return upgrade(json.loads(GOLDEN.read_text(encoding="utf-8")), SCHEMA)


def put(value: dict[str, Any], path: str, new: object) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        value = value[parent]
    value[last] = new


def test_a_report_survives_the_round_trip() -> None:
    report = Report.from_json(GOLDEN.read_text(encoding="utf-8"))
    assert report.verdict is Verdict.MATCH
    assert report.signer.name is None
    assert Report.from_json(report.to_json()) == report
    assert dict(report.versions)["onnxfp"] == "0.1.0"
    named = replace(report, signer=replace(report.signer, name="alice"))
    named = replace(named, not_tested=list_gaps(named))
    assert Report.from_json(named.to_json()).signer.name == "alice"


def test_layout_does_not_matter(record: dict[str, Any]) -> None:
    report = Report.from_dict(record)
    assert Report.from_json(json.dumps(dict(reversed(record.items())))) == report
    record["match_rate"] = 1
    assert Report.from_json(json.dumps(record, ensure_ascii=False) + "\n") == report


@pytest.mark.parametrize(
    ("path", "new", "complaint"),
    [
        ("signer", [], "report.signer must be an object"),
        ("signer.public_key", "AB" * 32, "public_key"),
        ("signer.is_pinned", 1, "report.signer.is_pinned must be bool"),
        ("signer.name", 5, "report.signer.name must be str"),
        ("signer.name", "the key you demanded", "signer.name is no name"),
        ("signer.name", "\x1b[2J", "cannot be printed"),
        ("signer.nickname", "al", "report.signer.nickname is unknown"),
        ("bundle.digest", "sha1:00", "bundle.digest"),
        ("bundle.base_digest", "", "bundle.base_digest"),
        ("bundle.created", "yesterday", "bundle.created"),
        ("bundle.n_classes", 1, "bundle.n_classes"),
        ("suspect.digest", "ab" * 32, "suspect.digest"),
        ("suspect.input", "a\nb", "cannot be printed"),
        ("suspect.providers", "CPU", "report.suspect.providers must be"),
        ("counts.n_matches", 201, "matches <= answered"),
        ("counts.n_matches", 199, "match_rate contradicts counts"),
        ("counts.n_asked", True, "report.counts.n_asked must be int"),
        ("match_rate", 0.5, "match_rate contradicts counts"),
        ("match_rate", "1.0", "report.match_rate must be float"),
        ("interval.lower", 1.5, "interval"),
        ("owner_references", [{**REFERENCE, "n_matches": 41}], "reference is malformed"),
        ("owner_references", [{**REFERENCE, "n_matches": 0, "n_examples": 0}], "reference is malformed"),
        ("owner_references", [{**REFERENCE, "digest": "x"}], "reference is malformed"),
        ("owner_references", [REFERENCE], "transferability contradicts"),
        ("verifier_references", [], "transferability contradicts"),
        ("transferability", None, "transferability contradicts"),
        ("worst_transferability", 0.9, "worst_transferability contradicts"),
        ("margin", 0.1, "margin contradicts"),
        ("margin", None, "margin contradicts"),
        ("null.rate", 1.5, "null is out of range"),
        ("policy.alpha", 2.0, "alpha"),
        ("policy.confidence", 1, "confidence"),
        ("decision.p_value", -0.1, "p_value"),
        ("decision.p_value", 1e-5, "verdict contradicts"),
        ("decision.min_matches", 201, "min_matches"),
        ("decision.min_matches", None, "verdict contradicts"),
        ("decision.verdict", "NO_MATCH", "verdict contradicts"),
        ("decision.verdict", "GUILTY", "report.decision.verdict must be Verdict"),
        ("decision.reasons", ["\x1b[1;1H"], r"report.decision.reasons\[0\] must be"),
        ("checks", [{"name": "file"}], r"report.checks\[0\].found is missing"),
        ("checks", [], "checks are not those of a verification"),
        ("bundle.epsilon_levels", 0, "bundle.epsilon_levels contradicts"),
        ("bundle.epsilon_levels", 256, "bundle.epsilon_levels contradicts"),
        ("bundle.n_levels", 100, "bundle.epsilon_levels contradicts"),
        ("signer.is_pinned", True, "a check contradicts counts or signer"),
        ("top_k", [{**GRADE, "k": 6}], "top_k is not by ascending k"),
        ("top_k", [{**GRADE, "k": 10}], "top_k is not by ascending k"),
        ("top_k", [GRADE, GRADE], "top_k is not by ascending k"),
        ("top_k", [{**GRADE, "n_within": 201, "rate": 1.005}], "top_k counts contradict"),
        ("top_k", [{**GRADE, "n_within": -1, "rate": -0.005}], "top_k counts contradict"),
        ("top_k", [{**GRADE, "n_within": 199}], "a top_k rate contradicts its count"),
        ("top_k", [{**GRADE, "n_within": 99, "rate": 0.495}], "median_rank contradicts top_k"),
        ("top_k", [{**GRADE, "p_value": 1.1}], "a top_k null or p_value is out of range"),
        ("top_k", [{**GRADE, "null": {**RATES, "upper": -0.1}}], "a top_k null or p_value is out of range"),
        ("top_k", [{**GRADE, "n": 5}], r"report.top_k\[0\].n is unknown"),
        ("top_k", None, "report.top_k must be"),
        ("median_rank", None, "median_rank is missing beside top_k"),
        ("median_rank", 0, "median_rank is no median of ranks"),
        ("median_rank", 10.5, "median_rank is no median of ranks"),
        ("median_rank", 1.2, "median_rank is no median of ranks"),
        ("median_rank", 6, "median_rank contradicts top_k"),
        ("commitment", {"value": "sha256:" + "0" * 64, "is_demanded": True, "n_bundles": 2}, "checks are not those"),
        ("commitment", {"value": "sha256:" + "0" * 64, "is_demanded": True}, "report.commitment.n_bundles is missing"),
        ("commitment", {"value": "sha256:" + "0" * 64}, "report.commitment.is_demanded is missing"),
        ("timestamp", 5, "report.timestamp must be"),
        ("not_tested", [5], r"report.not_tested\[0\] must be"),
        ("not_tested", [], "not_tested is not what this verdict leaves open"),
        ("versions", [["onnxfp", "0.1.0"]], "report.versions must be an object"),
        ("versions", {"onnxfp": 1}, "report.versions"),
        ("extra", 1, "report.extra is unknown"),
    ],
)
def test_a_bad_field_is_named(record: dict[str, Any], path: str, new: object, complaint: str) -> None:
    put(record, path, new)
    with pytest.raises(ReportFormatError, match=complaint) as raised:
        Report.from_json(json.dumps(record))
    assert raised.value.hint
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("n_within", "median_rank", "complaint"),
    [
        ((99, 150), 7.5, ""),
        ((100, 150), 5.5, ""),
        ((100, 100), 50, ""),
        ((101, 150), 5, ""),
        ((99, 99), 11, ""),
        ((150, 99), 5, "top_k counts contradict"),
        ((99, 181), 7.5, "top_k counts contradict"),
        ((99, 150), 5, "median_rank contradicts"),
        ((99, 150), 10.5, "median_rank contradicts"),
        ((101, 150), 5.5, "median_rank contradicts"),
    ],
)
def test_grades_fit_each_other(
    record: dict[str, Any], n_within: tuple[int, ...], median_rank: float, complaint: str
) -> None:
    put(record, "bundle.n_classes", 100)
    put(record, "counts.n_answered", 180)
    put(record, "counts.n_matches", 0)
    put(record, "match_rate", 0.0)
    put(record, "interval.lower", 0.0)
    put(record, "margin", -record["transferability"])
    put(record, "decision.verdict", "INCONCLUSIVE")
    # What only a MATCH leaves open.
    record["not_tested"] = [gap for gap in record["not_tested"] if gap not in ("linearity", "input range")]
    grades = [{**GRADE, "k": k, "n_within": n, "rate": n / 200} for k, n in zip((5, 10), n_within, strict=True)]
    record.update(top_k=grades, median_rank=median_rank)
    if complaint:
        with pytest.raises(ReportFormatError, match=complaint):
            Report.from_dict(record)
    else:
        report = Report.from_dict(record)
        assert [grade.n_within for grade in report.top_k] == list(n_within)
        assert Report.from_json(report.to_json()) == report


def test_a_report_on_labels_alone_has_no_grades(record: dict[str, Any]) -> None:
    record.update(top_k=[], median_rank=None)
    report = Report.from_dict(record)
    assert (report.top_k, report.median_rank) == ((), None)
    # Of few classes, or where nothing is known of others, there is a median alone.
    assert Report.from_dict({**record, "median_rank": 3.5}).median_rank == 3.5


def test_every_field_is_needed(record: dict[str, Any]) -> None:
    for name in record:
        less = {key: value for key, value in record.items() if key != name}
        if name == "schema":
            continue
        with pytest.raises(ReportFormatError, match=f"report.{name} is missing"):
            Report.from_dict(less)


@pytest.mark.parametrize("schema", ["onnxfp/verification/9", "onnxfp/bundle/1", 1, None])
def test_another_schema_is_another_error(record: dict[str, Any], schema: object) -> None:
    with pytest.raises(ReportVersionError, match="schema") as raised:
        Report.from_dict({**record, "schema": schema})
    assert raised.value.hint


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: text[:-2],
        lambda text: text.replace('"margin": 0.825', '"margin": 0.825, "margin": 0.825'),
        lambda text: text.replace('"margin": 0.825', '"margin": NaN'),
        lambda text: text.replace('"n_asked": 200', '"n_asked": ' + "4" * 5000),
        lambda text: "[" * 100_000,
        lambda text: "\ufeff" + text,
    ],
)
def test_what_is_no_json_object_is_refused(edit: Callable[[str], str]) -> None:
    with pytest.raises(ReportFormatError, match="JSON") as raised:
        Report.from_json(edit(GOLDEN.read_text(encoding="utf-8")))
    assert raised.value.hint


def test_no_suspect_can_make_its_report_unreadable(record: dict[str, Any]) -> None:
    report = Report.from_dict(record)
    for name in ("\x1b[2J", "a\nb", "n" * 5000, "\u202e" * 5000):
        suspect = SuspectRecord(report.suspect.digest, report.suspect.providers, (), name, name)
        assert suspect.input.isprintable()
        hostile = replace(report, suspect=suspect)
        assert Report.from_json(hostile.to_json()) == hostile


DATED = Path(__file__).parents[2] / "golden" / "report-1-dated.json"


@pytest.fixture
def dated() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(DATED.read_text(encoding="utf-8"))
    return value


@pytest.mark.parametrize(
    ("path", "new", "complaint"),
    [
        ("commitment", None, "checks are not those"),
        ("commitment.value", "sha256:" + "0" * 64, "timestamp is about something else"),
        ("commitment.value", "0" * 64, "commitment.value is not a SHA-256 digest"),
        ("commitment.is_demanded", 1, "report.commitment.is_demanded must be bool"),
        ("timestamp", None, "checks are not those"),
        ("timestamp.subject", "bundle", "timestamp is about something else"),
        ("timestamp.subject", "suspect", "report.timestamp.subject must be"),
        ("timestamp.digest", "sha256:" + "0" * 64, "timestamp is about something else"),
        ("timestamp.existed_before", "yesterday", "timestamp is malformed"),
        ("timestamp.certificate", "sha1:0", "timestamp is malformed"),
        ("timestamp.authority", "\x1b[2J", "cannot be printed"),
        ("timestamp.extra", 1, "report.timestamp.extra is unknown"),
    ],
)
def test_what_shows_the_age_agrees_with_the_rest(dated: dict[str, Any], path: str, new: object, complaint: str) -> None:
    put(dated, path, new)
    with pytest.raises(ReportFormatError, match=complaint) as raised:
        Report.from_json(json.dumps(dated))
    assert raised.value.hint


@pytest.mark.parametrize(
    ("name", "n_checked"), [("labels", 199), ("seeds", 0), ("selection", 1), ("key", 1), ("file", 0)]
)
def test_a_check_that_was_not_made_of_everything_is_found(record: dict[str, Any], name: str, n_checked: int) -> None:
    next(check for check in record["checks"] if check["name"] == name)["n_checked"] = n_checked
    with pytest.raises(ReportFormatError, match="a check contradicts"):
        Report.from_dict(record)


def test_a_check_left_out_or_made_up_is_found(record: dict[str, Any]) -> None:
    for edit in (
        lambda checks: checks.pop(),
        lambda checks: checks.append(checks[0]),
        lambda checks: checks.reverse(),
        lambda checks: checks[4].update(name="labels of the owner"),
    ):
        changed = json.loads(json.dumps(record))
        edit(changed["checks"])
        with pytest.raises(ReportFormatError, match="checks are not those"):
            Report.from_dict(changed)
