"""From observations to the record: null, verdicts, usefulness, summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.evaluation.task import Observation, Task
from onnxfp.evaluation.task_runner import N_USEFULNESS, split_data
from onnxfp.evaluation.user_data import Data
from onnxfp.evidence.null import ReferenceCount, owner_counts
from onnxfp.evidence.priors import Conditions
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.evidence.uniqueness import N_RESAMPLES, compare
from onnxfp.evidence.verdict import Counts, Grounds, Policy, Verdict, find_null, judge
from onnxfp.report.evaluation import (
    MAX_LOSS,
    MAX_LOSS_ON_NOISE,
    Evaluation,
    Outcome,
    Role,
    Row,
    Suite,
    Summary,
    Usefulness,
)
from onnxfp.report.parts import BundleRecord, Signer
from onnxfp.trust.trust_store import find_key_name
from onnxfp.versions import versions


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table before it is filled.

    Attributes:
        task: What is asked.
        name: See :class:`~onnxfp.report.evaluation.Row`, as for the other fields.
        role: What it is.
        family: Family of variants.
        parameter: Strength within the family.
    """

    task: Task
    name: str
    role: Role
    family: str
    parameter: float | None


Listing = tuple[Line, ...]


def make_evaluation(
    fingerprint: Fingerprint,
    listing: Listing,
    seen: Mapping[str, Observation],
    *,
    suite: Suite,
    data: Data | None,
    policy: Policy,
    is_pinned: bool,
    is_linear: bool,
) -> Evaluation:
    """Return the record.

    Args:
        fingerprint: What was evaluated.
        listing: What was asked, in the order of the table.
        seen: An observation for each task, and for the base.
        suite: Which variants were made.
        data: The user's inputs, or ``None``.
        policy: What a verdict demands.
        is_pinned: Whether the signer's key was demanded.
        is_linear: Whether the base is a linear model.
    """
    manifest = fingerprint.manifest
    usefulness = _usefulness(seen["base"], suite, data)
    owner = owner_counts(manifest)
    pool = [
        ReferenceCount(observation.digest, observation.counts.n_matches, observation.counts.n_asked)
        for line in listing
        if line.role == "reference" and (observation := seen[line.task.key]).counts is not None
    ]
    judge = _Judge(fingerprint, owner, pool, policy, is_linear=is_linear)
    rows = tuple(_fill(line, seen[line.task.key], usefulness, judge) for line in listing)
    least = judge.null.min_matches(policy.alpha)
    least = least if least is not None and least <= fingerprint.n_examples else None
    return Evaluation(
        signer=Signer(manifest.public_key, is_pinned, find_key_name(manifest.public_key)),
        bundle=BundleRecord.of(fingerprint),
        suite=suite,
        usefulness=usefulness,
        rows=rows,
        summary=summarise(rows, policy.confidence),
        owner_references=owner,
        null=judge.null.summarise(least if least is not None else fingerprint.n_examples),
        min_matches=least,
        policy=policy,
        versions=versions(),
    )


def summarise(rows: Sequence[Row], confidence: float) -> Summary:
    """Return the fingerprint in a few numbers.

    Args:
        rows: The table.
        confidence: Coverage of the bootstrap intervals.
    """
    variants = [row.outcome for row in rows if row.counts_as_variant and row.outcome]
    references = [row.outcome for row in rows if row.counts_as_reference and row.outcome]
    found = compare([o.match_rate for o in variants], [o.match_rate for o in references], confidence=confidence)
    return Summary(
        n_variants=len(variants),
        n_references=len(references),
        n_broken=sum(row.is_broken for row in rows),
        n_failed=sum(row.outcome is None for row in rows),
        n_convicted=sum(o.verdict is Verdict.MATCH for o in variants),
        n_accused=sum(o.verdict is Verdict.MATCH for o in references),
        robustness=found.robustness,
        worst_robustness=found.worst_robustness,
        transferability=found.transferability,
        worst_transferability=found.worst_transferability,
        uniqueness_score=found.uniqueness_score,
        worst_uniqueness_score=found.worst_uniqueness_score,
        auc=found.auc,
        aruc=found.aruc,
        true_match_rate=found.true_match_rate,
        confidence=confidence,
        n_resamples=N_RESAMPLES,
    )


class _Judge:
    """Gives the verdicts that ``verify`` would give with the same references."""

    def __init__(
        self,
        fingerprint: Fingerprint,
        owner: Sequence[ReferenceCount],
        pool: Sequence[ReferenceCount],
        policy: Policy,
        *,
        is_linear: bool,
    ) -> None:
        self.fingerprint, self.policy = fingerprint, policy
        self._conditions = Conditions.of_bundle(fingerprint.manifest, is_linear=is_linear)
        self._owner, self._pool = tuple(owner), tuple(pool)
        self.null = find_null(self._grounds(Counts(0, 0, 1, fingerprint.manifest.n_candidates), self._pool))

    def judge(self, counts: Counts, reference: str | None) -> tuple[float, Verdict]:
        """Return p-value and verdict; a reference, given by its digest, is judged by the others."""
        others = tuple(r for r in self._pool if r.digest != reference)
        null = self.null if reference is None else None
        decision = judge(self._grounds(counts, others), self.policy, null=null).decision
        return decision.p_value, decision.verdict

    def _grounds(self, counts: Counts, pool: tuple[ReferenceCount, ...]) -> Grounds:
        return Grounds(counts, self._conditions, self._owner, pool)


def _usefulness(base: Observation, suite: Suite, data: Data | None) -> Usefulness:
    if data is None:
        return Usefulness("agreement", "noise", N_USEFULNESS[suite], 1.0, MAX_LOSS_ON_NOISE, None)
    is_labelled = data.labels is not None
    n_measured = len(split_data(len(data.levels), suite, is_trained=is_labelled and suite != "quick").measured)
    return Usefulness(
        "accuracy" if is_labelled else "agreement",
        "labelled data" if is_labelled else "data",
        n_measured,
        base.usefulness,
        MAX_LOSS,
        data.digest,
    )


def _fill(line: Line, seen: Observation, usefulness: Usefulness, judge: _Judge) -> Row:
    counts = seen.counts
    if counts is None:
        return Row(line.name, line.role, line.family, line.parameter, None, False, seen.error, seen.seconds)
    is_reference = line.role == "reference"
    p_value, verdict = judge.judge(counts, seen.digest if is_reference else None)
    outcome = Outcome(
        digest=seen.digest,
        counts=counts,
        match_rate=counts.n_matches / counts.n_asked,
        interval=clopper_pearson(counts.n_matches, counts.n_asked, judge.policy.confidence),
        p_value=p_value,
        verdict=verdict,
        top5_match_rate=seen.n_top5 / counts.n_asked if seen.n_top5 is not None else None,
        usefulness=seen.usefulness,
    )
    # Rounded, so that a loss of just the limit counts as such whatever the last bit says.
    is_broken = not is_reference and round(usefulness.base_rate - seen.usefulness, 9) > usefulness.max_loss
    return Row(line.name, line.role, line.family, line.parameter, outcome, is_broken, "", seen.seconds)
