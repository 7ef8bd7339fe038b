"""``onnxfp keygen``: make an Ed25519 key pair."""

from __future__ import annotations

from pathlib import Path

import click

from onnxfp.cli.options import FILE, json_option, passphrase_options


@click.command()
@click.option("-o", "--output", type=FILE, default=None, help="Private key file [default: your default key].")
@click.option("--encrypt", is_flag=True, help="Encrypt the private key with a passphrase.")
@click.option("--force", is_flag=True, help="Replace an existing key; it cannot be brought back.")
@passphrase_options
@json_option
def keygen(output: Path | None, encrypt: bool, force: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Make an Ed25519 key pair: a private key to sign fingerprints, a public key to give away."""
    import json

    import onnxfp
    from onnxfp.cli.outputs import check_outputs
    from onnxfp.cli.passphrase import new_passphrase

    path = output or onnxfp.default_key_path()
    check_outputs({"--output": path, "--output (its public half)": onnxfp.public_key_path(path)}, (passphrase_file,))
    passphrase = new_passphrase(path, passphrase_file) if encrypt or passphrase_file else None
    public_path = onnxfp.public_key_path(path)
    public_key = onnxfp.generate_key_pair(path, passphrase=passphrase, overwrite=force)
    if as_json:
        record = {
            "private_key": str(path),
            "public_key": public_key,
            "public_key_file": str(onnxfp.public_key_path(path)),
        }
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    click.echo(f"private key  {path}  (keep it secret, and keep a copy)")
    click.echo(f"public key   {public_path}  (give it to whoever verifies)")
    click.echo(f"             {public_key}")
