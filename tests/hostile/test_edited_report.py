"""Reports that were edited: every number that a verdict rests on is computed again when one is read.

The editor is an auditor of bad will: each edit is read as a report, and as an attestation that the editor signed. The
report is of a MATCH with everything that can be in one: references, an excluded one, an ancestor, co-descendants, a
base check, probes and a commitment of three bundles.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onnxfp import Report, Verdict
from onnxfp.bundle.signing import Statement, sign_statement
from onnxfp.errors import ReportError, ReportFormatError, ReportVersionError
from onnxfp.evidence.verdict import judge
from onnxfp.report.attestation import ATTESTATION, parse_attestation
from onnxfp.report.wording import list_gaps
from tests.fuzz.limits import limited_time
from tests.fuzz.mutations import put_strange_values

GOLDEN = Path(__file__).parents[1] / "golden" / "report-2.json"
COUNT = max(1, int(os.environ.get("ONNXFP_MUTATIONS", "4000")) // 8)
STRANGE: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**63, 10**30, 0.0, -0.0, 0.5, 1.0, 5e-324, 1.7e308),
    *("", "MATCH", "\x1b[2J", "\ud800", [], [0], [[]], {}, {"a": 1}, ["a", "b"]),
)
DIGEST = "sha256:" + "0" * 64

Record = dict[str, Any]
Edit = Callable[[Record], object]


@pytest.fixture
def record() -> Record:
    value: Record = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return value


def attest(record: Record, forge: Any) -> bytes:
    """Sign whatever it is."""
    subjects = {
        name: record[key]["digest"].removeprefix("sha256:") for name, key in (("s", "suspect"), ("b", "bundle"))
    }
    predicate = {"public_key": forge.public_key, "report": record}
    return sign_statement(Statement(subjects, predicate), ATTESTATION, forge.signer)


def put(path: str, new: object) -> Edit:
    """Return the edit that puts a value at a path."""

    def edit(record: Record) -> None:
        value: Any = record
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for parent in parents:
            value = value[parent]
        value[last] = new

    return edit


def all_of(*edits: Edit) -> Edit:
    """Return several edits as one."""

    def edit(record: Record) -> None:
        for one in edits:
            one(record)

    return edit


def without_verifiers_pool(record: Record) -> None:
    """Take the references out, and make everything fit that follows from them by itself, but no p-value."""
    record.update(verifier_references=[], excluded_references=[], transferability=None)
    record.update(worst_transferability=None, margin=None)
    record["not_tested"].insert(record["not_tested"].index("owner of the key") + 1, "own references")


def small(record: Record) -> None:
    """Pretend that the base takes small images, and that small images were measured."""
    record["bundle"]["shape"] = [3, 8, 8]


NUMBERS: dict[str, Edit] = {
    "p-value": put("decision.p_value", 1e-12),
    "p-value within the policy": put("decision.p_value", 9e-7),
    "p-value on descent": put("decision.descent_p_value", 1e-20),
    "no p-value on descent": put("decision.descent_p_value", None),
    "null rate": put("null.rate", 0.1),
    "null upper": put("null.upper", 0.2),
    "null source": put("null.source", "a better measurement"),
    "fewest matches": put("decision.min_matches", 100),
    "no fewest matches": put("decision.min_matches", None),
    "verdict no": put("decision.verdict", "NO_MATCH"),
    "verdict open": put("decision.verdict", "INCONCLUSIVE"),
    "descent possible": put("decision.descent", "possible"),
    "descent none declared": put("decision.descent", "none declared"),
    "other reason": put("decision.reasons", ["remarkable"]),
    "no reason": put("decision.reasons", []),
    "second reason": put("decision.reasons", ["significant", "crafted"]),
    "match rate": put("match_rate", 0.9),
    "interval lower": put("interval.lower", 0.99),
    "interval upper": put("interval.upper", 1.0 - 1e-3),
    "more candidates": put("counts.n_candidates", 300),
    "more candidates than memory": put("counts.n_candidates", 2**63),
    "more classes than any": all_of(put("bundle.n_classes", 10**30), put("conditions.n_classes", 10**30)),
    "fewer matches": all_of(put("counts.n_matches", 190), put("match_rate", 0.95)),
    "transferability": put("transferability", 0.0),
    "worst transferability": put("worst_transferability", 0.1),
    "margin": put("margin", 1.0),
    "stricter alpha": put("policy.alpha", 1e-12),
    "policy with references": put("policy.min_examples", 201),
}


def close_gap(name: str) -> Edit:
    return lambda record: record["not_tested"].remove(name)


GAPS: dict[str, Edit] = {
    **{f"without {name}": close_gap(name) for name in ("order in time", "date", "owner of the key")},
    "without change": close_gap("change beyond recognition"),
    "one added": lambda record: record["not_tested"].append("base"),
    "order": lambda record: record["not_tested"].reverse(),
    "one twice": lambda record: record["not_tested"].append(record["not_tested"][-1]),
    "none": put("not_tested", []),
    "base check dropped": put("base_check", None),
    "probes dropped": put("probes", None),
    "linearity not known": put("probes.is_linear", None),
    "window not known": put("probes.window", None),
    "number of bundles dropped": put("commitment.n_bundles", None),
}

CONDITIONS: dict[str, Edit] = {
    "spectrum": put("conditions.spectrum", "pink"),
    "smaller epsilon": put("conditions.epsilon", 8 / 255),
    "fewer levels": all_of(put("conditions.epsilon", 8 / 255), put("probes.fed_epsilon", 8 / 255)),
    "more classes": put("conditions.n_classes", 100),
    "other sides": put("conditions.sides", [64, 64]),
    "no sides": put("conditions.sides", []),
    "small base": small,
    "base that is no image": put("bundle.layout", "OTHER"),
    "linear suspect": put("probes.is_linear", True),
    "blind suspect": put("probes.window", 0.5),
    "suspect blind to everything": put("probes.window", 0.0),
    "suspect fed more": put("probes.fed_epsilon", 0.25),
    "unusual base": put("bundle.grid.bounds.upper", 7.0),
    "unusual suspect": put("suspect.question.grid.bounds.upper", 7.0),
    "no grid of the base": put("bundle.grid", None),
    "linear": put("conditions.is_linear", True),
    "none": put("conditions", None),
    "none, said so": all_of(put("conditions", None), lambda record: record["not_tested"].append("numbers")),
    "window above one": put("probes.window", 1.5),
    "no question": put("suspect.question", None),
    "chosen input": put("suspect.question.fixed", [{"name": "x", "n_values": 2, "digest": DIGEST}]),
    "no value": put("suspect.question.fixed", [{"name": "x", "n_values": 0, "digest": DIGEST}]),
}

POOLS: dict[str, Edit] = {
    "references dropped": put("verifier_references", []),
    "reference matches less": put("verifier_references.0.n_matches", 1),
    "reference twice": lambda record: record["verifier_references"].append(record["verifier_references"][0]),
    "reference of more examples": put("verifier_references.0.n_examples", 2000),
    "owner's reference": put("owner_references", [{"digest": DIGEST, "n_matches": 10, "n_examples": 200}]),
    "suspect among the references": lambda record: record["verifier_references"][0].update(
        digest=record["suspect"]["digest"]
    ),
    "excluded for nothing": put("excluded_references.0.same_as", None),
    "excluded as an unknown one": put("excluded_references.0.same_as", DIGEST),
    "excluded in place of a smaller one": put("excluded_references.0.n_matches", 200),
    "excluded out of range": put("excluded_references.0.n_matches", -1),
    "ancestor matches more than all": put("descent.ancestors.0.n_matches", 201),
    "ancestor twice": lambda record: record["descent"]["ancestors"].append(record["descent"]["ancestors"][0]),
    "ancestor matches all": put("descent.ancestors.0.n_matches", 200),
    "from scratch with an ancestor": all_of(
        put("descent.is_from_scratch", True), put("descent.ancestors.0.declared_by", "owner")
    ),
    "co-descendant dropped": lambda record: record["descent"]["co_descendants"].pop(),
    "co-descendants dropped": put("descent.co_descendants", []),
    "co-descendant matches all": put("descent.co_descendants.0.n_matches", 200),
    "co-descendant matches less than none": put("descent.co_descendants.0.n_matches", -1),
    "co-descendant matches more than all": put("descent.co_descendants.0.n_matches", 201),
    "co-descendant twice": lambda record: record["descent"]["co_descendants"].append(
        record["descent"]["co_descendants"][0]
    ),
    "no descent": put("descent", {"is_from_scratch": False, "ancestors": [], "co_descendants": []}),
    "base check of another model": put("base_check.digest", DIGEST),
    "base check that failed": put("base_check.n_matches", 190),
    "base check of more than all": put("base_check.n_matches", 201),
    "one bundle": put("commitment.n_bundles", 1),
    "no bundle": put("commitment.n_bundles", 0),
    "fewer than no bundle": put("commitment.n_bundles", -3),
    "too many bundles": put("commitment.n_bundles", 10**6 + 1),
}

EDITS = {
    f"{group}: {name}": edit
    for group, edits in (("number", NUMBERS), ("gap", GAPS), ("conditions", CONDITIONS), ("pool", POOLS))
    for name, edit in edits.items()
}


def test_unedited_it_is_read(record: Record, forge: Any) -> None:
    report = Report.from_dict(record)
    assert (report.verdict, report.decision.descent) == (Verdict.MATCH, "excluded")
    assert parse_attestation(attest(record, forge)).report == report


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_refused(record: Record, forge: Any, name: str) -> None:
    changed = deepcopy(record)
    EDITS[name](changed)
    assert changed != record
    with pytest.raises(ReportFormatError, match="report") as raised:
        Report.from_dict(changed)
    assert raised.value.hint
    with pytest.raises(ReportError):
        parse_attestation(attest(changed, forge))


def test_other_tables_are_another_release(record: Record, forge: Any) -> None:
    record["tables"] = DIGEST
    with pytest.raises(ReportVersionError, match="does not have") as raised:
        Report.from_dict(record)
    assert raised.value.hint
    with pytest.raises(ReportVersionError):
        parse_attestation(attest(record, forge))


def test_references_that_decide_cannot_be_dropped(record: Record) -> None:
    """Their pool raised the p-value; without them everything fits but that."""
    report = Report.from_dict(record)
    first, *others = report.verifier_references
    references = (replace(first, n_matches=170), *others)
    rates = [one.rate for one in references]
    mean = sum(rates) / len(rates)
    assert report.grounds is not None
    judged = judge(replace(report.grounds, verifier=references), report.policy)
    honest = replace(
        report,
        verifier_references=references,
        excluded_references=(),
        transferability=mean,
        worst_transferability=max(rates),
        margin=report.match_rate - mean,
        null=judged.rate,
        decision=judged.decision,
    )
    honest = replace(honest, not_tested=list_gaps(honest))
    assert honest.decision.p_value > 10 * report.decision.p_value
    changed = json.loads(honest.to_json())
    assert Report.from_dict(changed) == honest
    without_verifiers_pool(changed)
    with pytest.raises(ReportFormatError, match="is not what the counts give"):
        Report.from_dict(changed)


def test_an_omission_without_a_trace_changes_no_verdict_and_opens_a_gap(record: Record) -> None:
    """Whoever was asked and left out in silence decided nothing: the report says that there are no references."""
    verdict = Report.from_dict(record).decision
    without_verifiers_pool(record)
    report = Report.from_dict(record)
    assert report.decision == verdict
    assert "own references" in report.not_tested
    record["descent"]["ancestors"] = []
    assert Report.from_dict(record).decision == verdict


def numbers_in(value: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Return the paths of all numbers in a record."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return [".".join(path)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in numbers_in(item, (*path, str(key)))]


# Nothing in a report says what these should be: whoever has bundle and suspect can ask again.
FREE = (
    *("top_k.", "median_rank", "policy.", "checks.0.", "suspect.question.", "probes.", "bundle.", "conditions.epsilon"),
    *("base_check.", "excluded_references.", "descent.", "verifier_references.", "checks.1.", "checks.2.", "checks.8."),
)


def test_no_number_that_follows_from_others_can_be_moved(record: Record) -> None:
    paths = [path for path in numbers_in(record) if not path.startswith(FREE)]
    assert {"match_rate", "null.rate", "decision.p_value", "counts.n_matches", "commitment.n_bundles"} <= set(paths)
    for path in paths:
        *parents, last = path.split(".")
        for direction in (1, -1):
            changed = deepcopy(record)
            value: Any = changed
            for parent in parents:
                value = value[int(parent) if parent.isdigit() else parent]
            key: Any = int(last) if last.isdigit() else last
            number = value[key]
            value[key] = number * (1 + direction / 100) if isinstance(number, float) else number + direction
            with pytest.raises(ReportFormatError):
                Report.from_dict(changed)


def test_no_strange_value_ends_in_a_crash(record: Record) -> None:
    rng = random.Random(20260105)
    for _ in range(COUNT):
        value = deepcopy(record)
        put_strange_values(value, STRANGE, rng)
        with limited_time():
            try:
                report = Report.from_dict(value)
            except ReportError:
                pass
            else:
                assert Report.from_json(report.to_json()) == report
