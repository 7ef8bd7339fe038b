"""``onnxfp timestamp``: have an authority sign that a fingerprint exists today."""

from __future__ import annotations

from pathlib import Path

import click

from onnxfp.cli.options import FILE, json_option


@click.command()
@click.argument("file", type=FILE)
@click.option("--tsa", metavar="URL", required=True, help="The time-stamp authority (RFC 3161, http or https).")
@click.option(
    "--tsa-certificate",
    type=FILE,
    default=None,
    help="Its certificates (PEM), with its root, to check the answer with.",
)
@click.option("-o", "--output", type=FILE, default=None, help="Where the token goes [default: FILE with .tsr].")
@click.option("--max-seconds", type=float, default=30.0, show_default=True, help="Time that the authority has.")
@json_option
def timestamp(
    file: Path, tsa: str, tsa_certificate: Path | None, output: Path | None, max_seconds: float, as_json: bool
) -> None:
    """Obtain an RFC 3161 time-stamp of FILE, a fingerprint or the opening of a commitment.

    The authority learns a digest only. With the opening, the fingerprint stays secret and the commitment gets its date.
    `verify --timestamp` checks the token offline.
    """
    import json

    import onnxfp

    path = output or onnxfp.timestamp_path(file)
    onnxfp.timestamp(file, tsa=tsa, tsa_certificate=tsa_certificate, output=path, seconds=max_seconds)
    subject = "commitment" if onnxfp.is_opening(file) else "bundle"
    if as_json:
        record = {"subject": subject, "timestamp_file": str(path), "is_checked": tsa_certificate is not None}
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    click.echo(f"time-stamp  {path}, of the {subject} {file}")
    click.echo("keep        it beside the file, and the authority's certificates: verify --timestamp needs both")
