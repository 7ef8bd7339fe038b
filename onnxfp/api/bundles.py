"""The calls on a bundle alone: load, export, find_requirement and estimate_null."""

from __future__ import annotations

from pathlib import Path

from onnxfp.bundle.check import check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.evidence import null, requirement
from onnxfp.evidence.null import NullRate
from onnxfp.evidence.priors import find_bundle_prior
from onnxfp.evidence.requirement import Requirement
from onnxfp.evidence.verdict import Policy
from onnxfp.suspects.export import export_examples
from onnxfp.trust.trust_store import find_public_key


def load(path: str | Path, *, public_key: str | Path | None = None) -> Fingerprint:
    """Read a bundle and check everything about it that can be checked without a suspect.

    Args:
        path: The bundle file.
        public_key: The owner's public key that must have signed it: 64 hexadecimal digits, a PEM file, or a name in the
            trust store.

    Raises:
        FileError: The file cannot be read.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, key, digests or derivation are not what they claim to be.
    """
    return check_bundle(path, None if public_key is None else find_public_key(public_key)).fingerprint


def export(fingerprint: str | Path | Fingerprint, folder: str | Path) -> tuple[str, ...]:
    """Write the examples to files, so that a suspect can be asked that is no ONNX file: a service, an app.

    Whoever is asked sees the examples, and could learn them.

    Args:
        fingerprint: The bundle file, or what :func:`load` returned.
        folder: Where they go: PNG files of images of 8 bits, else ``.npy`` files of float32 real inputs, and
            ``responses.csv``, in which a label is written beside each before :func:`verify` reads it.

    Returns:
        The names of the examples' files, in their order.

    Raises:
        FileError: The bundle cannot be read, or the folder holds something already or cannot be written.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, digests or derivation are not what they claim to be.
    """
    return tuple(export_examples(check_bundle(fingerprint).fingerprint, Path(folder)))


def find_requirement(fingerprint: str | Path | Fingerprint, *, policy: Policy | None = None) -> Requirement:
    """Return the matches that a MATCH needs, where the verifier brings no references.

    Args:
        fingerprint: The bundle file, or the result of :func:`load`.
        policy: Demands of a verdict.

    Raises:
        FileError: The bundle cannot be read.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, digests or derivation are not what they claim to be.
    """
    return requirement.find_requirement(_load(fingerprint).manifest, policy or Policy())


def estimate_null(fingerprint: str | Path | Fingerprint) -> NullRate:
    """Return the match rate of unassociated models, where the verifier brings no references.

    Args:
        fingerprint: The bundle file, or the result of :func:`load`.

    Raises:
        FileError: The bundle cannot be read.
        BundleError: It is not a well-formed bundle.
        TrustError: Signature, digests or derivation are not what they claim to be.
    """
    manifest = _load(fingerprint).manifest
    estimated = null.estimate_null(
        null.owner_counts(manifest),
        [],
        find_bundle_prior(manifest),
        n_classes=manifest.base.n_classes,
        n_candidates=manifest.n_candidates,
    )
    return estimated.summarise(manifest.n_examples)


def _load(fingerprint: str | Path | Fingerprint) -> Fingerprint:
    return fingerprint if isinstance(fingerprint, Fingerprint) else load(fingerprint)
