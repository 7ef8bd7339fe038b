"""RFC 3161 time-stamps: an authority's signed word that a digest was known at a time.

What is stamped is the SHA-256 of a bundle file, or of a commitment's opening (which is the value that is published). A
token is kept as the authority gave it, a ``.tsr`` file, so that other software checks it as well::

    openssl ts -verify -data model.fp.npz -in model.fp.npz.tsr -CAfile tsa.pem

ASN.1, CMS and certificate chains are rfc3161-client's and OpenSSL's; here is only what is demanded of a token, in which
order, and in which words it is refused. Chains are judged at the time of the token, as the RFC says: an authority's
certificate may have run out since. Revocation is not looked up, since verifying needs no network.

References:
    RFC 3161; ETSI EN 319 422.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from onnxfp.bundle.records import MAX_TEXT
from onnxfp.errors import AuthorityError, CertificateError, TimestampError, TimestampFormatError
from onnxfp.files import read_bounded
from onnxfp.text import escape_text
from onnxfp.trust.authority import MAX_RESPONSE_BYTES

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import Accuracy, TimeStampRequest, TimeStampResponse

Subject = Literal["bundle", "commitment"]

SUFFIX = ".tsr"
_MAX_CERTIFICATE_BYTES = 2**20
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = 0
_CLOCKS_DIFFER = timedelta(minutes=5)
_MIN_ACCURATE = timedelta(days=1)
_MAX_SERIAL_DIGITS = 64

_FORMAT_HINT = "give the .tsr file that `onnxfp timestamp` wrote, unchanged to the byte"
_CHAIN_HINT = "give the authority's own certificates, with its root, as the authority publishes them"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """What a token that was checked says.

    Attributes:
        subject: What was stamped.
        digest: ``sha256:<hex>`` of it.
        existed_before: The token's time, a second and its accuracy later, as RFC 3339 in UTC: what was stamped existed
            by then.
        authority: Name of the authority, from its certificate. Names that cannot be printed are escaped, long ones cut.
        certificate: ``sha256:<hex>`` of the certificate (DER) that signed.
        policy: Object identifier of the policy under which the authority works.
        serial: The token's serial number, hexadecimal.
    """

    subject: Subject
    digest: str
    existed_before: str
    authority: str
    certificate: str
    policy: str
    serial: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "authority", escape_text(self.authority, MAX_TEXT))


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificates that a verifier trusts to say what time it was.

    Attributes:
        roots: Self-issued certificates; at least one.
        signers: Certificates made for time-stamping; where there are any, one of them must have signed.
        others: Certificates between the two.
    """

    roots: tuple[Certificate, ...]
    signers: tuple[Certificate, ...]
    others: tuple[Certificate, ...]


def load_authority(path: str | Path) -> Authority:
    """Read the certificates of an authority.

    Args:
        path: PEM file with the root, and whatever certificates lead from it to the one that signs.

    Raises:
        FileError: The file cannot be read.
        CertificateError: It holds no certificates, or none of a root.
    """
    from cryptography.x509 import load_pem_x509_certificates

    path = Path(path)
    hint = "give a PEM file with the certificates of the authority"
    pem = read_bounded(path, _MAX_CERTIFICATE_BYTES, hint=hint, too_large=CertificateError)
    try:
        certificates = list(dict.fromkeys(load_pem_x509_certificates(pem)))
        signers = tuple(c for c in certificates if _is_for_stamps(c))
        roots = tuple(c for c in certificates if c.issuer == c.subject)
    except ValueError as error:
        raise CertificateError(f"{path} holds no PEM certificates that can be read", hint=_CHAIN_HINT) from error
    if not roots:
        raise CertificateError(
            f"{path} holds no root: each of its {len(certificates)} certificates is issued by another",
            hint="add the certificate of the root authority that stands above them",
        )
    return Authority(roots, signers, tuple(c for c in certificates if c not in signers and c not in roots))


def make_query(content: bytes) -> TimeStampRequest:
    """Return a request for a stamp over the SHA-256 of ``content``, with a nonce, and asking for the certificates."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    return TimestampRequestBuilder(data=content, hash_algorithm=HashAlgorithm.SHA256).build()


def check_reply(reply: bytes, query: TimeStampRequest) -> None:
    """Check that an authority's answer is one to this very query.

    Raises:
        TimestampFormatError: It is no time-stamp.
        AuthorityError: The authority refused.
        TimestampError: It is one for another query.
    """
    response = _parse(reply)
    if response.status != _GRANTED:
        words = escape_text("; ".join(response.status_string), 200)
        raise AuthorityError(
            f"the authority refused (status {response.status}){': ' if words else ''}{words}", hint="ask another"
        )
    if _imprint(response) != query.message_imprint.message.hex():
        raise TimestampError("the authority stamped another digest than the one that was sent", hint="ask another")
    if response.tst_info.nonce != query.nonce:
        raise TimestampError(
            "the authority's answer has another nonce than the query: it is an old one", hint="ask another"
        )


def read_token(path: str | Path) -> bytes:
    """Return the bytes of a token file.

    Raises:
        FileError: The file cannot be read.
        TimestampFormatError: It is larger than any token.
    """
    hint = "give the time-stamp, for example model.fp.npz.tsr"
    return read_bounded(Path(path), MAX_RESPONSE_BYTES, hint=hint, too_large=TimestampFormatError)


def check_token(
    token: bytes, digests: Sequence[tuple[Subject, str]], authority: Authority, *, now: datetime | None = None
) -> Timestamp:
    """Check a token, offline.

    Args:
        token: The authority's answer, DER.
        digests: What it may be about, each with its ``sha256:<hex>``.
        authority: Whom the verifier trusts.
        now: The verifier's time; ``None`` looks at the clock.

    Raises:
        TimestampFormatError: It is no granted time-stamp.
        TimestampError: It is about something else, was not signed by the authority, by a certificate not made for it or
            not valid at its time, or its time is still to come.
    """
    response = _parse(token)
    if response.status != _GRANTED:
        raise TimestampFormatError(f"the file holds a refusal (status {response.status})", hint=_FORMAT_HINT)
    imprint = f"sha256:{_imprint(response)}"
    subject = next((name for name, digest in digests if digest == imprint), None)
    if subject is None:
        names = " or ".join(name for name, _ in digests)
        raise TimestampError(
            f"the time-stamp is about {imprint[:23]}..., which is not this {names}",
            hint="give the token of this bundle; for one of a commitment, give --commitment as well",
        )
    signer = _check_signature(response, imprint, authority)
    info = response.tst_info
    # The library cuts fractions of a second off, so the true time may be almost a second later.
    latest = info.gen_time + timedelta(seconds=1) + _accuracy(response)
    if info.gen_time > (now or datetime.now(UTC)) + _CLOCKS_DIFFER:
        raise TimestampError(
            f"the time-stamp says {info.gen_time:%Y-%m-%d %H:%M:%S} UTC, which is still to come",
            hint="check this machine's clock",
        )
    serial = f"{info.serial_number:x}"
    if len(serial) > _MAX_SERIAL_DIGITS:
        raise TimestampFormatError("the serial number is longer than any", hint=_FORMAT_HINT)
    return Timestamp(
        subject=subject,
        digest=imprint,
        existed_before=_ceiling(latest).strftime("%Y-%m-%dT%H:%M:%SZ"),
        authority=signer.subject.rfc4514_string(),
        certificate=f"sha256:{_digest(signer)}",
        policy=info.policy.dotted_string,
        serial=serial,
    )


def _parse(token: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(token)
        if response.status == _GRANTED:
            # Looked at here, so that what cannot be read is found in one place.
            _ = response.tst_info.gen_time, response.tst_info.policy, response.tst_info.accuracy, _imprint(response)
            _ = response.signed_data.certificates, response.signed_data.signer_infos
    except (ValueError, TypeError, OverflowError) as error:
        raise TimestampFormatError(
            f"not an RFC 3161 time-stamp: {escape_text(str(error), 200)}", hint=_FORMAT_HINT
        ) from error
    return response


def _imprint(response: TimeStampResponse) -> str:
    imprint = response.tst_info.message_imprint
    if imprint.hash_algorithm.dotted_string != _SHA256:
        raise TimestampFormatError("the time-stamp is not over a SHA-256 digest", hint=_FORMAT_HINT)
    return imprint.message.hex()


def _check_signature(response: TimeStampResponse, imprint: str, authority: Authority) -> Certificate:
    from cryptography.x509 import DuplicateExtension, InvalidVersion
    from rfc3161_client import VerificationError, VerifierBuilder

    reason = ""
    for demanded in authority.signers or (None,):
        builder = VerifierBuilder(
            roots=list(authority.roots), intermediates=list(authority.others), tsa_certificate=demanded
        )
        try:
            builder.build().verify(response, bytes.fromhex(imprint.removeprefix("sha256:")))
            return demanded or _find_signer(response)
        except VerificationError as error:
            # OpenSSL says what is wrong in the middle of a long record of its own.
            found = re.search(r'Verify error: ([^"]+)', str(error))
            reason = reason or escape_text(found[1] if found else str(error), 200)
        except (ValueError, DuplicateExtension, InvalidVersion) as error:
            raise TimestampFormatError(
                f"a certificate in the time-stamp cannot be read: {escape_text(str(error), 200)}", hint=_FORMAT_HINT
            ) from error
    raise TimestampError(f"the time-stamp is not one of the authority's: {reason}", hint=_CHAIN_HINT)


def _find_signer(response: TimeStampResponse) -> Certificate:
    """Return the certificate that signed; verification found exactly one signer, and its certificate in the token."""
    from cryptography.x509 import load_der_x509_certificate

    (signer,) = response.signed_data.signer_infos
    certificates = map(load_der_x509_certificate, response.signed_data.certificates)
    return next(c for c in certificates if (c.issuer, c.serial_number) == (signer.issuer, signer.serial_number))


def _accuracy(response: TimeStampResponse) -> timedelta:
    accuracy: Accuracy | None = response.tst_info.accuracy
    if accuracy is None:
        return timedelta()
    if all(part is None for part in (accuracy.seconds, accuracy.millis, accuracy.micros)):
        # As the library shows a number that is too long for it.
        raise TimestampFormatError("the time-stamp's accuracy cannot be read", hint=_FORMAT_HINT)
    seconds = accuracy.seconds or 0
    if seconds > _MIN_ACCURATE.total_seconds():
        raise TimestampError("the time-stamp is less accurate than a day", hint="ask another authority")
    return timedelta(seconds=seconds, milliseconds=accuracy.millis or 0, microseconds=accuracy.micros or 0)


def _ceiling(time: datetime) -> datetime:
    return time if time.microsecond == 0 else time.replace(microsecond=0) + timedelta(seconds=1)


def _is_for_stamps(certificate: Certificate) -> bool:
    from cryptography.x509 import BasicConstraints, ExtendedKeyUsage, ExtensionNotFound
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        if certificate.extensions.get_extension_for_class(BasicConstraints).value.ca:
            return False
    except ExtensionNotFound:
        pass
    try:
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.TIME_STAMPING in usage


def _digest(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
