"""What anybody calls: load, export, verify, attest and load_attestation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from onnxfp.api.references import measure_pool
from onnxfp.api.timestamping import check_timestamping
from onnxfp.bundle.check import check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.signing import check_pinned
from onnxfp.errors import ParameterError
from onnxfp.evidence.null import estimate_null, owner_counts
from onnxfp.evidence.priors import find_bundle_prior
from onnxfp.evidence.statistics import clopper_pearson, count_matches
from onnxfp.evidence.top_k import measure_top_k, rank_labels
from onnxfp.evidence.verdict import Counts, Policy
from onnxfp.model.linearity import is_linear
from onnxfp.model.onnx_file import read_onnx
from onnxfp.report.attestation import ATTESTATION, Attestation, read_attestation, sign_report
from onnxfp.report.checks import describe_checks, describe_untested
from onnxfp.report.verification import BundleRecord, Report, Signer, SuspectRecord
from onnxfp.runtime.isolated import Limits
from onnxfp.runtime.local import Provider
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.export import export_examples
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.suspects.references import DEFAULT_LIMITS, Models, open_pool
from onnxfp.suspects.responses import Function, collect_responses, is_model_file
from onnxfp.trust.commitment import Commitment
from onnxfp.trust.keys import Passphrase, open_signer
from onnxfp.trust.trust_store import find_key_name, find_public_key
from onnxfp.types import InputGrid
from onnxfp.versions import versions

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

_log = logging.getLogger(__name__)


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


def verify(
    suspect: str | Path | Function,
    fingerprint: str | Path | Fingerprint,
    *,
    public_key: str | Path | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    references: Models = (),
    policy: Policy | None = None,
    provider: Provider = "auto",
    grid: InputGrid | None = None,
    input_name: str | None = None,
    input_shape: Sequence[int] | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    commitment: str | Path | Commitment | None = None,
    opening: str | Path | None = None,
    timestamp: str | Path | None = None,
    tsa_certificate: str | Path | None = None,
    limits: Limits | None = DEFAULT_LIMITS,
) -> Report:
    """Ask a suspect the examples of a fingerprint and give a verdict.

    Args:
        suspect: The suspect's ONNX file; or a ``.csv`` file of its responses, as :func:`export` prepares it; or a
            function that takes ``(n, height, width, channels)`` uint8 images (other examples: ``(n, *shape)`` float32
            real inputs) and returns ``(n,)`` class indices or ``(n, n_classes)`` scores.
        fingerprint: The bundle file, or what :func:`load` returned; either is checked as :func:`load` does.
        public_key: The owner's public key that must have signed the bundle, as :func:`load` takes it; ``None`` accepts
            any and says so.
        class_names: For recorded responses that are names: the base's classes in their order, or a text file with one a
            line.
        references: The verifier's own unassociated models (files or folders).
        policy: What a verdict demands.
        provider: Where onnxruntime runs.
        grid: Bounds and normalisation of the suspect's input, where they differ from the base's.
        input_name: The suspect's graph input, if there are several.
        input_shape: Shape of one example, where its graph leaves axes open.
        output_name: Its graph output with the classification, if there are several.
        fixed: Values for its other graph inputs.
        commitment: The value that was published, or the opening of a commitment (its file, or what
            :func:`onnxfp.commit` returned), which must be one to this bundle.
        opening: The opening file of the value; ``None`` looks beside the bundle file.
        timestamp: A time-stamp (``.tsr`` file) of the bundle or of the commitment.
        tsa_certificate: The certificates of the authority that must have stamped (PEM), with their root.
        limits: What each model may take in a process of its own; ``None`` opens them in this one.

    Returns:
        The record of the verification.

    Raises:
        OnnxfpError: Of the class that fits; a negative verdict is no error.
    """
    is_run = is_model_file(suspect)
    if not is_run and any(given is not None for given in (grid, input_name, input_shape, output_name, fixed)):
        raise ParameterError(
            "bounds, normalisation, inputs and outputs describe an ONNX file, and the suspect is none",
            hint="leave them out: recorded responses are compared as they are",
        )
    if is_run and class_names is not None:
        raise ParameterError(
            "names of classes belong to a file of responses", hint="leave them out: an ONNX file answers with scores"
        )
    policy = policy or Policy()
    checked = check_bundle(fingerprint, None if public_key is None else find_public_key(public_key))
    path = None if isinstance(fingerprint, Fingerprint) else Path(fingerprint)
    fingerprint, manifest = checked.fingerprint, checked.fingerprint.manifest
    committed, stamped = check_timestamping(
        fingerprint.digest,
        path,
        commitment=commitment,
        opening=opening,
        timestamp=timestamp,
        tsa_certificate=tsa_certificate,
    )
    base, suspect_is_linear = manifest.base, False
    with ThreadPoolExecutor(1) as beside:
        # It imports SciPy, which takes as long as a small suspect to answer in its own process.
        looked_up = beside.submit(find_bundle_prior, manifest)
        if is_model_file(suspect):
            file = read_onnx(suspect)
            suspect_is_linear = is_linear(file.proto)
            session = ModelSession(
                file,
                provider=provider,
                input_name=input_name,
                input_shape=input_shape,
                output_name=output_name,
                fixed=fixed,
                n_classes=base.n_classes,
                like=(base.input, base.output),
                limits=limits,
            )
            answers = OnnxSuspect(session, base.input, manifest.grid, grid).answer(fingerprint.levels)
            record = SuspectRecord(
                session.model.digest, session.providers, session.holds, session.input.name, session.output.name
            )
        else:
            responses = collect_responses(suspect, fingerprint, class_names)
            answers, record = responses.answers, SuspectRecord.of_responses(responses.digest)
    prior = find_bundle_prior(manifest, is_linear=True) if suspect_is_linear else looked_up.result()
    counts = Counts(
        n_matches=count_matches(fingerprint.labels, answers.labels),
        n_answered=int((answers.labels >= 0).sum()),
        n_asked=fingerprint.n_examples,
        n_candidates=manifest.n_candidates,
    )
    owner = owner_counts(manifest)
    pool = open_pool(references, base, provider, limits, fixed)
    others = [session for session in pool if session.model.digest != record.digest]
    if len(others) < len(pool):
        _log.warning("%s is among the references, and left out of them: it says nothing about itself", suspect)
    measured = list(measure_pool(others, fingerprint.levels, fingerprint.labels, base, manifest.grid))
    own = tuple(reference.count for reference in measured)
    null = estimate_null(owner, own, prior, n_classes=base.n_classes, n_candidates=manifest.n_candidates)
    ranks = rank_labels(fingerprint.labels, answers.scores)
    ranked = {reference.count.digest: reference.ranks for reference in measured if reference.ranks is not None}
    rates = [reference.rate for reference in (*owner, *own)]
    match_rate = counts.n_matches / counts.n_asked
    transferability = sum(rates) / len(rates) if rates else None
    return Report(
        signer=Signer(manifest.public_key, public_key is not None, find_key_name(manifest.public_key)),
        bundle=BundleRecord.of(fingerprint),
        suspect=record,
        counts=counts,
        match_rate=match_rate,
        interval=clopper_pearson(counts.n_matches, counts.n_asked, policy.confidence),
        owner_references=owner,
        verifier_references=own,
        transferability=transferability,
        worst_transferability=max(rates) if rates else None,
        margin=None if transferability is None else match_rate - transferability,
        null=null.summarise(counts.n_matches),
        policy=policy,
        decision=decide(counts, null, len(own), policy),
        top_k=() if ranks is None else measure_top_k(ranks, ranked, manifest, is_linear=suspect_is_linear),
        median_rank=None if ranks is None else float(np.median(ranks)),
        commitment=committed,
        timestamp=stamped,
        checks=describe_checks(checked, is_pinned=public_key is not None, commitment=committed, timestamp=stamped),
        not_tested=describe_untested(
            commitment=committed,
            timestamp=stamped,
            asked_base=record.digest == base.digest,
            is_recorded=record.is_recorded,
        ),
        versions=versions(),
    )


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
