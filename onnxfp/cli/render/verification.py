"""Verifications and attestations as tables on stdout, or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from onnxfp.cli.render.console import COLOURS, make_rows, print_tables, to_row

if TYPE_CHECKING:
    from onnxfp.report.attestation import Attestation
    from onnxfp.report.parts import Signer
    from onnxfp.report.verification import Report


class Attested(NamedTuple):
    """What an attestation adds to the table of its report.

    Attributes:
        by: Who attests it.
        known_to_reader: The reader's own name for the key that signed the fingerprint, in words, or empty.
    """

    by: str
    known_to_reader: str


def print_report(report: Report, suspect: Path, *, as_json: bool, attested: Attested | None = None) -> None:
    """Print the outcome of a verification.

    Args:
        report: The outcome.
        suspect: Name of the suspect's file, which the report itself does not hold.
        as_json: Whether to print the versioned record instead of the table.
        attested: Who says so, where it is not the reader's own verification.
    """
    from onnxfp.report.facts import AUDITOR, PLAIN, YOU, describe_verification

    if as_json:
        click.echo(report.to_json())
        return
    facts = describe_verification(report, YOU if attested is None else AUDITOR, PLAIN)
    rows = [to_row(fact) for fact in facts]
    if attested is not None:
        # The report holds what the auditor knew; the reader's own word for the key comes first, and apart.
        label, text = rows[0]
        key, _, known = text.partition("\n")
        rows[0] = label, "\n".join(filter(None, (key, attested.known_to_reader, known)))
        rows.insert(0, ("attested by", attested.by))
    verdict = report.verdict.value
    print_tables(make_rows(f"{suspect.name}: {verdict}", rows))
    click.secho(verdict, fg=COLOURS[verdict], bold=True)
    for reason in report.reasons:
        click.echo(reason)


def print_attestation(attestation: Attestation, auditor: Signer, owner_name: str | None, *, as_json: bool) -> None:
    """Print who attests which verification.

    Args:
        attestation: An attestation that passed every check.
        auditor: What the reader knows of the auditor's key.
        owner_name: The reader's own name for the key that signed the fingerprint, if there is one.
        as_json: Whether to print JSON instead of the table.
    """
    from onnxfp import Signer
    from onnxfp.report.facts import YOU, describe_key, describe_known_key

    report = attestation.report
    if as_json:
        names = {"suspect_name": attestation.suspect_name, "bundle_name": attestation.bundle_name}
        record = {"auditor": asdict(auditor), "report": report.to_dict(), **names}
        click.echo(json.dumps(record, sort_keys=True, indent=2))
        return
    known = describe_key(auditor, YOU, "auditor")
    by = f"{auditor.public_key}\n{known}\nsignature is good; the suspect was not asked again"
    ours = describe_known_key(Signer(report.signer.public_key, False, owner_name), YOU)
    print_report(report, Path(attestation.suspect_name), as_json=False, attested=Attested(by, ours))
