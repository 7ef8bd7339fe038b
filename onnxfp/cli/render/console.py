"""Tables on stdout, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from onnxfp.report.facts import Fact

COLOURS = {"MATCH": "red", "NO_MATCH": "green", "INCONCLUSIVE": "yellow"}
"""Colour of each verdict."""

_WIDTH = 100

Row = tuple[str, str]


def to_row(fact: Fact) -> Row:
    """Return a fact as a row of a table: the value with its notes, and each remark in a line of its own."""
    return fact.label, "\n".join((", ".join((fact.value, *fact.notes)), *fact.remarks))


def make_table(title: str, *, has_header: bool = False) -> Table:
    """Return an empty table."""
    from rich.table import Table

    return Table(
        title=title, title_justify="left", title_style="bold", show_header=has_header, box=None, pad_edge=False
    )


def make_rows(title: str, rows: Iterable[Row]) -> Table:
    """Return a table of names and values."""
    table = make_table(title)
    table.title_style = "table.title"
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def print_tables(*tables: Table) -> None:
    """Print tables, with an empty line between two."""
    from rich.console import Console

    # A fixed width where no terminal says otherwise, so that output in files and tests is the same everywhere.
    console = Console(highlight=False, markup=False)
    console = console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDTH)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
            console.print()
    for line in capture.get().rstrip().splitlines():
        click.echo(line.rstrip())
