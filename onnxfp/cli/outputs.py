"""Where a command writes: over nothing that it reads, and no two options into one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import click


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | str | None]) -> None:
    """Make sure, before the long work, that no output replaces an input, or another output.

    Args:
        outputs: Where each option writes, by the option's name; ``None`` where it is not given.
        inputs: Files and folders that the command reads, as the user named them or as it finds them itself.

    Raises:
        UsageError: An output is one of the inputs, under whatever name, or the file of another option.
    """
    written = [(option, path) for option, path in outputs.items() if path is not None]
    for (_, first), (option, path) in combinations(written, 2):
        if first.resolve() == path.resolve() or _is_one_file(first, path):
            raise click.UsageError(f"{option} would replace {path}, which another option writes")
    # What is not there cannot be an input.
    written = [(option, path) for option, path in written if path.exists()]
    if not written:
        return
    for file in (file for name in inputs if name is not None for file in _files(Path(name))):
        for option, path in written:
            if _is_one_file(path, file):
                raise click.UsageError(f"{option} would replace {path}, which is one of its inputs")


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
