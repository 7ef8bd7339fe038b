"""``onnxfp.verify``: check the claim, ask the suspect, weigh the matches, decide.

Each stage is one function. A small record carries its result to the next stage.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxfp.api.references import MeasuredReference, measure_pool
from onnxfp.api.timestamping import check_time_evidence
from onnxfp.api.trust import identify_signer
from onnxfp.bundle.check import CheckedBundle, check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import ParameterError
from onnxfp.evidence.null import Null, Prior, ReferenceCount, estimate_null, find_bundle_prior, owner_counts
from onnxfp.evidence.statistics import clopper_pearson, count_matches
from onnxfp.evidence.top_k import measure_top_k, rank_labels
from onnxfp.evidence.verdict import Counts, Policy, decide
from onnxfp.execution import ISOLATED, Execution
from onnxfp.model.linearity import is_linear
from onnxfp.model.onnx_file import read_onnx
from onnxfp.model_io import ModelIO
from onnxfp.report.checks import CommitmentRecord, describe_checks, describe_untested
from onnxfp.report.verification import BundleRecord, Report, SuspectRecord
from onnxfp.runtime.session import Answers, ModelSession
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.suspects.references import Models, open_pool
from onnxfp.suspects.responses import Function, collect_responses, is_model_file
from onnxfp.trust.time_evidence import TimeEvidence
from onnxfp.trust.timestamp import Timestamp
from onnxfp.trust.trust_store import find_public_key
from onnxfp.versions import versions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """The owner's claim: a bundle that passed its checks, its signer and its date."""

    checked: CheckedBundle
    is_pinned: bool
    commitment: CommitmentRecord | None
    timestamp: Timestamp | None

    @property
    def fingerprint(self) -> Fingerprint:
        return self.checked.fingerprint

    @property
    def manifest(self) -> Manifest:
        return self.checked.fingerprint.manifest


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A suspect's answers to the examples."""

    answers: Answers
    record: SuspectRecord
    is_linear: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """Matches of the suspect beside those of unassociated models."""

    counts: Counts
    owner: tuple[ReferenceCount, ...]
    measured: tuple[MeasuredReference, ...]
    null: Null

    @property
    def own(self) -> tuple[ReferenceCount, ...]:
        """The verifier's references."""
        return tuple(reference.count for reference in self.measured)


def verify(
    suspect: str | Path | Function,
    fingerprint: str | Path | Fingerprint,
    *,
    public_key: str | Path | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    references: Models = (),
    policy: Policy | None = None,
    io: ModelIO | None = None,
    execution: Execution = ISOLATED,
    time_evidence: TimeEvidence | None = None,
) -> Report:
    """Ask a suspect the examples of a fingerprint and give a verdict.

    Args:
        suspect: The suspect's ONNX file; or a ``.csv`` file of its responses, as :func:`export` prepares it; or a
            function that takes ``(n, height, width, channels)`` uint8 images (other examples: ``(n, *shape)`` float32
            real inputs) and returns ``(n,)`` class indices or ``(n, n_classes)`` scores.
        fingerprint: The bundle file, or the result of :func:`load`; either is checked as :func:`load` does.
        public_key: The owner's public key that must have signed the bundle, as :func:`load` takes it; ``None`` accepts
            any, and the report says so.
        class_names: For recorded responses that are names: the base's classes in their order, or a text file with one a
            line.
        references: The verifier's own unassociated models (files or folders).
        policy: Demands of a verdict.
        io: Inputs and outputs of an ONNX suspect, where they differ from the base's.
        execution: Device of onnxruntime, and limits of each model.
        time_evidence: Commitment and time-stamp of the bundle.

    Returns:
        The record of the verification.

    Raises:
        OnnxfpError: Of the class that fits; a negative verdict is no error.
    """
    _check_parameters(suspect, class_names, io)
    io, policy = io or ModelIO(), policy or Policy()
    claim = _check_claim(fingerprint, public_key, time_evidence)
    with ThreadPoolExecutor(1) as beside:
        # It imports SciPy, which takes as long as a small suspect to answer in its own process.
        looked_up = beside.submit(find_bundle_prior, claim.manifest)
        asked = _ask_suspect(suspect, claim.fingerprint, class_names, io, execution)
    prior = find_bundle_prior(claim.manifest, is_linear=True) if asked.is_linear else looked_up.result()
    pool = _open_references(references, claim.manifest, asked, suspect, io, execution)
    evidence = _weigh(claim.fingerprint, asked, pool, prior)
    return _make_report(claim, asked, evidence, policy)


def _check_parameters(
    suspect: str | Path | Function, class_names: str | Path | Sequence[str] | None, io: ModelIO | None
) -> None:
    """Check that the parameters fit the kind of suspect.

    Raises:
        ParameterError: One of them describes another kind.
    """
    is_run = is_model_file(suspect)
    if not is_run and io is not None and not io.is_default:
        raise ParameterError(
            "bounds, normalisation, inputs and outputs describe an ONNX file, and the suspect is none",
            hint="leave them out: recorded responses are compared as they are",
        )
    if is_run and class_names is not None:
        raise ParameterError(
            "names of classes belong to a file of responses", hint="leave them out: an ONNX file answers with scores"
        )


def _check_claim(
    fingerprint: str | Path | Fingerprint, public_key: str | Path | None, time_evidence: TimeEvidence | None
) -> _Claim:
    """Check the bundle, its key and its date, before any model is opened."""
    checked = check_bundle(fingerprint, None if public_key is None else find_public_key(public_key))
    path = None if isinstance(fingerprint, Fingerprint) else Path(fingerprint)
    committed, stamped = check_time_evidence(checked.fingerprint.digest, path, time_evidence or TimeEvidence())
    return _Claim(checked, public_key is not None, committed, stamped)


def _ask_suspect(
    suspect: str | Path | Function,
    fingerprint: Fingerprint,
    class_names: str | Path | Sequence[str] | None,
    io: ModelIO,
    execution: Execution,
) -> _Asked:
    """Run an ONNX file on the examples, or collect the responses of another suspect."""
    if not is_model_file(suspect):
        responses = collect_responses(suspect, fingerprint, class_names)
        return _Asked(responses.answers, SuspectRecord.of_responses(responses.digest))
    base, file = fingerprint.manifest.base, read_onnx(suspect)
    suspect_is_linear = is_linear(file.proto)
    session = ModelSession(file, io, execution=execution, n_classes=base.n_classes, like=(base.input, base.output))
    answers = OnnxSuspect(session, base.input, fingerprint.manifest.grid, io.grid).answer(fingerprint.levels)
    record = SuspectRecord(
        session.model.digest, session.providers, session.holds, session.input.name, session.output.name
    )
    return _Asked(answers, record, suspect_is_linear)


def _open_references(
    references: Models,
    manifest: Manifest,
    asked: _Asked,
    suspect: str | Path | Function,
    io: ModelIO,
    execution: Execution,
) -> list[ModelSession]:
    """Open the verifier's references, without the suspect itself."""
    pool = open_pool(references, manifest.base, execution, io.fixed)
    others = [session for session in pool if session.model.digest != asked.record.digest]
    if len(others) < len(pool):
        _log.warning("%s is among the references, and left out of them: it says nothing about itself", suspect)
    return others


def _weigh(fingerprint: Fingerprint, asked: _Asked, pool: list[ModelSession], prior: Prior) -> _Evidence:
    """Count the matches of suspect and references, and estimate the null."""
    manifest, labels = fingerprint.manifest, asked.answers.labels
    counts = Counts(
        n_matches=count_matches(fingerprint.labels, labels),
        n_answered=int((labels >= 0).sum()),
        n_asked=fingerprint.n_examples,
        n_candidates=manifest.n_candidates,
    )
    owner, base = owner_counts(manifest), manifest.base
    measured = tuple(measure_pool(pool, fingerprint.levels, fingerprint.labels, base, manifest.grid))
    own = tuple(reference.count for reference in measured)
    null = estimate_null(owner, own, prior, n_classes=base.n_classes, n_candidates=manifest.n_candidates)
    return _Evidence(counts, owner, measured, null)


def _make_report(claim: _Claim, asked: _Asked, evidence: _Evidence, policy: Policy) -> Report:
    """Decide, and put the record together."""
    manifest, counts, null = claim.manifest, evidence.counts, evidence.null
    owner, own = evidence.owner, evidence.own
    ranks = rank_labels(claim.fingerprint.labels, asked.answers.scores)
    ranked = {reference.count.digest: reference.ranks for reference in evidence.measured if reference.ranks is not None}
    rates = [reference.rate for reference in (*owner, *own)]
    match_rate = counts.n_matches / counts.n_asked
    transferability = sum(rates) / len(rates) if rates else None
    return Report(
        signer=identify_signer(manifest.public_key, is_pinned=claim.is_pinned),
        bundle=BundleRecord.of(claim.fingerprint),
        suspect=asked.record,
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
        top_k=() if ranks is None else measure_top_k(ranks, ranked, manifest, is_linear=asked.is_linear),
        median_rank=None if ranks is None else float(np.median(ranks)),
        commitment=claim.commitment,
        timestamp=claim.timestamp,
        checks=describe_checks(
            claim.checked, is_pinned=claim.is_pinned, commitment=claim.commitment, timestamp=claim.timestamp
        ),
        not_tested=describe_untested(
            commitment=claim.commitment,
            timestamp=claim.timestamp,
            asked_base=asked.record.digest == manifest.base.digest,
            is_recorded=asked.record.is_recorded,
        ),
        versions=versions(),
    )
