"""What ``onnxfp verify --explain`` adds: each check in words, for readers who do not know the method."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from onnxfp.evidence.report import Report

_WIDTH, _INDENT = 100, 15


def print_explanation(report: Report) -> None:
    """Print every check that was made before the suspect was asked, and what a verdict says nothing about."""
    click.echo("\nChecked before the suspect was asked:")
    for number, check in enumerate(report.checks, 1):
        click.echo()
        _print_beside(f"{number}. {check.name}", check.found)
        _print_beside("   rules out", check.rules_out)
    click.echo("\nNot tested:\n")
    for sentence in report.not_tested:
        click.echo(fill(sentence, _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False))


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
