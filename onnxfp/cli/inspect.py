"""``onnxfp inspect``: what a bundle holds, and whether it can be believed."""

from __future__ import annotations

from pathlib import Path

import click

from onnxfp.cli.options import FILE, json_option


@click.command()
@click.argument("fingerprint", type=FILE)
@click.option("--public-key", default=None, help="The owner's public key, a PEM file or 64 hex digits, to demand.")
@click.option("--image", type=FILE, default=None, help="Write the examples as a contact sheet (PNG).")
@json_option
def inspect(fingerprint: Path, public_key: str | None, image: Path | None, as_json: bool) -> None:
    """Show what FINGERPRINT holds. It is checked as `verify` checks it: signature, digests, derivation."""
    import onnxfp
    from onnxfp.cli.render import print_fingerprint

    loaded = onnxfp.load(fingerprint, public_key=public_key)
    if image is not None:
        from onnxfp.cli.contact_sheet import write_contact_sheet

        write_contact_sheet(loaded, image)
    print_fingerprint(loaded, fingerprint, as_json=as_json, image=image)
