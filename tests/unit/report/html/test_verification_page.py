"""The page of one verification."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onnxfp
from onnxfp.evidence.null import ReferenceCount
from onnxfp.evidence.top_k import CAVEAT, NO_SCORES, NO_TOP_K
from onnxfp.evidence.verdict import Counts, Decision, Verdict
from onnxfp.report.html.contact_sheet import page_sheet
from onnxfp.report.html.formatting import chance, scientific
from onnxfp.report.html.verification_page import render_verification
from onnxfp.report.verification import Report
from onnxfp.types import InputSpec
from tests.page_words import words_of

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture(scope="module")
def report() -> Report:
    return Report.from_json((GOLDEN / "report-1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fingerprint() -> onnxfp.Fingerprint:
    return onnxfp.load(GOLDEN / "base-1.fp.npz")


def test_it_says_what_came_out_and_of_what(report: Report, fingerprint: onnxfp.Fingerprint) -> None:
    page = render_verification(report, fingerprint, "int8.onnx", "base-1.fp.npz")
    words = words_of(page)
    assert "MATCH int8.onnx has a common lineage with the base model." in words
    assert f"gave the base model’s own answer to {report.counts.n_matches}." in words
    for fact in (
        report.suspect.digest,
        report.bundle.digest,
        report.bundle.base_digest,
        report.signer.public_key,
        "key not pinned by the verifier",
        "LTRC, white seeds",
        f"onnxfp {onnxfp.__version__}",
        scientific(report.decision.p_value),
        chance(report.decision.p_value),
        *report.suspect.isolation,
    ):
        assert fact in words, fact
    assert all(text.replace("'", "’") in words for text in report.gaps)
    assert all(check.rules_out in words for check in report.checks)
    assert page == render_verification(report, fingerprint, "int8.onnx", "base-1.fp.npz")


@pytest.mark.parametrize(
    ("verdict", "n_matches", "least", "sentences"),
    [
        (Verdict.NO_MATCH, 40, 150, ["There is no sign that x has a common lineage", "150 would have been a match"]),
        (
            Verdict.INCONCLUSIVE,
            140,
            150,
            ["Whether x has a common lineage with the base model remains open", "demands 1e-06 or less"],
        ),
        (Verdict.INCONCLUSIVE, 200, None, ["no count suffices", "no count of 200 examples reaches it"]),
    ],
)
def test_every_verdict_has_its_words(
    report: Report,
    fingerprint: onnxfp.Fingerprint,
    verdict: Verdict,
    n_matches: int,
    least: int | None,
    sentences: list[str],
) -> None:
    reference = ReferenceCount("sha256:" + "ab" * 32, 31, 200)
    changed = replace(
        report,
        counts=Counts(n_matches, 190 if n_matches < 190 else 200, 200, 230),
        decision=Decision(verdict, 0.3, None, least, "not examined", ("remarkable",)),
        owner_references=(reference,),
        verifier_references=(reference, reference),
    )
    words = words_of(render_verification(changed, fingerprint, "x", "b"))
    for sentence in (*sentences, "kept 200 of 230 examples", "31 of 200 15.5%"):
        assert sentence in words, sentence
    assert ("It answered 190" in words) == (n_matches < 190)


def test_grades_are_shown_with_what_they_are_not(report: Report, fingerprint: onnxfp.Fingerprint) -> None:
    def words(changed: Report) -> str:
        return words_of(render_verification(changed, fingerprint, "x", "b"))

    grade = report.top_k[0]
    row = f"top 5 200 of 200 100.0% {grade.null.rate:.1%} {100 * grade.null.upper:.0f}% {scientific(grade.p_value)}"
    assert row in words(report)
    assert "median rank of 1 among the suspect’s 10 scores" in words(report)
    assert CAVEAT in words(report)
    without = words(replace(report, top_k=()))
    assert NO_TOP_K in without
    assert CAVEAT in without
    assert "top 5" not in without
    by_labels = words(replace(report, top_k=(), median_rank=None))
    assert NO_SCORES in by_labels
    assert "median rank" not in by_labels


def test_a_page_may_show_and_nothing_else(report: Report, fingerprint: onnxfp.Fingerprint) -> None:
    page = render_verification(report, fingerprint, "int8.onnx", "b")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].replace("&#39;", "'") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    rest = page.replace(style[0], "")
    assert "<script" not in rest
    assert " style=" not in rest
    assert set(re.findall(r"""(?:src|href)=["']([^"']{5})""", rest)) <= {"data:", "#matc"}
    assert "http" not in rest.replace('http-equiv="', "")


def test_the_sheet_holds_examples_as_they_are(fingerprint: onnxfp.Fingerprint) -> None:
    sheet = page_sheet(fingerprint)
    assert sheet is not None
    assert (sheet.n_shown, sheet.is_reduced) == (40, False)
    with Image.open(io.BytesIO(base64.b64decode(sheet.uri.removeprefix("data:image/png;base64,")))) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (sheet.height, sheet.width, 4) == (4 * 34 - 2, 10 * 34 - 2, 4)
    assert (pixels[:32, :32, :3] == fingerprint.levels[0].transpose(1, 2, 0)).all()
    assert (pixels[-32:, -32:, :3] == fingerprint.levels[-1].transpose(1, 2, 0)).all()
    assert not pixels[:, 32:34].any()


@pytest.mark.parametrize(
    ("shape", "layout", "n_shown", "is_reduced"),
    [((1, 200, 100), "NCHW", 6, True), ((20, 10, 4), "NHWC", 6, False), ((7,), "NC", 0, False)],
)
def test_examples_of_other_shapes(
    forge: Any, report: Report, shape: tuple[int, ...], layout: Any, n_shown: int, is_reduced: bool
) -> None:
    manifest = forge.manifest(shape=shape)
    channel_axis = 2 if layout == "NHWC" else 0
    base = replace(
        manifest.base,
        input=InputSpec("x", shape, "float32", layout, None),
        spatial_axes={"NCHW": (1, 2), "NHWC": (0, 1)}.get(layout, ()),
    )
    made = forge.fingerprint(replace(manifest, base=base, grid=replace(manifest.grid, channel_axis=channel_axis)))
    sheet = page_sheet(made)
    with pytest.raises(onnxfp.OnnxfpError, match="about the fingerprint sha256"):
        render_verification(report, made, "s", "b")
    about = replace(report, bundle=replace(report.bundle, digest=made.digest))
    page = render_verification(about, made, "s", "b")
    if sheet is None:
        assert n_shown == 0
        assert "are no images, and are not shown" in page
    else:
        assert (sheet.n_shown, sheet.is_reduced) == (n_shown, is_reduced)
        assert max(sheet.width / 6, sheet.height) <= 70
        assert ("smaller than they are" in page) == is_reduced
