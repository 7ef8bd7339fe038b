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
_MAX_BYTES = 2**16


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
    from onnxfp.files import read_bounded, warn_if_shared

    hint = "give the file that holds the passphrase"
    # A password manager hands it over through a pipe.
    content = read_bounded(file, _MAX_BYTES, hint=hint, error=KeyFileError, allow_stream=True)
    passphrase = content.rstrip(b"\r\n")
    warn_if_shared("the passphrase file", file)
    if not passphrase:
        raise KeyFileError(f"the passphrase file {file} is empty", hint="put the passphrase on its first line")
    return passphrase
