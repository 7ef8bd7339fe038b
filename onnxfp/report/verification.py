"""The record of one verification: every number a verdict rests on, versioned, as text that a program can read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isclose
from typing import Any

from onnxfp.bundle.canonical_json import Json, load_any_layout
from onnxfp.bundle.records import build, find_broken_claim, is_digest, is_key, is_time
from onnxfp.errors import ReportFormatError, ReportVersionError, translate_codec
from onnxfp.evidence.lineage import Descent
from onnxfp.evidence.null import NullRate, ReferenceCount
from onnxfp.evidence.priors import Conditions, table_digest
from onnxfp.evidence.reference_pool import ExcludedReference
from onnxfp.evidence.statistics import Interval
from onnxfp.evidence.top_k import TopKEvidence, find_top_k_contradiction
from onnxfp.evidence.verdict import Counts, Decision, Grounds, Policy, Verdict, judge
from onnxfp.report.checks import Check, CommitmentRecord, find_contradiction
from onnxfp.report.evidence_checks import find_incoherence
from onnxfp.report.parts import BaseCheck, BundleRecord, Probes, Signer, SuspectRecord
from onnxfp.report.schemas import upgrade
from onnxfp.report.wording import Gap, describe_gap, explain_reason, list_gaps
from onnxfp.runtime.isolated import HOLDS
from onnxfp.text import quote_text
from onnxfp.trust.timestamp import Timestamp
from onnxfp.trust.trust_store import is_name

SCHEMA = "onnxfp/verification/2"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one verification.

    Attributes:
        signer: Who signed the bundle.
        bundle: The fingerprint.
        suspect: The model under test.
        counts: What was observed.
        match_rate: Matches over examples asked, in [0, 1].
        interval: Exact interval of the match rate, at the policy's confidence.
        owner_references: The owner's pool, as the bundle records it.
        verifier_references: The verifier's references that count, measured now.
        excluded_references: The verifier's references that do not count.
        transferability: Mean match rate of all references, or ``None`` without any.
        worst_transferability: Their largest match rate, or ``None`` without any.
        margin: Match rate minus transferability, or ``None`` without references.
        null: What an unassociated model may match, under the distribution that decided.
        policy: What was demanded.
        conditions: What fixed the prior and the attack bound; ``None`` in reports of schema 1, whose numbers cannot be
            computed again.
        tables: ``sha256:<hex>`` of the tables of priors and attack bounds; empty in reports of schema 1.
        descent: The evidence on common descent.
        base_check: The base model, asked by the verifier, or ``None``.
        probes: What the suspect's answers show of it, or ``None`` where it was not probed.
        decision: Verdict, p-value and reasons.
        top_k: How often the recorded label is within the top k of the suspect's scores, by ascending k: no part of the
            verdict. Empty where it gives labels only, or where nothing is known of unassociated models.
        median_rank: Median rank of the recorded labels among the scores, 1 the largest, ties counting against them;
            ``None`` where it gives labels only.
        commitment: The commitment to the bundle that was opened, or ``None`` where none was given.
        timestamp: The time-stamp of the bundle or of the commitment, or ``None`` where none was given.
        checks: What was checked before; each passed, or there would be no report.
        not_tested: What the verdict says nothing about; :meth:`gaps` has it in words.
        versions: Name and version of the software that verified, by name.
    """

    signer: Signer
    bundle: BundleRecord
    suspect: SuspectRecord
    counts: Counts
    match_rate: float
    interval: Interval
    owner_references: tuple[ReferenceCount, ...]
    verifier_references: tuple[ReferenceCount, ...]
    excluded_references: tuple[ExcludedReference, ...]
    transferability: float | None
    worst_transferability: float | None
    margin: float | None
    null: NullRate
    policy: Policy
    conditions: Conditions | None
    tables: str
    descent: Descent
    base_check: BaseCheck | None
    probes: Probes | None
    decision: Decision
    top_k: tuple[TopKEvidence, ...]
    median_rank: float | None
    commitment: CommitmentRecord | None
    timestamp: Timestamp | None
    checks: tuple[Check, ...]
    not_tested: tuple[Gap, ...]
    versions: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        # In JSON they are an object, which has no order.
        object.__setattr__(self, "versions", tuple(sorted(self.versions)))

    @property
    def verdict(self) -> Verdict:
        """The answer to: do suspect and base share a lineage?"""
        return self.decision.verdict

    @property
    def reasons(self) -> tuple[str, ...]:
        """The grounds of the verdict, one sentence each."""
        return tuple(explain_reason(reason, self) for reason in self.decision.reasons)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What the verdict says nothing about, one sentence each."""
        return tuple(describe_gap(gap, self) for gap in self.not_tested)

    @property
    def grounds(self) -> Grounds | None:
        """Everything that the verdict follows from; ``None`` for reports of schema 1."""
        if self.conditions is None:
            return None
        n_bundles = None if self.commitment is None else self.commitment.n_bundles
        question = self.suspect.question
        return Grounds(
            counts=self.counts,
            conditions=self.conditions,
            owner=self.owner_references,
            verifier=self.verifier_references,
            descent=self.descent,
            n_commitments=n_bundles or 1,
            is_chosen=question is not None and question.is_chosen,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values, with its schema version."""
        record = asdict(self)
        record["decision"]["verdict"] = self.verdict.value
        record["versions"] = dict(self.versions)
        return {"schema": SCHEMA, **record}

    def to_json(self) -> str:
        """Return the record as JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that ``text`` holds, as :meth:`to_json` wrote it or with another layout.

        A report proves nothing by itself: anybody can write one. :mod:`onnxfp.report.attestation` signs them.

        Raises:
            ReportFormatError: It is no JSON object, a field is missing, unknown or of the wrong type, or numbers
                contradict each other; the field is named.
            ReportVersionError: The schema is not one that this release reads.
        """
        with translate_codec(ReportFormatError, _HINT):
            value = load_any_layout(text, "the report")
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: Json) -> Report:
        """Return the report of which ``value`` is the parsed JSON.

        Raises:
            ReportFormatError: As :meth:`from_json`.
            ReportVersionError: The schema is not one that this release reads.
        """
        value = upgrade(value, SCHEMA)
        if value.get("schema") != SCHEMA:
            raise ReportVersionError(
                f"the report has schema {quote_text(str(value.get('schema')))}; this release reads {SCHEMA!r}",
                hint="install a newer onnxfp",
            )
        record = {key: item for key, item in value.items() if key != "schema"}
        if "versions" in record:
            if not isinstance(record["versions"], dict):
                raise ReportFormatError("report.versions must be an object", hint=_HINT)
            record["versions"] = [list(pair) for pair in record["versions"].items()]
        with translate_codec(ReportFormatError, _HINT):
            report: Report = build(cls, record, "report")
        report._check()
        return report

    def _check(self) -> None:
        references = (*self.owner_references, *self.verifier_references)
        if not all(is_digest(r.digest) and 0 <= r.n_matches <= r.n_examples > 0 for r in references):
            raise ReportFormatError("report: a reference is malformed", hint=_HINT)
        rates = [reference.rate for reference in references]
        mean = sum(rates) / len(rates) if rates else None
        decision, policy, bundle = self.decision, self.policy, self.bundle
        n_asked, least = self.counts.n_asked, decision.min_matches
        is_significant = decision.p_value <= policy.alpha and least is not None and self.counts.n_matches >= least
        claims = {
            "signer.public_key is not 64 hexadecimal digits": is_key(self.signer.public_key),
            "signer.name is no name of a key": self.signer.name is None or is_name(self.signer.name),
            "bundle.digest is not a SHA-256 digest": is_digest(bundle.digest),
            "bundle.base_digest is not a SHA-256 digest": is_digest(bundle.base_digest),
            "bundle.n_classes is out of range": bundle.n_classes >= 2,
            "bundle.epsilon_levels contradicts bundle.n_levels": (
                bundle.n_levels in (256, 65536) and 1 <= bundle.epsilon_levels < bundle.n_levels
            ),
            "bundle.created is not a UTC time": is_time(bundle.created),
            "suspect.digest is not a SHA-256 digest": is_digest(self.suspect.digest),
            "match_rate contradicts counts": _is_same(self.match_rate, self.counts.n_matches / n_asked),
            "interval does not contain match_rate": (
                0 <= self.interval.lower <= self.match_rate <= self.interval.upper <= 1
            ),
            "transferability contradicts the references": _is_same(self.transferability, mean),
            "worst_transferability contradicts the references": _is_same(
                self.worst_transferability, max(rates, default=None)
            ),
            "margin contradicts match_rate and transferability": _is_same(
                self.margin, None if mean is None else self.match_rate - mean
            ),
            "null is out of range": 0 <= self.null.rate <= 1 and 0 <= self.null.upper <= 1,
            "suspect.isolation holds an unknown word": set(self.suspect.isolation) <= set(HOLDS),
            "suspect was not run, and has an isolation, an input or an output": (
                not self.suspect.is_recorded or self.suspect == SuspectRecord.of_responses(self.suspect.digest)
            ),
            "decision.p_value is out of range": 0 <= decision.p_value <= 1,
            "decision.min_matches is out of range": least is None or 0 <= least <= n_asked,
            "decision.verdict contradicts its numbers": {
                Verdict.MATCH: is_significant,
                Verdict.NO_MATCH: decision.p_value > policy.no_match_above,
                Verdict.INCONCLUSIVE: True,
            }[self.verdict],
        }
        complaint = (
            find_broken_claim(claims)
            or self._find_contradiction()
            or find_top_k_contradiction(self.top_k, self.median_rank, self.counts, bundle.n_classes)
            or self._find_miscalculation()
        )
        if complaint:
            raise ReportFormatError(f"report: {complaint}", hint=_HINT)

    def _find_miscalculation(self) -> str:
        """Compute null, p-values, requirement, verdict and gaps again; return what differs, or an empty string."""
        grounds = self.grounds
        if complaint := find_incoherence(self):
            return complaint
        if list_gaps(self) != self.not_tested:
            return "not_tested is not what this verdict leaves open"
        if grounds is None:
            return ""
        if self.tables != table_digest():
            raise ReportVersionError(
                f"the report rests on the tables {self.tables[:23]}, which this release does not have",
                hint="read it with the release that it names under versions",
            )
        again = judge(grounds, self.policy)
        decision, found = again.decision, self.decision
        claims = {
            "null": _is_near(self.null.rate, again.rate.rate)
            and _is_near(self.null.upper, again.rate.upper)
            and self.null.source == again.rate.source,
            "decision.p_value": _is_near(found.p_value, decision.p_value),
            "decision.descent_p_value": _is_near(found.descent_p_value, decision.descent_p_value),
            "decision.min_matches": found.min_matches == decision.min_matches,
            "decision.verdict": found.verdict is decision.verdict,
            "decision.descent": found.descent == decision.descent,
            "decision.reasons": found.reasons == decision.reasons,
        }
        broken = find_broken_claim(claims)
        return f"{broken} is not what the counts give" if broken else ""

    def _find_contradiction(self) -> str:
        return find_contradiction(
            self.checks,
            self.commitment,
            self.timestamp,
            bundle=self.bundle.digest,
            n_asked=self.counts.n_asked,
            is_pinned=self.signer.is_pinned,
        )


def _is_same(found: float | None, expected: float | None) -> bool:
    # Other machines may round a sum otherwise.
    if found is None or expected is None:
        return found is expected
    return isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


def _is_near(found: float | None, expected: float | None) -> bool:
    # Special functions of other machines differ in their last digits.
    if found is None or expected is None:
        return found is expected
    return isclose(found, expected, rel_tol=1e-6, abs_tol=1e-30)


_HINT = "the report was not written by onnxfp, or was edited since: ask for the original"
