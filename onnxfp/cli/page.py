"""What ``--report`` adds to a command: the outcome as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from onnxfp.cli.options import FILE

Command = TypeVar("Command", bound=Callable[..., Any])

_LONGEST_START = 512


def report_option(command: Command) -> Command:
    """Add ``--report``."""
    text = "Write the outcome as one self-contained HTML page."
    return click.option("--report", "page", type=FILE, default=None, help=text)(command)


def check_page_path(page: Path | None) -> None:
    """Make sure, before the long work, that a page can be written and replaces nothing but an older page.

    Args:
        page: Where it goes, or ``None`` for no page.

    Raises:
        FileError: Its folder is missing, or there is a file that is no page.
    """
    if page is None:
        return
    from onnxfp.errors import FileError

    if page.exists():
        if page.is_file() and not _is_page(page):
            raise FileError(
                f"{page} exists and is no HTML page; it is not replaced",
                hint="give the name of a new file, or of a page",
            )
    elif not page.parent.is_dir():
        raise FileError(f"the folder of {page} does not exist", hint="make it, or give another name")


def write_page(page: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        FileError: It cannot be written.
    """
    from onnxfp.bundle.atomic import write_file

    write_file(page, text.encode())


def _is_page(path: Path) -> bool:
    from onnxfp.errors import FileError

    try:
        with path.open("rb") as stream:
            start = stream.read(_LONGEST_START)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}", hint="give the name of a new file") from error
    return not start.strip() or start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
