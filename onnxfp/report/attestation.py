"""A report that whoever verified has signed, so that it can be shown to others.

A DSSE envelope over an in-toto Statement: the subjects are the suspect's file and the bundle's, the predicate is the
report and the auditor's public key. It proves that the holder of that key vouches for this report, and no more; whoever
has both files can verify again.

An attestation comes from a stranger, as a bundle does: one canonical form, every field checked, nothing believed before
its signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxfp.bundle import canonical_json
from onnxfp.bundle.canonical_json import Json
from onnxfp.bundle.records import MAX_TEXT, is_key
from onnxfp.bundle.signing import Statement, StatementKind, claimed_predicate, sign_statement, verify_statement
from onnxfp.errors import (
    DigestError,
    FileError,
    ParameterError,
    ReportError,
    ReportFormatError,
    TrustError,
    name_file,
)
from onnxfp.files import read_bounded, read_start
from onnxfp.report.schemas import upgrade
from onnxfp.report.verification import SCHEMA, Report
from onnxfp.trust.keys import signer_public_key

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

ATTESTATION = StatementKind("urn:onnxfp:verification:1", "attestation", "the attestation", "auditor", ReportFormatError)

MAX_FILE_BYTES = 2**20
"""Largest attestation that is written or read (1 MiB, five thousand references); parsed, it may take 40 MB."""

SUSPECT, FINGERPRINT = "suspect", "fingerprint"
"""Names of subjects whose files have none that can be printed, or one and the same."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """A report whose signature is good.

    Attributes:
        report: What the auditor found. Its ``signer`` says what the *auditor* knew of the owner's key.
        public_key: Raw Ed25519 public key of the auditor, 64 hexadecimal digits.
        suspect_name: Name of the suspect's file, as the auditor had it.
        bundle_name: Name of the bundle file, as the auditor had it.
    """

    report: Report
    public_key: str
    suspect_name: str
    bundle_name: str


def sign_report(report: Report, signer: CryptoSigner, suspect_name: str, bundle_name: str) -> bytes:
    """Return the bytes of an attestation file.

    Args:
        report: What the auditor found.
        signer: The auditor's key.
        suspect_name: Name of the suspect's file; one that cannot be printed becomes ``suspect``.
        bundle_name: Name of the bundle file; one that cannot be printed becomes ``fingerprint``.

    Raises:
        ParameterError: The report is one that no reader would accept, or larger than an attestation can be.
    """
    names = suspect_name if _is_shown(suspect_name) else SUSPECT, bundle_name if _is_shown(bundle_name) else FINGERPRINT
    if names[0] == names[1]:
        names = SUSPECT, FINGERPRINT
    digests = (report.suspect.digest, report.bundle.digest)
    statement = Statement(
        {name: digest.removeprefix("sha256:") for name, digest in zip(names, digests, strict=True)},
        {"public_key": signer_public_key(signer), "report": report.to_dict()},
    )
    try:
        content = sign_statement(statement, ATTESTATION, signer)
        parse_attestation(content)
    except (ReportError, TrustError, ValueError) as error:
        raise ParameterError(f"an attestation of this report could not be read again: {error}") from error
    return content


def read_attestation(path: str | Path) -> Attestation:
    """Read an attestation file and check everything about it.

    Raises:
        FileError: The file cannot be read.
        ReportFormatError: It is not an attestation in the one canonical form, or its report is malformed.
        ReportVersionError: Its report was written in a schema that this release does not know.
        SignatureError: The signature is missing or does not verify.
        DigestError: Its subjects are not those of the report.
    """
    path = Path(path)
    hint = "give the path of an attestation, for example report.att.json"
    content = read_bounded(path, MAX_FILE_BYTES, hint=hint, too_large=ReportFormatError)
    with name_file(path, ReportError, TrustError):
        return parse_attestation(content)


def parse_attestation(content: bytes) -> Attestation:
    """Return the attestation that the bytes of its file hold.

    Raises:
        ReportFormatError: As :func:`read_attestation`; so are the other errors.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ReportFormatError(f"the file exceeds the limit of {MAX_FILE_BYTES} bytes", hint=ATTESTATION.hint)
    public_key, _ = _parse_predicate(claimed_predicate(content, ATTESTATION))
    statement = verify_statement(content, ATTESTATION, public_key)
    _, record = _parse_predicate(statement.predicate)
    report = Report.from_dict(record)
    if canonical_json.dump(upgrade(record, SCHEMA)) != canonical_json.dump(report.to_dict()):
        raise ReportFormatError("a number of the report is written in a second spelling", hint=ATTESTATION.hint)
    if not all(_is_shown(name) for name in statement.subjects):
        raise ReportFormatError("a subject's name cannot be printed", hint=ATTESTATION.hint)
    names = {f"sha256:{digest}": name for name, digest in statement.subjects.items()}
    if len(names) != 2 or sorted(names) != sorted((report.suspect.digest, report.bundle.digest)):
        raise DigestError(
            "the attestation is not about the suspect and the bundle of its report", hint="ask the auditor for another"
        )
    return Attestation(report, public_key, names[report.suspect.digest], names[report.bundle.digest])


def is_attestation(path: str | Path) -> bool:
    """Return whether a file begins as an attestation does, and not as a bundle; ``False`` where it cannot be read."""
    try:
        return read_start(Path(path), 1, hint="") == b"{"
    except FileError:
        return False


def _parse_predicate(predicate: Json) -> tuple[str, Json]:
    match predicate:
        case {"public_key": str(public_key), "report": dict(record), **rest} if not rest and is_key(public_key):
            return public_key, record
        case _:
            raise ReportFormatError(
                "the predicate must hold the auditor's public_key and the report", hint=ATTESTATION.hint
            )


def _is_shown(name: str) -> bool:
    return name.isprintable() and 1 <= len(name) <= MAX_TEXT
