"""What ``--report`` adds to a command: the outcome as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from onnxfp.cli.options import FILE

Command = TypeVar("Command", bound=Callable[..., Any])


def report_option(command: Command) -> Command:
    """Add ``--report``, which is refused before any work where the packages for pages are missing."""
    text = "Write the outcome as one self-contained HTML page."
    return click.option("--report", "page", type=FILE, default=None, callback=_require_packages, help=text)(command)


def _require_packages(_context: click.Context, _parameter: click.Parameter, page: Path | None) -> Path | None:
    """Return the page's path.

    Raises:
        MissingExtraError: A page is asked for, and the packages that draw it are not installed.
    """
    if page is not None:
        from onnxfp.extras import require_extra

        require_extra("report")
    return page


def write_page(page: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        FileError: It cannot be written.
    """
    from onnxfp.files import write_file

    write_file(page, text.encode())
