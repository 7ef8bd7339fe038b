"""The calls that show when a fingerprint existed: commit and timestamp, and what verify makes of them."""

from __future__ import annotations

import logging
from pathlib import Path

from onnxfp.bundle.check import check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.writer import pack
from onnxfp.errors import FileError, ParameterError
from onnxfp.files import read_start, write_file
from onnxfp.report.checks import CommitmentRecord
from onnxfp.trust import commitment as commitments
from onnxfp.trust.commitment import Commitment, is_value, make_commitment, parse_value, read_opening
from onnxfp.trust.time_evidence import TimeEvidence
from onnxfp.trust.timestamp import (
    SUFFIX,
    Subject,
    Timestamp,
    check_reply,
    check_token,
    load_authority,
    make_query,
    read_token,
)

SECONDS = 30.0
"""Wall time that an authority has to answer, unless told otherwise."""

MAX_SECONDS = 86_400
"""Longest time that it can be given: a day. Sockets cannot wait for more than some weeks."""

_log = logging.getLogger(__name__)


def commit(
    fingerprint: str | Path | Fingerprint, *, output: str | Path | None = None, n_bundles: int | None = None
) -> Commitment:
    """Commit to a fingerprint: make a value to publish today, and its opening to reveal with the bundle.

    Args:
        fingerprint: The bundle file, or the fingerprint.
        output: Where to write the opening, readable for its owner only; ``None`` returns it only.
        n_bundles: Number of bundles that the owner commits to, this one included, in [1, 1,000,000]. The p-value of a
            verification is multiplied by it. ``None`` states nothing.

    Returns:
        The opening; its ``value`` is what is published.

    Raises:
        FileError: The bundle cannot be read, or the opening's file exists already.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, digests or derivation are not what they claim to be.
    """
    opening = make_commitment(check_bundle(fingerprint).fingerprint.digest, n_bundles)
    if output is not None:
        opening.save(output)
    return opening


def timestamp(
    subject: str | Path | Fingerprint | Commitment,
    *,
    tsa: str,
    tsa_certificate: str | Path | None = None,
    output: str | Path | None = None,
    seconds: float = SECONDS,
) -> bytes:
    """Have a time-stamp authority sign that a fingerprint, or the commitment to one, exists now.

    The authority learns a digest, and nothing that it is of.

    Args:
        subject: A bundle file or fingerprint; or the opening of a commitment, as file or from :func:`commit`.
        tsa: URL of the authority, ``http`` or ``https``.
        tsa_certificate: The authority's certificates (PEM), with their root. Without them its answer is checked to be
            one to this very query, and who gave it is not.
        output: Where to write the token; ``None`` returns it only.
        seconds: Wall time for the exchange, in (0, MAX_SECONDS].

    Returns:
        The token: the authority's answer, DER.

    Raises:
        ParameterError: The URL is none, or the time lies outside its range.
        FileError: A file cannot be read, or the token's exists already.
        AuthorityError: The authority cannot be reached or refuses.
        TimestampFormatError: Its answer is no time-stamp.
        TimestampError: Its answer is about something else, or not by the authority that is trusted.
        OnnxfpError: The bundle or the opening is not good; of the class that fits.
    """
    from onnxfp.trust.authority import ask_authority, check_url

    check_url(tsa)
    # Written so that NaN is in no range.
    if not 0 < seconds <= MAX_SECONDS:
        raise ParameterError(
            f"an authority needs some time to answer, and --max-seconds must lie in (0, {MAX_SECONDS}] seconds; found "
            f"{seconds}",
            hint="for example 30 seconds",
        )
    authority = None if tsa_certificate is None else load_authority(tsa_certificate)
    content, about = _stamped_content(subject)
    if output is not None and Path(output).exists():
        # Before the authority is bothered; an older token is worth more than a younger one.
        raise FileError(f"{output} exists already", hint="choose another name, or move it away first")
    query = make_query(content)
    reply = ask_authority(tsa, query.as_bytes(), seconds=seconds)
    check_reply(reply, query)
    if authority is None:
        _log.warning("who signed the time-stamp was not checked; give the authority's certificates to do so")
    else:
        check_token(reply, [about], authority)
    if output is not None:
        write_file(Path(output), reply, overwrite=False)
    return reply


def opening_path(fingerprint: str | Path) -> Path:
    """Return the usual place of an opening: ``model.fp.npz`` has ``model.fp.commitment.json`` beside it."""
    return commitments.opening_path(Path(fingerprint))


def timestamp_path(subject: str | Path) -> Path:
    """Return the usual place of a time-stamp: beside its subject, with ``.tsr`` after the whole name."""
    path = Path(subject)
    return path.with_name(path.name + SUFFIX)


def is_opening(path: str | Path) -> bool:
    """Return whether a file begins as an opening does, and not as a bundle; ``False`` where it cannot be read."""
    try:
        return read_start(Path(path), 1, hint="") == b"{"
    except FileError:
        return False


def check_time_evidence(
    bundle: str, path: Path | None, evidence: TimeEvidence
) -> tuple[CommitmentRecord | None, Timestamp | None]:
    """Check the evidence of when a bundle existed.

    Args:
        bundle: ``sha256:<hex>`` of the bundle file.
        path: That file, if there is one.
        evidence: As :func:`onnxfp.verify` takes it.

    Raises:
        OnnxfpError: A part of the evidence is not good; of the class that fits.
    """
    commitment = evidence.commitment
    committed = None if commitment is None else _check_commitment(bundle, path, commitment, evidence.opening)
    if evidence.timestamp is None or evidence.tsa_certificate is None:
        return committed, None
    digests: list[tuple[Subject, str]] = [("bundle", bundle)]
    if committed is not None:
        digests.append(("commitment", committed.value))
    return committed, check_token(read_token(evidence.timestamp), digests, load_authority(evidence.tsa_certificate))


def _check_commitment(
    bundle: str, path: Path | None, commitment: str | Path | Commitment, opening: str | Path | None
) -> CommitmentRecord:
    published = None
    if isinstance(commitment, Commitment):
        found = commitment
    elif not is_value(str(commitment)):
        found = read_opening(commitment)
    else:
        published = parse_value(str(commitment))
        if opening is None and path is None:
            raise ParameterError("a published value needs its opening", hint="give the opening of the commitment")
        found = read_opening(opening_path(path) if opening is None and path is not None else str(opening))
    if published is None and opening is not None:
        raise ParameterError(
            "the commitment is given as an opening, and another opening beside it",
            hint="give the published value with --commitment",
        )
    found.check(bundle, published)
    return CommitmentRecord(found.value, published is not None, found.n_bundles)


def _stamped_content(subject: str | Path | Fingerprint | Commitment) -> tuple[bytes, tuple[Subject, str]]:
    if isinstance(subject, str | Path) and is_opening(subject):
        subject = read_opening(subject)
    if isinstance(subject, Commitment):
        return subject.to_json(), ("commitment", subject.value)
    fingerprint = check_bundle(subject).fingerprint
    return pack(fingerprint.members()), ("bundle", fingerprint.digest)
