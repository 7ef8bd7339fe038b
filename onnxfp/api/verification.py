"""``onnxfp.verify``: check the claim, ask the suspect, weigh the matches, decide.

Each stage is one function. A small record carries its result to the next stage.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxfp.api.probing import narrow_conditions, probe_suspect
from onnxfp.api.references import ask_ancestors, ask_pool
from onnxfp.api.timestamping import check_time_evidence
from onnxfp.api.trust import identify_signer
from onnxfp.bundle.check import CheckedBundle, check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import BaseContradictionError, ParameterError
from onnxfp.evidence.lineage import AncestorCount, Descent
from onnxfp.evidence.null import owner_counts
from onnxfp.evidence.priors import Conditions, find_prior, table_digest
from onnxfp.evidence.reference_pool import ExcludedReference, ReferenceAnswers, sort_references
from onnxfp.evidence.statistics import clopper_pearson, count_matches
from onnxfp.evidence.top_k import measure_top_k, rank_labels
from onnxfp.evidence.verdict import Counts, Grounds, Judgement, Policy, judge
from onnxfp.execution import ISOLATED, Execution
from onnxfp.model.onnx_file import read_onnx
from onnxfp.model_io import ModelIO
from onnxfp.report.checks import CommitmentRecord, describe_checks
from onnxfp.report.parts import MIN_BASE_RATE, BaseCheck, BundleRecord, FixedInput, Probes, Question, SuspectRecord
from onnxfp.report.verification import Report
from onnxfp.report.wording import list_gaps
from onnxfp.runtime.session import Answers, ModelSession
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.suspects.references import Models, open_pool
from onnxfp.suspects.responses import Function, ask_levels, collect_responses, is_model_file
from onnxfp.trust.time_evidence import TimeEvidence
from onnxfp.trust.timestamp import Timestamp
from onnxfp.trust.trust_store import find_public_key
from onnxfp.types import Levels
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
    """A suspect's answers to the examples, and the suspect itself where it can be asked more."""

    answers: Answers
    record: SuspectRecord
    ask: Callable[[Levels], Answers] | None = None
    feed: Callable[[Levels], NDArray[Any]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Pools:
    """Answers of other models to the examples."""

    references: tuple[ReferenceAnswers, ...]
    excluded: tuple[ExcludedReference, ...]
    descent: Descent
    base: BaseCheck | None


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The verdict, its grounds, and what the suspect's answers show of it."""

    judgement: Judgement
    grounds: Grounds
    probes: Probes | None


def verify(
    suspect: str | Path | Function,
    fingerprint: str | Path | Fingerprint,
    *,
    public_key: str | Path | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    references: Models = (),
    ancestors: Models = (),
    co_descendants: Models = (),
    base: str | Path | None = None,
    policy: Policy | None = None,
    io: ModelIO | None = None,
    execution: Execution = ISOLATED,
    time_evidence: TimeEvidence | None = None,
) -> Report:
    """Ask a suspect the examples of a fingerprint and give a verdict.

    Args:
        suspect: Its ONNX file; or a ``.csv`` file of responses, as :func:`export` prepares it; or a function that takes
            ``(n, height, width, channels)`` uint8 images (other examples: ``(n, *shape)`` float32 real inputs) and
            returns ``(n,)`` class indices or ``(n, n_classes)`` scores.
        fingerprint: The bundle file, or the result of :func:`load`; checked as :func:`load` does.
        public_key: The key that must have signed it, as :func:`load` takes it; ``None`` accepts any.
        class_names: For responses that are names: the base's classes in order, or a text file of them.
        references: The verifier's own unassociated models (files or folders).
        ancestors: Models from which the base may derive (files or folders). With one, a MATCH takes co-descendants.
        co_descendants: Other models that derive from the ancestors, and not from the base (files or folders).
        base: The base model's file. Its digest and the recorded labels must fit the bundle.
        policy: Demands of a verdict.
        io: Inputs and outputs of an ONNX suspect, where they differ from the base's.
        execution: Device of onnxruntime, and limits of each model.
        time_evidence: Commitment and time-stamp of the bundle.

    Raises:
        OnnxfpError: Of the class that fits; a negative verdict is no error.
    """
    _check_parameters(suspect, class_names, io)
    io, policy = io or ModelIO(), policy or Policy()
    claim = _check_claim(fingerprint, public_key, time_evidence)
    with ThreadPoolExecutor(1) as beside:
        # It imports SciPy, which takes as long as a small suspect to answer in its own process.
        beside.submit(find_prior, Conditions.of_bundle(claim.manifest))
        asked = _ask_suspect(suspect, claim.fingerprint, class_names, io, execution)
    checked_base = _check_base(base, claim, asked, io, execution)
    unassociated, related = (_open_others(m, claim, asked, io, execution) for m in (references, co_descendants))
    pools = _ask_others(claim, unassociated, related, ancestors, checked_base, io, execution)
    return _make_report(claim, asked, pools, _judge(claim, asked, pools, policy), policy)


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
        ask = partial(ask_levels, suspect, fingerprint) if callable(suspect) else None
        return _Asked(responses.answers, SuspectRecord.of_responses(responses.digest), ask)
    base, file = fingerprint.manifest.base, read_onnx(suspect)
    session = ModelSession(file, io, execution=execution, n_classes=base.n_classes, like=(base.input, base.output))
    model = OnnxSuspect(session, base.input, fingerprint.manifest.grid, io.grid)
    spec = session.input
    question = Question(spec.shape, spec.layout, spec.dtype, model.grid, _record_choices(io))
    record = SuspectRecord(
        session.model.digest, session.providers, session.holds, spec.name, session.output.name, question
    )
    return _Asked(model.answer(fingerprint.levels), record, model.answer, model.feed)


def _check_base(
    base: str | Path | None, claim: _Claim, asked: _Asked, io: ModelIO, execution: Execution
) -> BaseCheck | None:
    """Check that the base, where it is at hand, gives the labels that the bundle records.

    Raises:
        ParameterError: The file is not the one that the bundle names.
        BaseContradictionError: It does not give the recorded labels: the bundle names a model that is not its base.
    """
    fingerprint, spec = claim.fingerprint, claim.manifest.base
    if base is None:
        is_base = asked.record.digest == spec.digest and io.is_default
        n_matches = count_matches(fingerprint.labels, asked.answers.labels)
        if is_base and n_matches < MIN_BASE_RATE * fingerprint.n_examples:
            raise _contradiction("the suspect", n_matches, fingerprint)
        return None
    file = read_onnx(base)
    if file.digest != spec.digest:
        raise ParameterError(
            f"{base} ({file.digest}) is not the model that the bundle names as its base ({spec.digest})",
            hint="give the very file that `onnxfp generate` was given",
        )
    names = ModelIO(
        input_name=spec.input.name, input_shape=spec.input.shape, output_name=spec.output.name, fixed=io.fixed
    )
    session = ModelSession(file, names, execution=execution, n_classes=spec.n_classes)
    answers = OnnxSuspect(session, spec.input, claim.manifest.grid).answer(fingerprint.levels)
    n_matches = count_matches(fingerprint.labels, answers.labels)
    if n_matches < MIN_BASE_RATE * fingerprint.n_examples:
        raise _contradiction(str(base), n_matches, fingerprint)
    return BaseCheck(file.digest, n_matches)


def _contradiction(name: str, n_matches: int, fingerprint: Fingerprint) -> BaseContradictionError:
    return BaseContradictionError(
        f"{name} is the model that the bundle names as its base, and gives {n_matches} of {fingerprint.n_examples} "
        "recorded labels",
        hint="the bundle was not made of this model: it is no evidence",
    )


def _open_others(models: Models, claim: _Claim, asked: _Asked, io: ModelIO, execution: Execution) -> list[ModelSession]:
    """Open other models of the verifier, without the suspect itself."""
    pool = open_pool(models, claim.manifest.base, execution, io.fixed)
    others = [session for session in pool if session.model.digest != asked.record.digest]
    if len(others) < len(pool):
        _log.warning(
            "the suspect is among the references or co-descendants, and left out: it says nothing about itself"
        )
    return others


def _ask_others(
    claim: _Claim,
    references: list[ModelSession],
    co_descendants: list[ModelSession],
    ancestors: Models,
    base: BaseCheck | None,
    io: ModelIO,
    execution: Execution,
) -> _Pools:
    """Ask references, ancestors and co-descendants the examples, and sort them."""
    fingerprint, lineage = claim.fingerprint, claim.manifest.lineage
    n_classes = claim.manifest.base.n_classes
    counted, excluded = sort_references(ask_pool(references, fingerprint), n_classes)
    related, alike = sort_references(ask_pool(co_descendants, fingerprint), n_classes)
    for one in (*excluded, *alike):
        _log.warning("%s does not count: %s", one.digest, _explain_exclusion(one))
    own = ask_ancestors(ancestors, fingerprint, io, execution)
    known = {one.digest for one in own}
    declared = tuple(
        AncestorCount(one.digest, "owner", one.n_matches) for one in lineage.ancestors if one.digest not in known
    )
    descent = Descent(lineage.claim == "from scratch", (*declared, *own), tuple(one.count for one in related))
    return _Pools(counted, (*excluded, *alike), descent, base)


def _explain_exclusion(one: ExcludedReference) -> str:
    if one.same_as is not None:
        return f"it answers as {one.same_as} does"
    return f"it gave {one.n_labels} classes on inputs of the base's own kind"


def _judge(claim: _Claim, asked: _Asked, pools: _Pools, policy: Policy) -> _Judged:
    """Decide; and where the matches are remarkable, look at the suspect once more before."""
    manifest, labels, question = claim.manifest, asked.answers.labels, asked.record.question
    counts = Counts(
        n_matches=count_matches(claim.fingerprint.labels, labels),
        n_answered=int((labels >= 0).sum()),
        n_asked=claim.fingerprint.n_examples,
        n_candidates=manifest.n_candidates,
    )
    n_bundles = None if claim.commitment is None else claim.commitment.n_bundles
    conditions = Conditions.of_bundle(manifest)
    if question is not None and conditions.sides and not question.grid.is_usual:
        conditions = replace(conditions, is_usual=False)
    grounds = Grounds(
        counts=counts,
        conditions=conditions,
        owner=owner_counts(manifest),
        verifier=tuple(one.count for one in pools.references),
        descent=pools.descent,
        n_commitments=n_bundles or 1,
        is_chosen=question is not None and question.is_chosen,
    )
    judgement = judge(grounds, policy)
    # What is no more than unassociated models show needs no further look.
    if judgement.decision.p_value > policy.no_match_above or asked.ask is None:
        return _Judged(judgement, grounds, None)
    probes = probe_suspect(claim.fingerprint, asked.answers, asked.ask, asked.feed)
    narrowed = replace(grounds, conditions=narrow_conditions(grounds.conditions, probes, manifest))
    return _Judged(judge(narrowed, policy), narrowed, probes)


def _make_report(claim: _Claim, asked: _Asked, pools: _Pools, judged: _Judged, policy: Policy) -> Report:
    """Put the record together."""
    manifest, grounds, judgement = claim.manifest, judged.grounds, judged.judgement
    counts = grounds.counts
    ranks = rank_labels(claim.fingerprint.labels, asked.answers.scores)
    ranked = {one.count.digest: one.ranks for one in pools.references if one.ranks is not None}
    rates = [reference.rate for reference in (*grounds.owner, *grounds.verifier)]
    match_rate = counts.n_matches / counts.n_asked
    transferability = sum(rates) / len(rates) if rates else None
    report = Report(
        signer=identify_signer(manifest.public_key, is_pinned=claim.is_pinned),
        bundle=BundleRecord.of(claim.fingerprint),
        suspect=asked.record,
        counts=counts,
        match_rate=match_rate,
        interval=clopper_pearson(counts.n_matches, counts.n_asked, policy.confidence),
        owner_references=grounds.owner,
        verifier_references=grounds.verifier,
        excluded_references=pools.excluded,
        transferability=transferability,
        worst_transferability=max(rates) if rates else None,
        margin=None if transferability is None else match_rate - transferability,
        null=judgement.rate,
        policy=policy,
        conditions=grounds.conditions,
        tables=table_digest(),
        descent=grounds.descent,
        base_check=pools.base,
        probes=judged.probes,
        decision=judgement.decision,
        top_k=() if ranks is None else measure_top_k(ranks, ranked, grounds.conditions, manifest.n_candidates),
        median_rank=None if ranks is None else float(np.median(ranks)),
        commitment=claim.commitment,
        timestamp=claim.timestamp,
        checks=describe_checks(
            claim.checked, is_pinned=claim.is_pinned, commitment=claim.commitment, timestamp=claim.timestamp
        ),
        not_tested=(),
        versions=versions(),
    )
    return replace(report, not_tested=list_gaps(report))


def _record_fixed(name: str, value: ArrayLike) -> FixedInput:
    values: NDArray[np.float64] = np.ascontiguousarray(value, "<f8")
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return FixedInput(name, len(np.unique(values)), f"sha256:{digest}")


def _record_choices(io: ModelIO) -> tuple[FixedInput, ...]:
    return tuple(_record_fixed(name, value) for name, value in sorted(io.fixed.items()))
