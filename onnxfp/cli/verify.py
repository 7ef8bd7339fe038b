"""``onnxfp verify``: ask a suspect and give a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxfp.cli.options import (
    FILE,
    FILE_OR_FOLDER,
    input_options,
    json_option,
    limit_options,
    passphrase_options,
    public_key_option,
    read_limits,
    read_model_io,
)
from onnxfp.cli.render.page import report_option, write_page

EXIT_CODES = {"MATCH": 0, "NO_MATCH": 10, "INCONCLUSIVE": 11}


@click.command()
@click.argument("suspect", type=FILE)
@click.argument("fingerprint", type=FILE)
@public_key_option
@click.option(
    "--reference",
    "references",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="An unassociated model of your own, or a folder of them. Repeatable.",
)
@click.option(
    "--ancestor",
    "ancestors",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="A model from which base and suspect may both derive, or a folder; MATCH takes co-descendants. Repeatable.",
)
@click.option(
    "--co-descendant",
    "co_descendants",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="Another model that derives from the ancestor and not from the base, or a folder; 8 or more. Repeatable.",
)
@click.option("--base", type=FILE, default=None, help="The base model: checks that it gives the recorded labels.")
@click.option(
    "--classes", type=FILE, default=None, help="For responses that are names: the base's classes, one a line."
)
@click.option("--alpha", type=float, default=None, help="Largest p-value that is a MATCH [default: 1e-6].")
@click.option("--need-references", is_flag=True, help="Without references of your own, INCONCLUSIVE.")
@click.option("--provider", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--commitment",
    metavar="VALUE|FILE",
    default=None,
    help="The published value of a commitment, which must be one to this bundle; or its opening, to show the value.",
)
@click.option("--opening", type=FILE, default=None, help="Opening of the value [default: beside the bundle].")
@click.option("--timestamp", type=FILE, default=None, help="RFC 3161 time-stamp of the bundle or of the commitment.")
@click.option(
    "--tsa-certificate", type=FILE, default=None, help="Certificates of the time-stamp authority (PEM), with its root."
)
@click.option("--explain", is_flag=True, help="Say what was checked, what was found, and what that rules out.")
@click.option("--attest", type=FILE, default=None, help="Write the report, signed, to this file.")
@click.option("--key", type=FILE, default=None, help="Private key for --attest [default: yours, made on first use].")
@passphrase_options
@report_option
@input_options
@limit_options
@json_option
@click.pass_context
def verify(context: click.Context, /, suspect: Path, fingerprint: Path, as_json: bool, **options: Any) -> None:
    """Ask SUSPECT the examples of FINGERPRINT and give a verdict.

    SUSPECT is an ONNX file, or the responses of something else in a .csv file, which `export` prepares. Exit code: 0
    MATCH, 10 NO_MATCH, 11 INCONCLUSIVE. The input options describe an ONNX suspect, where it differs from the base.
    """
    if suspect.suffix == ".npz" and fingerprint.suffix != ".npz":
        raise click.UsageError("the suspect comes first, then the fingerprint")
    # First of all: it gets ready while this process reads and checks the bundle.
    if not (options["no_isolation"] or suspect.suffix.lower() == ".csv"):
        from onnxfp.runtime.launch import choose_model_worker, start_ahead

        start_ahead(*choose_model_worker(options["provider"]))
    import onnxfp
    from onnxfp.cli.attestation import attestation_writer
    from onnxfp.cli.outputs import check_outputs
    from onnxfp.cli.render.explanation import print_explanation
    from onnxfp.cli.render.verification import print_report

    page, attest = options["page"], options["attest"]
    names = ("public_key", "classes", "key", "passphrase_file", "commitment", "opening", "timestamp", "tsa_certificate")
    found = (options[name] for name in names)
    others = (*options["references"], *options["ancestors"], *options["co_descendants"], options["base"])
    inputs = (suspect, fingerprint, *others, *found)
    inputs += (onnxfp.opening_path(fingerprint), onnxfp.default_key_path())
    check_outputs({"--attest": attest, "--report": page}, inputs)
    write_attestation = attestation_writer(options, suspect, fingerprint)
    default = onnxfp.Policy()
    alpha = default.alpha if options["alpha"] is None else options["alpha"]
    report = onnxfp.verify(
        suspect,
        fingerprint,
        public_key=options["public_key"],
        class_names=options["classes"],
        references=options["references"],
        ancestors=options["ancestors"],
        co_descendants=options["co_descendants"],
        base=options["base"],
        policy=onnxfp.Policy(
            alpha=alpha, no_match_above=max(alpha, default.no_match_above), needs_references=options["need_references"]
        ),
        io=read_model_io(options),
        execution=onnxfp.Execution(options["provider"], read_limits(options)),
        time_evidence=onnxfp.TimeEvidence(
            commitment=options["commitment"],
            opening=options["opening"],
            timestamp=options["timestamp"],
            tsa_certificate=options["tsa_certificate"],
        ),
    )
    write_attestation(report)
    if page is not None:
        from onnxfp.report.html.verification_page import render_verification

        # The page refuses another bundle than the one of the report.
        loaded = onnxfp.load(fingerprint)
        write_page(page, render_verification(report, loaded, suspect.name, fingerprint.name))
    print_report(report, suspect, as_json=as_json)
    if options["explain"] and not as_json:
        print_explanation(report)
    if not as_json:
        for words, path in (("attested in", attest), ("shown in", page)):
            if path is not None:
                click.echo(f"{words} {path}")
    context.exit(EXIT_CODES[report.verdict.value])
