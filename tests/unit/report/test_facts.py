"""Facts in words: the terminal and pages show the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import onnxfp
from onnxfp.cli.render.evaluation import print_evaluation
from onnxfp.cli.render.verification import print_report
from onnxfp.evidence.lineage import DescentStatus
from onnxfp.evidence.reference_pool import ExcludedReference
from onnxfp.report.evaluation import Evaluation
from onnxfp.report.facts import (
    AUDITOR,
    PLAIN,
    VERIFIER,
    YOU,
    describe_isolation,
    describe_key,
    describe_summary,
    describe_unasked,
    describe_usefulness,
    describe_verification,
)
from onnxfp.report.html.evaluation_page import render_evaluation
from onnxfp.report.html.template import STYLE
from onnxfp.report.html.verification_page import render_verification
from onnxfp.report.parts import FixedInput, Signer, SuspectRecord
from onnxfp.report.verification import Report
from onnxfp.types import Bounds, InputGrid
from tests.page_words import words_of

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def report() -> Report:
    return Report.from_json((GOLDEN / "report-1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fingerprint() -> onnxfp.Fingerprint:
    return onnxfp.load(GOLDEN / "base-1.fp.npz")


def test_terminal_and_page_show_the_same_verification(
    report: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report, Path("s.onnx"), as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    for fact in describe_verification(report, YOU, PLAIN):
        for text in (fact.label, fact.value, *fact.notes, *fact.remarks):
            assert text in printed, text
    words = words_of(render_verification(report, fingerprint, "s.onnx", "b"))
    facts = {fact.label: fact for fact in describe_verification(report, VERIFIER, STYLE)}
    for label in ("suspect", "signed by", "ran on", "matches", "match rate", "expected", "p-value"):
        for text in (f"{label[0].upper()}{label[1:]}", facts[label].value, *facts[label].notes):
            assert text.replace("'", "’") in words, text


def test_terminal_and_page_show_the_same_summary(
    make_evaluation: Callable[..., Evaluation], fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = make_evaluation(fingerprint)
    print_evaluation(evaluation, Path("b"))
    printed = " ".join(capsys.readouterr().out.split())
    words = words_of(render_evaluation(evaluation, fingerprint, "b"))
    usefulness = describe_usefulness(evaluation)
    for style, shown in ((PLAIN, printed), (STYLE, words)):
        for fact in (*describe_summary(evaluation, style), usefulness):
            for text in (fact.value, *fact.notes):
                assert text in shown, text


@pytest.mark.parametrize(
    ("name", "is_pinned", "words"),
    [
        (
            None,
            False,
            ("key not pinned: pass --public-key to require the owner's key", "key not pinned by the auditor"),
        ),
        ("alice", False, ("alice (in your trust store)", "alice (in the auditor's trust store)")),
        (None, True, ("the key you demanded", "the key the auditor demanded")),
        (
            "alice",
            True,
            (
                "alice (in your trust store); the key you demanded",
                "alice (in the auditor's trust store); the key the auditor demanded",
            ),
        ),
    ],
)
def test_what_is_known_of_a_key(name: str | None, is_pinned: bool, words: tuple[str, str]) -> None:
    signer = Signer("ab" * 32, is_pinned, name)
    assert (describe_key(signer, YOU), describe_key(signer, AUDITOR)) == words


@pytest.mark.parametrize(
    ("isolation", "words"),
    [
        ((), ""),
        (
            ("process", "time", "memory", "network"),
            "in a process of its own, with limited memory and time, without network",
        ),
        (("process", "time"), "in a process of its own, with limited time"),
        (("process", "memory"), "in a process of its own, with limited memory"),
        (("process", "network"), "in a process of its own, without network"),
    ],
)
def test_isolation_reads_as_one_phrase(isolation: tuple[str, ...], words: str) -> None:
    assert describe_isolation(isolation) == words


def test_a_recorded_suspect_was_not_run_here(report: Report) -> None:
    def facts(changed: Report) -> dict[str, str]:
        return {fact.label: fact.value for fact in describe_verification(changed, YOU, PLAIN)}

    recorded = replace(report, suspect=SuspectRecord.of_responses(report.suspect.digest), median_rank=None, top_k=())
    assert facts(recorded)["ran on"] == "not here: the verifier asked, and recorded the responses"
    assert facts(recorded)["top k"] == "none: the suspect gives labels only"
    free = replace(report, suspect=replace(report.suspect, isolation=()))
    assert facts(free)["ran on"].endswith("; in your own process, without limits")


def test_what_is_missing_is_named(make_evaluation: Callable[..., Evaluation], fingerprint: onnxfp.Fingerprint) -> None:
    alone = make_evaluation(fingerprint, (("v", "variant", "noise", 1, 1.0, 0.9),))
    assert describe_unasked(alone) == ""
    assert {fact.label: fact.notes[-1] for fact in describe_summary(alone, PLAIN)}["AUC"] == "needs references"
    others = make_evaluation(fingerprint, (("r", "reference", "unassociated", None, 0.2, 0.9),))
    assert describe_summary(others, PLAIN)[0].notes[-1] == "needs modified copies"


@pytest.fixture(scope="module")
def full() -> Report:
    """A report with everything that one of schema 2 can hold."""
    return Report.from_json((GOLDEN / "report-2.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("not examined", "common descent was not examined: siblings by descent may match as copies do"),
        ("none declared", "the owner declares that the base has no ancestor"),
        ("possible", "descent from a declared ancestor may explain the matches"),
        ("excluded", "descent from the declared ancestors hardly explains the matches"),
    ],
)
def test_terminal_and_page_say_how_common_descent_stands(
    full: Report,
    fingerprint: onnxfp.Fingerprint,
    capsys: pytest.CaptureFixture[str],
    status: DescentStatus,
    words: str,
) -> None:
    changed = replace(full, decision=replace(full.decision, descent=status))
    for shown in both(changed, fingerprint, capsys):
        assert status in shown
        assert words in shown


def both(report: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return the words of the terminal and those of the page."""
    print_report(report, Path("s.onnx"), as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    return printed, words_of(render_verification(report, fingerprint, "s.onnx", "b"))


def test_terminal_and_page_show_ancestors_and_co_descendants(
    full: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    (ancestor,), related = full.descent.ancestors, full.descent.co_descendants
    counts = ", ".join(str(one.n_matches) for one in related)
    for shown in both(full, fingerprint, capsys):
        assert f"ancestor {ancestor.digest[:23]}..., declared by the verifier: {ancestor.n_matches} matches" in shown
        assert f"8 co-descendants: {counts} matches" in shown
    unasked = replace(full, descent=replace(full.descent, ancestors=(replace(ancestor, n_matches=None),)))
    for shown in both(unasked, fingerprint, capsys):
        assert "declared by the verifier: not asked" in shown


def test_terminal_and_page_show_how_the_suspect_was_fed(
    full: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    question = full.suspect.question
    assert question is not None
    for shown in both(full, fingerprint, capsys):
        assert "NCHW (3, 32, 32) float32, bounds 0 to 1" in shown
        assert "the suspect tells 100% of the range apart" in shown
        assert "the suspect is not nearly linear" in shown
        assert "the base takes" not in shown
    fixed = FixedInput("steps", 3, "sha256:" + "ab" * 32)
    other = replace(question, layout="NHWC", shape=(32, 32, 3), grid=InputGrid(Bounds(0, 255)), fixed=(fixed,))
    assert full.probes is not None
    changed = replace(
        full,
        suspect=replace(full.suspect, question=other),
        probes=replace(full.probes, window=0.5, is_linear=True),
    )
    for shown in both(changed, fingerprint, capsys):
        assert "NHWC (32, 32, 3) float32, bounds 0 to 255" in shown
        assert "the base takes NCHW (3, 32, 32)" in shown
        assert f"input steps fixed by the verifier: 3 different values, {fixed.digest}" in shown
        assert "the suspect tells 50% of the range apart" in shown
        assert "the suspect is nearly linear" in shown


def test_terminal_and_page_show_the_references_that_do_not_count(
    full: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    (alike,) = full.excluded_references
    assert alike.same_as is not None
    changed = replace(full, excluded_references=(alike, ExcludedReference("sha256:" + "cd" * 32, 20, 1, None)))
    for shown in both(changed, fingerprint, capsys):
        assert f"not counted: {alike.digest[:23]}... answers as {alike.same_as[:23]}... does" in shown
        assert f"not counted: sha256:{'cd' * 8}... cannot answer the task, it gave 1 classes" in shown


def test_terminal_and_page_show_that_the_base_was_asked(
    full: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "asked by the verifier: 200 of 200 recorded labels hold"
    for shown in both(full, fingerprint, capsys):
        assert words in shown
    for shown in both(replace(full, base_check=None), fingerprint, capsys):
        assert words not in shown


def test_terminal_and_page_call_a_match_a_common_lineage(
    full: Report, fingerprint: onnxfp.Fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, page = both(full, fingerprint, capsys)
    assert "as proof of a common lineage." in printed
    assert "s.onnx has a common lineage with the base model." in page
    assert "One of the two derives from the other, or both from a common ancestor" in page
    for shown in (printed, page):
        assert "is derived from the base" not in shown
