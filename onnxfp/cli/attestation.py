"""What ``onnxfp verify --attest`` adds: the report, signed, in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from onnxfp import Report


def attestation_writer(options: dict[str, Any], suspect: Path, fingerprint: Path) -> Callable[[Report], None]:
    """Return what is to be done with a report: signing and writing it, or nothing without ``--attest``.

    The key is opened now, so that a wrong passphrase is found before the long work and not after it.

    Args:
        options: The command's options.
        suspect: The suspect's file.
        fingerprint: The bundle file.

    Raises:
        UsageError: There is a key and nothing to sign.
        KeyFileError: The key cannot be opened.
    """
    path, key, passphrase_file = (options[name] for name in ("attest", "key", "passphrase_file"))
    if path is None:
        if key is not None or passphrase_file is not None:
            raise click.UsageError("--key and --passphrase-file sign an attestation; say where it goes with --attest")
        return lambda _: None
    import onnxfp
    from onnxfp.cli.passphrase import ask_passphrase

    signer = onnxfp.open_signer(key, passphrase=ask_passphrase(passphrase_file))

    def write(report: Report) -> None:
        from onnxfp.files import write_file

        write_file(path, onnxfp.attest(report, key=signer, suspect=suspect, fingerprint=fingerprint))

    return write
