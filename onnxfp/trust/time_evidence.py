"""Evidence of when a fingerprint existed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxfp.errors import ParameterError
from onnxfp.trust.commitment import Commitment


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEvidence:
    """A commitment, a time-stamp or both, to compare with a bundle.

    Attributes:
        commitment: The value that was published; or the opening of a commitment (its file, or the result of
            :func:`onnxfp.commit`), which must be one to the bundle.
        opening: The opening file of the value. ``None`` looks beside the bundle file.
        timestamp: A time-stamp (``.tsr`` file) of the bundle or of the commitment.
        tsa_certificate: The certificates of the authority that must have stamped (PEM), with their root.

    Raises:
        ParameterError: There is an opening without a commitment, or only one of time-stamp and certificates.
    """

    commitment: str | Path | Commitment | None = None
    opening: str | Path | None = None
    timestamp: str | Path | None = None
    tsa_certificate: str | Path | None = None

    def __post_init__(self) -> None:
        if self.opening is not None and self.commitment is None:
            raise ParameterError("an opening needs the published value", hint="give it with --commitment")
        if (self.timestamp is None) != (self.tsa_certificate is None):
            raise ParameterError(
                "a time-stamp and the certificates of its authority belong together",
                hint="give both --timestamp and --tsa-certificate",
            )
