"""Option types and groups that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FILE_OR_FOLDER = click.Path(path_type=Path)


class Numbers(click.ParamType[tuple[int, ...] | tuple[float, ...]]):
    """Comma-separated numbers: ``0.485,0.456,0.406``."""

    def __init__(self, of: type[int] | type[float]) -> None:
        self._of = of
        self.name = "int,..." if of is int else "float,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...] | tuple[float, ...]:
        """Return the numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._of(part) for part in str(value).split(","))
        except ValueError:
            self.fail(
                f"{value!r} is not a list of numbers such as {'3,224,224' if self._of is int else '0.5,0.5,0.5'}",
                param,
                ctx,
            )


FLOATS = Numbers(float)
INTEGERS = Numbers(int)


def input_options(command: Command) -> Command:
    """Add the options that describe how a model takes its input."""
    for option in reversed(
        (
            click.option(
                "--bounds",
                type=(float, float),
                default=None,
                metavar="LOWER UPPER",
                help="Range of the real input, before normalisation [default: 0 1; 0 255 for byte inputs].",
            ),
            click.option(
                "--mean", type=FLOATS, default=None, help="Subtracted outside the graph, one number or one a channel."
            ),
            click.option(
                "--std", type=FLOATS, default=None, help="Divides outside the graph, one number or one a channel."
            ),
            click.option(
                "--preprocessing",
                type=click.Choice(["imagenet", "inception", "cifar10"]),
                default=None,
                help="A usual --mean and --std by name.",
            ),
            click.option(
                "--input", "input_name", default=None, help="Graph input for the examples, if there are several."
            ),
            click.option(
                "--input-shape",
                type=INTEGERS,
                default=None,
                help="Shape of one example where the graph leaves it open.",
            ),
            click.option(
                "--output-name", default=None, help="Graph output with the classification, if there are several."
            ),
        )
    ):
        command = option(command)
    return command


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON record instead of the table.")(command)
