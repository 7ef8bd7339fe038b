"""The page of one evaluation: which thefts a fingerprint catches, whom it would accuse, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxfp.evidence.verdict import Verdict
from onnxfp.report.html.contact_sheet import page_sheet
from onnxfp.report.html.evaluation_figures import draw_curves, draw_plane, draw_pruning, draw_strip
from onnxfp.report.html.formatting import percent
from onnxfp.report.html.provenance import Line, check_same, describe_fingerprint, describe_policy, describe_versions
from onnxfp.report.html.template import Fact, render

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.evidence.statistics import Estimate
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
    n = fingerprint.n_examples
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
        facts=_facts(evaluation),
        unasked=_unasked(evaluation),
        strip=draw_strip(evaluation, strip, n),
        pruning=draw_pruning(evaluation),
        planes=planes,
        groups=_by_family(intact),
        broken=evaluation.broken,
        failed=evaluation.failed,
        has_top5=any(row.outcome and row.outcome.top5_match_rate is not None for row in evaluation.rows),
        max_loss=f"{100 * evaluation.usefulness.max_loss:.0f}",
        measure_usefulness=_usefulness(evaluation),
        not_tested=_not_tested(evaluation),
        sheet=page_sheet(fingerprint),
        provenance=(
            *describe_fingerprint(fingerprint, bundle, evaluation.signer),
            ("Usefulness", (Line(_usefulness(evaluation)), *_code(evaluation.usefulness.digest))),
            (
                "Null",
                (
                    Line(
                        f"an unassociated model matches {percent(evaluation.null.rate)}, one in a hundred "
                        f"{evaluation.null.upper:.0%}"
                    ),
                    Line(evaluation.null.source),
                ),
            ),
            ("Policy", (Line(describe_policy(evaluation.policy)),)),
            (
                "Intervals",
                (
                    Line(
                        f"match rates: exact, {evaluation.policy.confidence:.0%}; summary: bootstrap over "
                        f"models, {evaluation.summary.n_resamples} resamples, "
                        f"{evaluation.summary.confidence:.0%}"
                    ),
                ),
            ),
            ("Evaluated with", (Line(describe_versions(evaluation.versions)),)),
        ),
    )


def _by_family(rows: Sequence[Row]) -> Groups:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.family, []).append(row)
    return list(groups.items())


def _facts(evaluation: Evaluation) -> tuple[Fact, ...]:
    summary = evaluation.summary

    def rate(estimate: Estimate | None) -> str:
        return "unknown" if estimate is None else percent(estimate.value)

    def score(estimate: Estimate | None) -> str:
        return "unknown" if estimate is None else f"{estimate.value:.2f}".replace("-", "−")

    def between(estimate: Estimate | None, *, worst: str = "", as_rate: bool = True) -> tuple[str, ...]:
        if estimate is None:
            missing = _unasked(evaluation) or "needs references"
            return (missing if summary.n_references == 0 else "needs modified copies",)
        ends = (estimate.interval.lower, estimate.interval.upper)
        text = " to ".join(percent(end) if as_rate else f"{end:.2f}".replace("-", "−") for end in ends)
        return (f"{summary.confidence:.0%} interval {text}", *([f"at worst {worst}"] if worst else []))

    return (
        Fact(
            "Robustness: copies match",
            rate(summary.robustness),
            between(summary.robustness, worst=rate(summary.worst_robustness)),
        ),
        Fact(
            "Transferability: others match",
            rate(summary.transferability),
            between(summary.transferability, worst=rate(summary.worst_transferability)),
        ),
        Fact(
            "Uniqueness score",
            score(summary.uniqueness_score),
            between(summary.uniqueness_score, worst=score(summary.worst_uniqueness_score), as_rate=False),
        ),
        Fact("Copies above every reference", rate(summary.true_match_rate), between(summary.true_match_rate)),
        Fact("AUC", score(summary.auc), between(summary.auc, as_rate=False)),
        Fact("ARUC", score(summary.aruc), between(summary.aruc, as_rate=False)),
    )


def _unasked(evaluation: Evaluation) -> str:
    """Return that every reference failed, or nothing where one answered or none was given."""
    n_given = sum(row.role == "reference" for row in evaluation.rows)
    if evaluation.summary.n_references or not n_given:
        return ""
    if n_given == 1:
        return "the one reference could not be asked"
    return f"none of the {n_given} references could be asked"


def _usefulness(evaluation: Evaluation) -> str:
    usefulness = evaluation.usefulness
    what = "accuracy" if usefulness.measure == "accuracy" else "agreement with the base’s labels"
    where = {"labelled data": "labelled inputs", "data": "inputs without labels", "noise": "synthetic inputs"}
    base = f"; the base itself {percent(usefulness.base_rate)}" if usefulness.measure == "accuracy" else ""
    return f"{what} on {usefulness.n_inputs} {where[usefulness.source]}{base}"


def _not_tested(evaluation: Evaluation) -> tuple[str, ...]:
    gaps = [
        "Thefts of another kind than those listed, or several at once: the intervals speak for these copies alone.",
        "Worse models than the worst that was measured: the intervals of worst cases are open on that side.",
    ]
    if evaluation.summary.n_references == 0:
        why = _unasked(evaluation) or "no references were given"
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


def _code(digest: str | None) -> tuple[Line, ...]:
    return () if digest is None else (Line(digest, is_code=True),)
