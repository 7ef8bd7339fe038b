"""What ``onnxfp verify --explain`` adds: checks and top-k evidence in words, for readers who do not know the method."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from onnxfp.report.verification import Report

_WIDTH, _INDENT = 100, 15


def print_explanation(report: Report) -> None:
    """Print every check that was made, the top-k evidence, and what a verdict says nothing about."""
    click.echo("\nChecked before the suspect was asked:")
    for number, check in enumerate(report.checks, 1):
        click.echo()
        _print_beside(f"{number}. {check.name}", check.found)
        _print_beside("   rules out", check.rules_out)
    click.echo("\nTop-k evidence:")
    click.echo()
    _print_top_k(report)
    click.echo("\nNot tested:\n")
    for sentence in report.gaps:
        click.echo(fill(sentence, _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False))


def _print_top_k(report: Report) -> None:
    from onnxfp.evidence.top_k import CAVEAT, NO_SCORES, NO_TOP_K

    if report.median_rank is None:
        click.echo(fill(NO_SCORES, _WIDTH))
        return
    click.echo(fill(CAVEAT, _WIDTH))
    click.echo()
    if not report.top_k:
        click.echo(fill(NO_TOP_K, _WIDTH))
    n_asked, n_classes = report.counts.n_asked, report.bundle.n_classes
    for entry in report.top_k:
        _print_beside(
            f"top {entry.k}",
            f"{entry.n_within} of {n_asked} recorded labels, {entry.rate:.1%}, are within the {entry.k} largest of the "
            f"suspect's {n_classes} scores. An unassociated model has {entry.null.rate:.1%} there on average, and as "
            f"many with a probability of {entry.p_value:.2g}, by {entry.null.source}.",
        )
    _print_beside(
        "median rank",
        f"{report.median_rank:g} of {n_classes}, where 1 is the largest score; ties and missing answers count against "
        "the recorded label.",
    )


def _print_beside(name: str, text: str) -> None:
    # Digests and keys stay whole, so that they can be copied.
    click.echo(
        fill(
            text,
            _WIDTH,
            initial_indent=name.ljust(_INDENT),
            subsequent_indent=" " * _INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
