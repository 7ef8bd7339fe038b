"""A bundle that passed every check that needs no suspect, and what those checks found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.reader import parse_bundle, read_bundle
from onnxfp.bundle.signing import check_pinned
from onnxfp.bundle.writer import pack
from onnxfp.recipe.derivation import Derivation, check_derivation


@dataclass(frozen=True, slots=True, eq=False)
class CheckedBundle:
    """A fingerprint whose file, signature, digests and derivation are good.

    Attributes:
        fingerprint: The fingerprint.
        n_bytes: Length of its file.
        derivation: What was derived again.
    """

    fingerprint: Fingerprint
    n_bytes: int
    derivation: Derivation


def check_bundle(source: str | Path | Fingerprint, pinned: str | None = None) -> CheckedBundle:
    """Check everything about a bundle that can be checked without asking a model.

    Args:
        source: The bundle file; or a fingerprint. One that was not read from a bundle is packed and read as its file
            would be, for it may have been made in any way.
        pinned: The key that must have signed it, 64 hexadecimal digits; ``None`` accepts any. It is compared before
            anything is derived: what another key signed needs no further word.

    Raises:
        FileError: The file cannot be read.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, key, digests or derivation are not what they claim to be.
    """
    fingerprint = source if isinstance(source, Fingerprint) else read_bundle(source)
    if not fingerprint.is_read:
        fingerprint = parse_bundle(pack(fingerprint.members()))
    manifest = fingerprint.manifest
    if pinned is not None:
        check_pinned(manifest.public_key, pinned)
    derivation = check_derivation(
        manifest.derivation_context(),
        fingerprint.levels,
        fingerprint.labels,
        fingerprint.indices,
        manifest.n_candidates,
    )
    return CheckedBundle(fingerprint, fingerprint.n_bytes, derivation)
