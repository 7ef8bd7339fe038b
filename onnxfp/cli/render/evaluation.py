"""An evaluation as tables on stdout: variants family by family, references, what does not count, the summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxfp.cli.render.console import COLOURS, make_rows, make_table, print_tables, to_row

if TYPE_CHECKING:
    from rich.table import Table

    from onnxfp.report.evaluation import Evaluation, Row, Usefulness


def print_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Print an evaluation.

    Args:
        evaluation: The outcome.
        path: The bundle's file.
    """
    tables = [_rows(f"{path}: {evaluation.suite} suite", evaluation.variants, evaluation.usefulness)]
    tables += [_rows("unassociated models", evaluation.references, evaluation.usefulness)] * bool(evaluation.references)
    most = f"{100 * evaluation.usefulness.max_loss:.0f}"
    title = f"broken: lost more than {most} points of {evaluation.usefulness.measure}, and do not count"
    tables += [_rows(title, evaluation.broken, evaluation.usefulness)] * bool(evaluation.broken)
    tables += [_failures(evaluation.failed)] * bool(evaluation.failed)
    tables.append(_summary(evaluation))
    print_tables(*tables)


def _rows(title: str, rows: Sequence[Row], usefulness: Usefulness) -> Table:
    from rich.text import Text

    table = make_table(title, has_header=True)
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
            Text(verdict, style=COLOURS[verdict]),
        )
    return table


def _failures(rows: Iterable[Row]) -> Table:
    table = make_table("could not be asked", has_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row.name, row.error)
    return table


def _summary(evaluation: Evaluation) -> Table:
    from onnxfp.report.facts import PLAIN, describe_summary, describe_usefulness, describe_verdicts

    verdicts, uncounted = describe_verdicts(evaluation)
    facts = (*describe_summary(evaluation, PLAIN), verdicts, describe_usefulness(evaluation), uncounted)
    table = make_rows("summary", map(to_row, facts))
    table.title_style = "bold"
    return table
