"""What ``--report`` adds to a command: the outcome as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from onnxfp.cli.options import FILE

Command = TypeVar("Command", bound=Callable[..., Any])


def report_option(command: Command) -> Command:
    """Add ``--report``."""
    text = "Write the outcome as one self-contained HTML page."
    return click.option("--report", "page", type=FILE, default=None, help=text)(command)


def write_page(page: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        FileError: It cannot be written.
    """
    from onnxfp.files import write_file

    write_file(page, text.encode())
