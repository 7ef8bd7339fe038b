"""Where passphrases come from: a file, the environment, or a question; never the command line, which others see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxfp.errors import KeyFileError

if TYPE_CHECKING:
    from onnxfp import Passphrase

VARIABLE = "ONNXFP_PASSPHRASE"


def ask_passphrase(file: Path | None) -> Passphrase:
    """Return a function that finds the passphrase of an encrypted key.

    Args:
        file: The file that holds it; ``None`` looks into the environment, then asks.
    """

    def ask(key: Path) -> bytes:
        return _given(file) or str(click.prompt(f"passphrase of {key}", hide_input=True, err=True)).encode()

    return ask


def new_passphrase(key: Path, file: Path | None) -> bytes:
    """Return the passphrase for a new key: from the file, the environment, or asked for twice."""
    return (
        _given(file)
        or str(click.prompt(f"new passphrase for {key}", hide_input=True, confirmation_prompt=True, err=True)).encode()
    )


def _given(file: Path | None) -> bytes:
    if file is None:
        return os.environ.get(VARIABLE, "").encode()
    try:
        with file.open("rb") as stream:
            passphrase, mode = stream.read().rstrip(b"\r\n"), os.fstat(stream.fileno()).st_mode
    except OSError as error:
        raise KeyFileError(f"the passphrase file {file} cannot be read: {error.strerror}") from error
    from onnxfp.files import warn_if_shared

    warn_if_shared("the passphrase file", file, mode)
    if not passphrase:
        raise KeyFileError(f"the passphrase file {file} is empty", hint="put the passphrase on its first line")
    return passphrase
