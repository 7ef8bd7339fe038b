"""``onnxfp keys``: names for the public keys that you trust."""

from __future__ import annotations

import click

from onnxfp.cli.options import json_option


@click.group()
def keys() -> None:
    """Give names to the public keys that you trust, so that `verify` and `inspect` say whose key it was.

    A name is yours alone: it proves no more than the care with which you added the key.
    """


@keys.command()
@click.argument("name")
@click.argument("key")
@click.option("--force", is_flag=True, help="Replace the key of a name that is taken.")
def add(name: str, key: str, force: bool) -> None:
    """Trust KEY (PEM file or 64 hex digits)."""
    import onnxfp

    added = onnxfp.add_key(name, key, overwrite=force)
    click.echo(f"{added.name}  {added.public_key}")


@keys.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the names and keys that you trust."""
    import json

    import onnxfp

    trusted = onnxfp.list_keys()
    if as_json:
        record = {"keys": [{"name": k.name, "public_key": k.public_key, "file": str(k.path)} for k in trusted]}
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    width = max((len(key.name) for key in trusted), default=0)
    for key in trusted:
        click.echo(f"{key.name:{width}}  {key.public_key}")
    if not trusted:
        click.echo("no keys; add one with: onnxfp keys add NAME KEY", err=True)


@keys.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget NAME and its key."""
    import onnxfp

    click.echo(f"removed {onnxfp.remove_key(name)}")
