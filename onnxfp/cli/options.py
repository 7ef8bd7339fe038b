"""Option types and groups that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from onnxfp import InputGrid, Limits, ModelIO

Command = TypeVar("Command", bound=Callable[..., Any])


class Place(click.Path):
    """A path that is not empty, as that of a shell's variable that is not set would be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not os.fspath(value):
            self.fail("an empty path names no file", param, ctx)
        return super().convert(value, param, ctx)


FILE = Place(path_type=Path, dir_okay=False)
FOLDER = Place(path_type=Path, file_okay=False)
FILE_OR_FOLDER = Place(path_type=Path)


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


class Fixed(click.ParamType[tuple[str, tuple[float, ...]]]):
    """A graph input and its value: ``temperature=1.5``."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[float, ...]]:
        """Return the name and the numbers."""
        if isinstance(value, tuple):
            return value
        name, separator, numbers = str(value).partition("=")
        if not name or not separator:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        return name, FLOATS.convert(numbers, param, ctx)


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
            click.option(
                "--fix",
                "fixed",
                type=Fixed(),
                multiple=True,
                help="Value of another graph input, one number or all of them. Repeatable.",
            ),
        )
    ):
        command = option(command)
    return command


PREPROCESSING = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


def choose_grid(options: dict[str, Any]) -> InputGrid | None:
    """Return the grid that the input options describe, or ``None`` where they say nothing.

    Raises:
        UsageError: ``--mean`` or ``--std`` stand beside ``--preprocessing``.
    """
    bounds, mean, std, name = (options[key] for key in ("bounds", "mean", "std", "preprocessing"))
    if name is not None:
        if mean is not None or std is not None:
            raise click.UsageError("--preprocessing names a --mean and --std; give either the name or the numbers")
        mean, std = PREPROCESSING[name]
    if bounds is None and mean is None and std is None:
        return None
    mean = (0.0,) if mean is None else mean
    std = (1.0,) * len(mean) if std is None else std
    mean = mean * len(std) if len(mean) == 1 else mean
    from onnxfp import Bounds, InputGrid

    return InputGrid(Bounds(*(bounds or (0.0, 1.0))), mean=mean, std=std)


def read_model_io(options: dict[str, Any]) -> ModelIO:
    """Return the inputs and outputs that the options describe.

    Raises:
        UsageError: ``--mean`` or ``--std`` stand beside ``--preprocessing``.
        ParameterError: A value is outside its range.
    """
    from onnxfp import ModelIO

    return ModelIO(
        input_name=options["input_name"],
        input_shape=options["input_shape"],
        output_name=options["output_name"],
        fixed=dict(options["fixed"]),
        grid=choose_grid(options),
    )


def limit_options(command: Command) -> Command:
    """Add what a model may take."""
    for option in reversed(
        (
            click.option("--no-isolation", is_flag=True, help="Open models in this process, without limits."),
            click.option("--max-memory", type=float, default=None, help="GiB that a model may take [default: 4]."),
            click.option(
                "--max-seconds", type=float, default=None, help="Time to open a model, and for a batch [default: 300]."
            ),
        )
    ):
        command = option(command)
    return command


def read_limits(options: dict[str, Any]) -> Limits | None:
    """Return the limits that the options describe, or ``None`` for none.

    Raises:
        UsageError: Limits stand beside ``--no-isolation``.
        ParameterError: A limit lies outside its range.
    """
    from onnxfp.errors import ParameterError
    from onnxfp.execution import MAX_MEMORY_BYTES, MAX_SECONDS, Limits

    memory, seconds = options["max_memory"], options["max_seconds"]
    if options["no_isolation"]:
        if memory is not None or seconds is not None:
            raise click.UsageError("limits hold in a process of its own only; leave out --no-isolation")
        return None
    for option, value, most, unit in (
        ("--max-memory", memory, MAX_MEMORY_BYTES // 2**30, "GiB"),
        ("--max-seconds", seconds, MAX_SECONDS, "seconds"),
    ):
        # Written so that NaN is in no range.
        if value is not None and not 0 < value <= most:
            raise ParameterError(f"{option} must lie in (0, {most}] {unit}; found {value}")
    default = Limits()
    return Limits(
        default.memory_bytes if memory is None else ceil(memory * 2**30),
        default.seconds if seconds is None else seconds,
    )


def passphrase_options(command: Command) -> Command:
    """Add ``--passphrase-file``."""
    text = "File with the passphrase of the private key [default: $ONNXFP_PASSPHRASE, else asked for]."
    return click.option("--passphrase-file", type=FILE, default=None, help=text)(command)


def public_key_option(command: Command) -> Command:
    """Add ``--public-key``."""
    text = "The signer's public key, to demand: a PEM file, 64 hex digits, or a name that `onnxfp keys` knows."
    return click.option("--public-key", default=None, help=text)(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON record instead of the table.")(command)
