"""An evaluation as tables on stdout: variants family by family, references, what does not count, the summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from onnxfp.evidence.statistics import Estimate
    from onnxfp.report.evaluation import Evaluation, Row, Usefulness

_COLOURS = {"MATCH": "red", "NO_MATCH": "green", "INCONCLUSIVE": "yellow"}
_WIDTH = 100
_SUMMARY = (
    ("robustness", "robustness", "worst_robustness"),
    ("transferability", "transferability", "worst_transferability"),
    ("uniqueness score", "uniqueness_score", "worst_uniqueness_score"),
)


def print_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Print an evaluation.

    Args:
        evaluation: The outcome.
        path: The bundle's file.
    """
    from rich.console import Console

    # A fixed width where no terminal says otherwise, so that output in files and tests is the same everywhere.
    console = Console(highlight=False, markup=False)
    console = console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDTH)
    tables = [_rows(f"{path}: {evaluation.suite} suite", evaluation.variants, evaluation.usefulness)]
    tables += [_rows("unassociated models", evaluation.references, evaluation.usefulness)] * bool(evaluation.references)
    most = f"{100 * evaluation.usefulness.max_loss:.0f}"
    title = f"broken: lost more than {most} points of {evaluation.usefulness.measure}, and do not count"
    tables += [_rows(title, evaluation.broken, evaluation.usefulness)] * bool(evaluation.broken)
    tables += [_failures(evaluation.failed)] * bool(evaluation.failed)
    tables.append(_summary(evaluation))
    with console.capture() as capture:
        for table in tables:
            console.print(table)
            console.print()
    for line in capture.get().rstrip().splitlines():
        click.echo(line.rstrip())


def _table(title: str, *, has_header: bool) -> Table:
    from rich.table import Table

    return Table(
        title=title, title_justify="left", title_style="bold", show_header=has_header, box=None, pad_edge=False
    )


def _rows(title: str, rows: Sequence[Row], usefulness: Usefulness) -> Table:
    from rich.text import Text

    table = _table(title, has_header=True)
    table.add_column("model", overflow="fold")
    for name in ("match rate", "interval", "top 5", usefulness.measure, "p-value"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        outcome = row.outcome
        if outcome is None:
            continue
        verdict = outcome.verdict.value
        table.add_row(
            row.name,
            f"{outcome.match_rate:.1%}",
            f"{outcome.interval.lower:.0%} to {outcome.interval.upper:.0%}",
            "-" if outcome.top5_match_rate is None else f"{outcome.top5_match_rate:.1%}",
            f"{outcome.usefulness:.1%}",
            f"{outcome.p_value:.1g}",
            Text(verdict, style=_COLOURS[verdict]),
        )
    return table


def _failures(rows: Iterable[Row]) -> Table:
    table = _table("could not be asked", has_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row.name, row.error)
    return table


def _summary(evaluation: Evaluation) -> Table:
    summary, policy = evaluation.summary, evaluation.policy
    table = _table("summary", has_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, mean, worst in _SUMMARY:
        text = _describe(getattr(summary, mean), summary.confidence)
        at_worst = getattr(summary, worst)
        table.add_row(name, text if at_worst is None else f"{text}; worst {at_worst.value:.1%}")
    table.add_row("AUC", _describe(summary.auc, summary.confidence, as_share=False))
    table.add_row("ARUC", _describe(summary.aruc, summary.confidence, as_share=False))
    table.add_row("true matches", _describe(summary.true_match_rate, summary.confidence, note=" at zero false matches"))
    least = "no count" if evaluation.min_matches is None else f"{evaluation.min_matches} matches or more"
    n_asked = next((row.outcome.counts.n_asked for row in evaluation.rows if row.outcome), 0)
    table.add_row(
        "verdicts",
        f"{summary.n_convicted} of {summary.n_variants} variants and {summary.n_accused} of {summary.n_references} "
        f"references are a MATCH: {least} of {n_asked}, at {policy.alpha:g}",
    )
    table.add_row("usefulness", _describe_usefulness(evaluation.usefulness))
    table.add_row("not counted", f"{summary.n_broken} broken, {summary.n_failed} failed")
    return table


def _describe(estimate: Estimate | None, confidence: float, *, as_share: bool = True, note: str = "") -> str:
    if estimate is None:
        return "unknown without variants and references to compare"
    value, lower, upper = estimate.value, estimate.interval.lower, estimate.interval.upper
    if as_share:
        return f"{value:.1%}{note}, {confidence:.0%} interval {lower:.1%} to {upper:.1%}"
    return f"{value:.3f}, {confidence:.0%} interval {lower:.3f} to {upper:.3f}"


def _describe_usefulness(usefulness: Usefulness) -> str:
    if usefulness.measure == "accuracy":
        return f"accuracy on {usefulness.n_inputs} labelled inputs, where the base has {usefulness.base_rate:.1%}"
    if usefulness.source == "data":
        return f"agreement with the base on {usefulness.n_inputs} inputs of the data"
    return (
        f"agreement with the base on {usefulness.n_inputs} synthetic inputs, where it falls far faster than on real "
        "ones; --data takes real ones"
    )
