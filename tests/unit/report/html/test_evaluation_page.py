"""The page of one evaluation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp.report.evaluation import Evaluation
from onnxfp.report.html.evaluation_page import render_evaluation
from tests.page_words import words_of

GOLDEN = Path(__file__).parents[3] / "golden"
Make = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def fingerprint() -> onnxfp.Fingerprint:
    return onnxfp.load(GOLDEN / "base-1.fp.npz")


def test_it_says_which_thefts_are_caught(make_evaluation: Make, fingerprint: onnxfp.Fingerprint) -> None:
    evaluation = make_evaluation(fingerprint)
    page = render_evaluation(evaluation, fingerprint, "base.fp.npz")
    words = words_of(page)
    assert "This fingerprint convicts 5 of 6 modified copies and accuses none of 2 unassociated models." in words
    assert "Not convicted, though still useful: jpeg-75 (71.0%)" in words
    assert "broken-graph it failed" in words
    for name in ("prune-global-0.2", "int8-dynamic", "resnet", "prune-global-0.8"):
        assert words.count(name) == 1, name
    broken = words[words.index("These lost more than 15 points of accuracy") :]
    assert "prune-global-0.8" in broken
    assert "prune-global-0.6" not in broken
    for fact in (
        "accuracy on 2000 labelled inputs; the base itself 86.0%",
        evaluation.bundle.digest,
        "2000 resamples",
        "Many unassociated models: 2 were",
    ):
        assert fact in words, fact
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert page == render_evaluation(evaluation, fingerprint, "base.fp.npz")


def test_what_surprises_stands_out(make_evaluation: Make, fingerprint: onnxfp.Fingerprint) -> None:
    lines = (
        ("escapes", "variant", "pruning", 0.5, 0.3, 0.86),
        ("caught", "variant", "pruning", 0.3, 1.0, 0.86),
        ("accused", "reference", "unassociated", None, 0.9, 0.86),
        ("spared", "reference", "unassociated", None, 0.1, 0.86),
    )
    page = render_evaluation(make_evaluation(fingerprint, lines), fingerprint, "b")
    names = ("escapes", "caught", "accused", "spared")
    rows = {name: row for row in re.findall(r"<tr>.*?</tr>", page) for name in names if f">{name}<" in row}
    assert {name: "match tone" in row for name, row in rows.items()} == {
        "escapes": True,
        "caught": False,
        "accused": True,
        "spared": False,
    }
    assert '<section class="verdict match"' in page
    assert "accuses 1 of 2 unassociated models" in words_of(page)


@pytest.mark.parametrize(
    ("lines", "least", "sentences", "absent"),
    [
        ((), 150, ["No modified copy could be measured", "No series of pruned copies"], "Copies against"),
        (
            (("v", "variant", "noise", 1, 1.0, 0.9),),
            None,
            [
                "convicts 0 of 1 modified copies.",
                "no count of this fingerprint’s 200 examples",
                "needs references",
                "No unassociated models were given",
            ],
            "Copies against",
        ),
        (
            (("r", "reference", "unassociated", None, 0.2, 0.9),),
            150,
            ["accuses none of 1 unassociated model.", "needs modified copies"],
            "Copies against",
        ),
    ],
)
def test_what_is_missing_is_said(
    make_evaluation: Make,
    fingerprint: onnxfp.Fingerprint,
    lines: Any,
    least: int | None,
    sentences: list[str],
    absent: str,
) -> None:
    words = words_of(render_evaluation(make_evaluation(fingerprint, lines, least), fingerprint, "b"))
    for sentence in sentences:
        assert sentence in words, sentence
    assert absent not in words


@pytest.mark.parametrize(
    ("n_failed", "why"), [(1, "the one reference could not be asked"), (3, "none of the 3 references could be asked")]
)
def test_references_that_failed_were_given(
    make_evaluation: Make, fingerprint: onnxfp.Fingerprint, n_failed: int, why: str
) -> None:
    failed = [(f"r{i}", "reference", "unassociated", None, None, 0.0) for i in range(n_failed)]
    evaluation = make_evaluation(fingerprint, (("v", "variant", "noise", 1, 1.0, 0.9), *failed))
    words = words_of(render_evaluation(evaluation, fingerprint, "b"))
    # Above the figures, in those that need references, and among what was not tested.
    assert f"{why[0].upper()}{why[1:]}. How often the innocent would be accused" in words
    assert words.count(why) >= 2
    assert "were given" not in words
    assert "needs references" not in words


def test_top_five_and_noise_are_told(make_evaluation: Make, fingerprint: onnxfp.Fingerprint) -> None:
    evaluation = make_evaluation(fingerprint)
    without = tuple(
        replace(row, outcome=row.outcome and replace(row.outcome, top5_match_rate=None)) for row in evaluation.rows
    )
    assert "Top 5" not in words_of(render_evaluation(replace(evaluation, rows=without), fingerprint, "b"))
    rows = tuple(
        replace(
            row, outcome=row.outcome and replace(row.outcome, top5_match_rate=None if row.name == "fp16" else 0.875)
        )
        for row in evaluation.rows
    )
    usefulness = replace(evaluation.usefulness, measure="agreement", source="noise", base_rate=1.0, digest=None)
    words = words_of(render_evaluation(replace(evaluation, rows=rows, usefulness=usefulness), fingerprint, "b"))
    assert "Top 5" in words
    assert "87.5%" in words
    assert "agreement with the base’s labels on 2000 synthetic inputs" in words
    assert "their usefulness was measured on synthetic ones" in words
