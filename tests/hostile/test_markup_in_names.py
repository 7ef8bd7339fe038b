"""Names that are markup, scripts or escape codes: a suspect whose report page is written by its own file name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp.report.html.evaluation_page import render_evaluation
from onnxfp.report.html.verification_page import render_verification
from onnxfp.report.verification import Report

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def report() -> Report:
    return Report.from_json((GOLDEN / "report-1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fingerprint() -> onnxfp.Fingerprint:
    return onnxfp.load(GOLDEN / "base-1.fp.npz")


def test_the_page_of_a_verification_shows_it(report: Report, fingerprint: onnxfp.Fingerprint) -> None:
    name = "<script>alert(1)</script>\"'><b>{{ 7*7 }}\x1b[2J\u202e\udc80.onnx"
    hostile = replace(report, suspect=replace(report.suspect, input=name, output=name))
    page = render_verification(hostile, fingerprint, name, name)
    page.encode()
    assert "<script" not in page
    assert "<b>" not in page
    assert "{{ 7*7 }}" in page
    for steering in ("\x1b", "\u202e", "\udc80"):
        assert steering not in page
    assert r"\x1b[2J\u202e\udc80.onnx" in page


def test_the_page_of_an_evaluation_shows_it(make_evaluation: Any, fingerprint: onnxfp.Fingerprint) -> None:
    name = "<script>alert(1)</script> $x^$ \x1b[2J\u202e"
    lines = (
        (name, "own_variant", name, 0.5, 0.5, 0.9),
        (name + "2", "own_variant", name, 0.6, None, 0.9),
        ("prune-1", "variant", f"pruning {name}", 0.2, 1.0, 0.9),
        ("prune-2", "variant", f"pruning {name}", 0.4, 0.9, 0.9),
        (name, "reference", "unassociated 中文", None, 0.2, 0.9),
    )
    evaluation = make_evaluation(fingerprint, lines)
    rows = tuple(replace(row, error=name if row.error else "") for row in evaluation.rows)
    page = render_evaluation(replace(evaluation, rows=rows), fingerprint, name)
    page.encode()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 8
