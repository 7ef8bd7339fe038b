"""The page of one evaluation: which thefts a fingerprint catches, whom it would accuse, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxfp.evidence.verdict import Verdict
from onnxfp.report.facts import (
    Fact,
    describe_null,
    describe_policy,
    describe_summary,
    describe_unasked,
    describe_usefulness,
    describe_versions,
)
from onnxfp.report.html.contact_sheet import page_sheet
from onnxfp.report.html.evaluation_figures import draw_curves, draw_plane, draw_pruning, draw_strip
from onnxfp.report.html.provenance import check_same, fingerprint_rows, to_rows
from onnxfp.report.html.template import STYLE, render

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.report.evaluation import Evaluation, Row

Groups = list[tuple[str, list["Row"]]]


def render_evaluation(evaluation: Evaluation, fingerprint: Fingerprint, bundle: str) -> str:
    """Return the page of an evaluation.

    Args:
        evaluation: The outcome.
        fingerprint: What was evaluated.
        bundle: Name of its file; any text.

    Raises:
        ParameterError: The evaluation is of another fingerprint.
    """
    check_same(evaluation.bundle.digest, fingerprint.digest)
    n, usefulness = fingerprint.n_examples, describe_usefulness(evaluation)
    digest = evaluation.usefulness.digest
    data = [] if digest is None else [Fact("data", digest, is_code=True)]
    intervals = Fact(
        "intervals",
        f"match rates: exact, {evaluation.policy.confidence:.0%}; summary: bootstrap over models, "
        f"{evaluation.summary.n_resamples} resamples, {evaluation.summary.confidence:.0%}",
    )
    intact = [row for row in evaluation.rows if not row.is_broken and row.outcome is not None]
    strip = _by_family(intact)
    if evaluation.broken:
        strip.append(("broken copies", list(evaluation.broken)))
    planes = [figure for figure in (draw_plane(evaluation), draw_curves(evaluation, n)) if figure is not None]
    return render(
        "evaluation.html",
        evaluation=evaluation,
        summary=evaluation.summary,
        tone="match" if evaluation.summary.n_accused else "plain",
        n_examples=n,
        n_expected=round(evaluation.null.rate * n),
        escaped=[row for row in evaluation.variants if row.outcome and row.outcome.verdict is not Verdict.MATCH],
        facts=describe_summary(evaluation, STYLE),
        unasked=describe_unasked(evaluation),
        strip=draw_strip(evaluation, strip, n),
        pruning=draw_pruning(evaluation),
        planes=planes,
        groups=_by_family(intact),
        broken=evaluation.broken,
        failed=evaluation.failed,
        has_top5=any(row.outcome and row.outcome.top5_match_rate is not None for row in evaluation.rows),
        max_loss=f"{100 * evaluation.usefulness.max_loss:.0f}",
        measure_usefulness=usefulness.value.replace("'", "’"),
        not_tested=_not_tested(evaluation),
        sheet=page_sheet(fingerprint),
        provenance=(
            *fingerprint_rows(fingerprint, bundle, evaluation.signer),
            *to_rows(
                [
                    usefulness,
                    *data,
                    describe_null(evaluation.null),
                    describe_policy(evaluation.policy, STYLE),
                    intervals,
                    describe_versions("evaluated with", evaluation.versions),
                ]
            ),
        ),
    )


def _by_family(rows: Sequence[Row]) -> Groups:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.family, []).append(row)
    return list(groups.items())


def _not_tested(evaluation: Evaluation) -> tuple[str, ...]:
    gaps = [
        "Thefts of another kind than those listed, or several at once: the intervals speak for these copies alone.",
        "Worse models than the worst that was measured: the intervals of worst cases are open on that side.",
    ]
    if evaluation.summary.n_references == 0:
        why = describe_unasked(evaluation) or "no references were given"
        gaps.insert(0, f"How often an unassociated model would be accused: {why}.")
    elif evaluation.summary.n_references < 8:
        gaps.append(
            f"Many unassociated models: {evaluation.summary.n_references} were, and one that is not among them may "
            "match more."
        )
    if evaluation.usefulness.source == "noise":
        gaps.append(
            "What the copies are worth on real inputs: their usefulness was measured on synthetic ones, where "
            "agreement falls faster than accuracy."
        )
    return tuple(gaps)
