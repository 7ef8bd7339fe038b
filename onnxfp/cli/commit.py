"""``onnxfp commit``: publish today that a fingerprint exists, without giving it away."""

from __future__ import annotations

from pathlib import Path

import click

from onnxfp.cli.options import FILE, json_option


@click.command()
@click.argument("fingerprint", type=FILE)
@click.option(
    "-o", "--output", type=FILE, default=None, help="Where the opening goes [default: beside, .commitment.json]."
)
@click.option(
    "--one-of",
    "n_bundles",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Number of bundles that you commit to, this one included; it corrects p-values.",
)
@json_option
def commit(fingerprint: Path, output: Path | None, n_bundles: int | None, as_json: bool) -> None:
    """Commit to FINGERPRINT: print a value to publish today, and write the opening that proves later what it meant.

    The value gives nothing of the fingerprint away. Whoever gets both files later checks them with `verify --commitment
    VALUE`.
    """
    import json

    import onnxfp

    path = output or onnxfp.opening_path(fingerprint)
    opening = onnxfp.commit(fingerprint, output=path, n_bundles=n_bundles)
    if as_json:
        record = {"commitment": opening.value, "opening_file": str(path), "fingerprint_file": str(fingerprint)}
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    click.echo(f"commitment  {opening.value}")
    click.echo("publish     this value, where its date can be shown later; it gives nothing of the fingerprint away.")
    click.echo(f"            Or have its date signed: onnxfp timestamp {path} --tsa URL")
    click.echo(f"keep        {path} and {fingerprint}")
    click.echo("            secret until you need them, and unchanged to the byte: the value proves nothing alone")
