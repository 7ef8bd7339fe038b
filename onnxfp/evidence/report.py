"""The record of one verification: every number a verdict rests on, versioned, as text that a program can read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from onnxfp.evidence.null import NullRate, ReferenceCount
from onnxfp.evidence.statistics import Interval
from onnxfp.evidence.verdict import Counts, Decision, Policy, Verdict

SCHEMA = "onnxfp/verification/1"

NOT_TESTED = (
    "Who trained first: a match says that one model derives from the other, not which.",
    "When the fingerprint was made: the time in the bundle is its signer's claim.",
    "Whether a mismatching suspect was stolen and then changed beyond recognition.",
)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed the bundle.

    Attributes:
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
        is_pinned: Whether the verifier demanded this very key.
    """

    public_key: str
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class SuspectRecord:
    """The model under test.

    Attributes:
        digest: ``sha256:<hex>`` of its file.
        providers: onnxruntime's execution providers as actually used, in order.
        isolation: What it was kept from while it ran: ``process``, ``time``, ``memory``, ``network``; empty where it
            ran in the verifier's own process.
        input: Name of the input that was fed.
        output: Name of the output that was read.
    """

    digest: str
    providers: tuple[str, ...]
    isolation: tuple[str, ...]
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class BundleRecord:
    """The fingerprint.

    Attributes:
        digest: ``sha256:<hex>`` of the bundle file.
        base_digest: ``sha256:<hex>`` of the base model's file.
        kind: Kind of its examples.
        n_classes: Number of classes.
        created: Time of generation that the signer claims.
    """

    digest: str
    base_digest: str
    kind: str
    n_classes: int
    created: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked before the suspect was asked.

    Attributes:
        name: What was checked.
        rules_out: The deceit that it rules out.
    """

    name: str
    rules_out: str


CHECKS = (
    Check("file", "a damaged, bloated or ambiguous bundle file"),
    Check("signature", "a bundle altered after it was signed"),
    Check("labels", "labels chosen so that independent models agree with them"),
    Check("seeds", "inputs chosen at will: each lies within epsilon of the seed that the key and base model derive"),
    Check("selection", "keeping the lucky ones of many candidates: all candidates count in the p-value"),
)


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
        verifier_references: The verifier's pool, measured now.
        transferability: Mean match rate of all references, or ``None`` without any.
        worst_transferability: Their largest match rate, or ``None`` without any.
        margin: Match rate minus transferability, or ``None`` without references.
        null: What an unassociated model may match, under the distribution that decided.
        policy: What was demanded.
        decision: Verdict, p-value and reasons.
        checks: What was checked before; each passed, or there would be no report.
        not_tested: What the verdict says nothing about.
        versions: Name and version of the software that verified.
    """

    signer: Signer
    bundle: BundleRecord
    suspect: SuspectRecord
    counts: Counts
    match_rate: float
    interval: Interval
    owner_references: tuple[ReferenceCount, ...]
    verifier_references: tuple[ReferenceCount, ...]
    transferability: float | None
    worst_transferability: float | None
    margin: float | None
    null: NullRate
    policy: Policy
    decision: Decision
    checks: tuple[Check, ...]
    not_tested: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]

    @property
    def verdict(self) -> Verdict:
        """The answer to: is the suspect derived from the base?"""
        return self.decision.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values, with its schema version."""
        record = asdict(self)
        record["decision"]["verdict"] = self.verdict.value
        record["versions"] = dict(self.versions)
        return {"schema": SCHEMA, **record}

    def to_json(self) -> str:
        """Return the record as JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=2, allow_nan=False)
