"""The calls on attestations: attest, load_attestation and is_attestation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxfp.bundle.signing import check_pinned
from onnxfp.report.attestation import (
    ATTESTATION,
    Attestation,
    read_attestation,
    sign_report,
)
from onnxfp.report.attestation import (
    is_attestation as is_attestation,
)
from onnxfp.report.verification import Report
from onnxfp.trust.keys import Passphrase, open_signer
from onnxfp.trust.trust_store import find_public_key

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner


def attest(
    report: Report,
    *,
    key: str | Path | CryptoSigner | None = None,
    passphrase: Passphrase | None = None,
    suspect: str | Path = "",
    fingerprint: str | Path = "",
) -> bytes:
    """Sign a report, so that it can be shown to others.

    Args:
        report: What :func:`verify` returned.
        key: The auditor's private key file, or what :func:`open_signer` returned; ``None`` takes the user's default
            key, and makes it on first use.
        passphrase: Asked for the passphrase of an encrypted key.
        suspect: The suspect's file, whose name goes into the attestation; its digest comes from the report.
        fingerprint: The bundle file, whose name does too.

    Returns:
        The attestation file's bytes: a DSSE envelope over an in-toto Statement, canonical JSON.

    Raises:
        KeyFileError: The key cannot be opened.
        ParameterError: The report is one that no reader would accept.
    """
    signer = open_signer(key, passphrase) if key is None or isinstance(key, str | Path) else key
    return sign_report(report, signer, Path(suspect).name, Path(fingerprint).name)


def load_attestation(path: str | Path, *, public_key: str | Path | None = None) -> Attestation:
    """Read an attestation and check its signature, and that it is about what its report is about.

    Args:
        path: The attestation file.
        public_key: The auditor's public key that must have signed it, as :func:`load` takes an owner's; ``None``
            accepts any.

    Raises:
        FileError: The file cannot be read.
        ReportError: It is not a well-formed attestation.
        TrustError: Signature, key or subjects are not what they claim to be.
    """
    attestation = read_attestation(path)
    if public_key is not None:
        check_pinned(attestation.public_key, find_public_key(public_key), ATTESTATION)
    return attestation
