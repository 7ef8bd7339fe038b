"""``onnxfp export``: the examples as files, for a suspect that is no ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from onnxfp.cli.options import FILE, FOLDER


@click.command()
@click.argument("fingerprint", type=FILE)
@click.argument("folder", type=FOLDER)
def export(fingerprint: Path, folder: Path) -> None:
    """Write the examples of FINGERPRINT into FOLDER, to ask a service or an app that is no ONNX file.

    Images become PNG files, other examples .npy files of float32. Give each to the suspect as it is, write the label
    that comes back into the second column of responses.csv, and verify that file in place of a model.
    """
    import onnxfp

    names = onnxfp.export(fingerprint, folder)
    table = folder / onnxfp.RESPONSES
    click.echo(f"examples   {len(names)}, {folder / names[0]} to {names[-1]}")
    click.echo(f"responses  write them into {table}: a class index from 0, or a name;")
    click.echo("           leave a label empty where the suspect does not answer")
    click.echo(f"verify     onnxfp verify {table} {fingerprint}")
    click.echo("secret     whoever is asked sees the examples, and could learn them: ask once, and late")
