"""``onnxfp inspect``: what a bundle or an attestation holds, and whether it can be believed."""

from __future__ import annotations

from pathlib import Path

import click

from onnxfp.cli.options import FILE, json_option, public_key_option


@click.command()
@click.argument("file", type=FILE)
@public_key_option
@click.option("--image", type=FILE, default=None, help="Write a fingerprint's examples as a contact sheet (PNG).")
@json_option
def inspect(file: Path, public_key: str | None, image: Path | None, as_json: bool) -> None:
    """Show what FILE holds, a fingerprint or the attestation of a verification.

    A fingerprint is checked as `verify` checks it: signature, digests, derivation. Of an attestation the signature and
    the agreement of its parts are checked; the suspect is not asked again. Exit code: 0 if FILE is good, whatever the
    verdict in it.
    """
    import onnxfp
    from onnxfp.cli.outputs import check_outputs
    from onnxfp.cli.render.bundle import print_fingerprint
    from onnxfp.cli.render.verification import print_attestation

    check_outputs({"--image": image}, (file, public_key))
    if onnxfp.is_attestation(file):
        if image is not None:
            raise click.UsageError("--image shows the examples of a fingerprint; an attestation holds none")
        attestation = onnxfp.load_attestation(file, public_key=public_key)
        auditor = onnxfp.identify_signer(attestation.public_key, is_pinned=public_key is not None)
        owner_name = onnxfp.find_key_name(attestation.report.signer.public_key)
        print_attestation(attestation, auditor, owner_name, as_json=as_json)
        return
    loaded = onnxfp.load(file, public_key=public_key)
    if image is not None:
        from onnxfp.report.html.contact_sheet import write_contact_sheet

        write_contact_sheet(loaded, image)
    signer = onnxfp.identify_signer(loaded.manifest.public_key, is_pinned=public_key is not None)
    print_fingerprint(loaded, file, as_json=as_json, image=image, signer=signer)
