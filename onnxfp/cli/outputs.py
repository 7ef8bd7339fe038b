"""Where a command writes: over nothing that it reads or did not write, and no two options into one file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import click

# By option: what an older output of its own is, and what it holds. Bundles and keys ask for --force instead.
_OWN = {
    "--report": ("an HTML page", re.compile(rb"\A\s*(<!doctype html|<html)", re.IGNORECASE)),
    "--attest": ("an attestation", re.compile(rb'\A\s*\{\s*"payload"')),
    "--json": ("an evaluation", re.compile(rb'"schema": ?"onnxfp/evaluation/')),
    "--image": ("a PNG image", re.compile(rb"\A\x89PNG\r\n\x1a\n")),
}
_MAX_READ = 2**24


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | str | None]) -> None:
    """Make sure, before the long work, that outputs can be written, and replace nothing but older outputs.

    Args:
        outputs: Where each option writes, by the option's name; ``None`` where it is not given.
        inputs: Files and folders that the command reads, as the user named them or as it finds them itself.

    Raises:
        UsageError: An output is one of the inputs, under whatever name, or the file of another option.
        FileError: Its folder is missing, or there is another file than the option writes.
    """
    written = [(option, path) for option, path in outputs.items() if path is not None]
    for (_, first), (option, path) in combinations(written, 2):
        if first.resolve() == path.resolve() or _is_one_file(first, path):
            raise click.UsageError(f"{option} would replace {path}, which another option writes")
    # What is not there cannot be an input.
    existing = [(option, path) for option, path in written if path.exists()]
    for file in (file for name in inputs if existing and name is not None for file in _files(Path(name))):
        for option, path in existing:
            if _is_one_file(path, file):
                raise click.UsageError(f"{option} would replace {path}, which is one of its inputs")
    for option, path in written:
        if option in _OWN:
            _check_place(path, *_OWN[option])


def _check_place(path: Path, what: str, pattern: re.Pattern[bytes]) -> None:
    from onnxfp.errors import FileError
    from onnxfp.files import read_start

    if not path.exists():
        # What a link without a target leads to is the writing's own matter.
        if not (path.parent.is_dir() or path.is_symlink()):
            raise FileError(f"the folder of {path} does not exist", hint="make it first, or give another name")
        return
    if not path.is_file():
        return
    content = read_start(path, _MAX_READ, hint="give the name of a new file")
    if content.strip() and not pattern.search(content):
        raise FileError(
            f"{path} exists and is not {what}; it is not replaced",
            hint=f"give the name of a new file, or of {what}",
        )


def _files(path: Path) -> list[Path]:
    try:
        # A folder stands for its models.
        return [path, *path.glob("*.onnx")] if path.is_dir() else [path]
    except OSError:
        return [path]


def _is_one_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        # One of them is not there, or is no file at all: a key in digits, a published value, a name of the trust store.
        return False
