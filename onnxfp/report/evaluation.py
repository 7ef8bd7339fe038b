"""The record of one evaluation: how a fingerprint does on modified copies of its base and on unassociated models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isclose
from typing import Any, Literal

from onnxfp.bundle.canonical_json import Json, load_any_layout
from onnxfp.bundle.records import MAX_TEXT, build, find_broken_claim, is_digest, is_key
from onnxfp.errors import ReportFormatError, ReportVersionError, translate_codec
from onnxfp.evidence.null import NullRate, ReferenceCount
from onnxfp.evidence.statistics import Estimate, Interval
from onnxfp.evidence.verdict import Counts, Policy, Verdict
from onnxfp.report.parts import BundleRecord, Signer
from onnxfp.report.schemas import upgrade
from onnxfp.text import escape_text, quote_text

SCHEMA = "onnxfp/evaluation/2"

MAX_LOSS = 0.15
"""A variant that lost more accuracy than this, or agreement on data, is a broken product: no theft worth catching."""

MAX_LOSS_ON_NOISE = 0.5
"""The same for agreement on synthetic scenes, which falls about three times as fast: of the CIFAR-10 base's variants,
those that lost 15 points of agreement on photographs had lost 48 to 53 points there, and independent models of full
accuracy agree with the base on 39 to 47 %."""

Role = Literal["variant", "query", "own_variant", "reference"]
"""A modified copy that was made here, the base asked with modified inputs, a copy that was given, an unassociated
model."""

Suite = Literal["quick", "standard", "full"]
Measure = Literal["accuracy", "agreement"]
Source = Literal["labelled data", "data", "noise"]


@dataclass(frozen=True, slots=True)
class Usefulness:
    """What a model is still good for, measured on inputs that are no examples.

    Attributes:
        measure: ``accuracy`` against the labels of the data, or ``agreement`` with the base's labels.
        source: The inputs: the data's images with or without labels; or, where there are no data, noise: synthetic
            scenes for images, and what seeds are drawn from for other inputs.
        n_inputs: Number of inputs.
        base_rate: Accuracy of the base itself; 1 for agreement.
        max_loss: A variant that lost more than this is broken.
        digest: ``sha256:<hex>`` of the data file, or ``None`` for noise.
    """

    measure: Measure
    source: Source
    n_inputs: int
    base_rate: float
    max_loss: float
    digest: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one model answered the examples.

    Attributes:
        digest: ``sha256:<hex>`` of the model that was asked; for modified inputs, of the base.
        counts: What was observed.
        match_rate: Matches over examples asked, in [0, 1].
        interval: Exact interval of the match rate, at the policy's confidence.
        p_value: Probability that an unassociated model matches at least as often, under the null. For a reference, the
            null is that of all the others.
        verdict: As ``verify`` would give it with the same references; for a reference, with all the others.
        top5_match_rate: Share of the examples whose recorded label is within the top 5 of the scores, ties counting
            against it; ``None`` where the model gives labels only, or has no more than five classes.
        usefulness: Accuracy or agreement, see :class:`Usefulness`, in [0, 1].
    """

    digest: str
    counts: Counts
    match_rate: float
    interval: Interval
    p_value: float
    verdict: Verdict
    top5_match_rate: float | None
    usefulness: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: Stable name of the variant (``prune-global-0.5``), or the file's name without its suffix.
        role: What it is.
        family: Family of variants, for example ``magnitude pruning, global``; of files, their role in words.
        parameter: The strength within the family (a pruning share, a number of bits), or ``None``.
        outcome: How it answered, or ``None`` where it failed.
        is_broken: Whether a variant lost more than ``max_loss``, and stands outside the summary.
        error: Why there is no outcome, or empty.
        seconds: Time that making and asking it took.
    """

    name: str
    role: Role
    family: str
    parameter: float | None
    outcome: Outcome | None
    is_broken: bool
    error: str
    seconds: float

    def __post_init__(self) -> None:
        # Names of files and messages of libraries: none may be one with which the record could not be read again.
        for name in ("name", "family", "error"):
            object.__setattr__(self, name, escape_text(getattr(self, name), MAX_TEXT))

    @property
    def counts_as_variant(self) -> bool:
        """Whether it enters the summary's robustness."""
        return self.outcome is not None and self.role != "reference" and not self.is_broken

    @property
    def counts_as_reference(self) -> bool:
        """Whether it enters the summary's transferability."""
        return self.outcome is not None and self.role == "reference"


@dataclass(frozen=True, slots=True)
class Summary:
    """The fingerprint in a few numbers; see :mod:`onnxfp.evidence.uniqueness` for what each is.

    Broken variants and failed rows do not count. What needs variants, or references, is ``None`` without any.

    Attributes:
        n_variants: Variants that count.
        n_references: References that count.
        n_broken: Variants that lost too much.
        n_failed: Rows without an outcome.
        n_convicted: Variants that count whose verdict is MATCH.
        n_accused: References whose verdict is MATCH.
        robustness: Mean match rate of the variants.
        worst_robustness: Their least match rate.
        transferability: Mean match rate of the references.
        worst_transferability: Their largest match rate.
        uniqueness_score: Robustness less transferability.
        worst_uniqueness_score: Worst robustness less worst transferability.
        auc: Area under the receiver operating characteristic.
        aruc: Area under the robustness and uniqueness curves.
        true_match_rate: Share of the variants that match more than every reference.
        confidence: Coverage of the intervals.
        n_resamples: Resamples of the bootstrap.
    """

    n_variants: int
    n_references: int
    n_broken: int
    n_failed: int
    n_convicted: int
    n_accused: int
    robustness: Estimate | None
    worst_robustness: Estimate | None
    transferability: Estimate | None
    worst_transferability: Estimate | None
    uniqueness_score: Estimate | None
    worst_uniqueness_score: Estimate | None
    auc: Estimate | None
    aruc: Estimate | None
    true_match_rate: Estimate | None
    confidence: float
    n_resamples: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one evaluation.

    Attributes:
        signer: Who signed the bundle.
        bundle: The fingerprint.
        suite: Which variants were made.
        usefulness: How usefulness was measured.
        rows: The table: variants by family and strength, own variants, references.
        summary: The fingerprint in a few numbers.
        owner_references: The owner's pool, as the bundle records it; they raise the null and are no rows.
        null: What an unassociated model may match, where a MATCH begins.
        min_matches: Fewest matches that are a MATCH, or ``None`` if no count is.
        policy: What a verdict demands.
        versions: Name and version of the software, by name.
    """

    signer: Signer
    bundle: BundleRecord
    suite: Suite
    usefulness: Usefulness
    rows: tuple[Row, ...]
    summary: Summary
    owner_references: tuple[ReferenceCount, ...]
    null: NullRate
    min_matches: int | None
    policy: Policy
    versions: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        # In JSON they are an object, which has no order.
        object.__setattr__(self, "versions", tuple(sorted(self.versions)))

    @property
    def variants(self) -> tuple[Row, ...]:
        """The variants that enter the summary."""
        return tuple(row for row in self.rows if row.counts_as_variant)

    @property
    def references(self) -> tuple[Row, ...]:
        """The references that enter the summary."""
        return tuple(row for row in self.rows if row.counts_as_reference)

    @property
    def broken(self) -> tuple[Row, ...]:
        """The variants that lost too much to count."""
        return tuple(row for row in self.rows if row.is_broken)

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows without an outcome."""
        return tuple(row for row in self.rows if row.outcome is None)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values, with its schema version."""
        record = asdict(self)
        for row in record["rows"]:
            if row["outcome"] is not None:
                row["outcome"]["verdict"] = row["outcome"]["verdict"].value
        record["versions"] = dict(self.versions)
        return {"schema": SCHEMA, **record}

    def to_json(self) -> str:
        """Return the record as JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Return the evaluation that ``text`` holds, as :meth:`to_json` wrote it or with another layout.

        It proves nothing by itself: anybody can write one.

        Raises:
            ReportFormatError: It is no JSON object, a field is missing, unknown or of the wrong type, or numbers
                contradict each other.
            ReportVersionError: The schema is not one that this release reads.
        """
        with translate_codec(ReportFormatError, _HINT):
            value = upgrade(load_any_layout(text, "the evaluation"), SCHEMA)
            if value.get("schema") != SCHEMA:
                raise ReportVersionError(
                    f"the evaluation has schema {quote_text(str(value.get('schema')))}; this release reads {SCHEMA!r}",
                    hint="install a newer onnxfp",
                )
            evaluation: Evaluation = build(cls, _without_schema(value), "evaluation")
        _check(evaluation)
        return evaluation


def _without_schema(value: Json) -> Json:
    record = {key: item for key, item in value.items() if key != "schema"}
    if isinstance(record.get("versions"), dict):
        record["versions"] = [list(pair) for pair in record["versions"].items()]
    return record


def _check(evaluation: Evaluation) -> None:
    """Raise unless the numbers fit each other."""
    outcomes = [row.outcome for row in evaluation.rows if row.outcome is not None]
    summary = evaluation.summary
    data = evaluation.usefulness.digest
    digests = [evaluation.bundle.digest, evaluation.bundle.base_digest, *(outcome.digest for outcome in outcomes)]
    digests += [] if data is None else [data]
    claims = {
        "a digest is no SHA-256 digest": all(map(is_digest, digests)),
        "signer.public_key is not 64 hexadecimal digits": is_key(evaluation.signer.public_key),
        "a row has both an outcome and an error, or neither": all(
            (row.outcome is None) == bool(row.error) for row in evaluation.rows
        ),
        "a match rate contradicts its counts": all(
            isclose(o.match_rate, o.counts.n_matches / o.counts.n_asked, rel_tol=1e-9, abs_tol=1e-12) for o in outcomes
        ),
        "a rate lies outside [0, 1]": all(
            0 <= rate <= 1
            for o in outcomes
            for rate in (o.match_rate, o.p_value, o.usefulness, o.top5_match_rate or 0.0)
        ),
        "an interval does not contain its match rate": all(
            o.interval.lower <= o.match_rate <= o.interval.upper for o in outcomes
        ),
        "the summary counts other rows": (
            summary.n_variants == len(evaluation.variants)
            and summary.n_references == len(evaluation.references)
            and summary.n_broken == len(evaluation.broken)
            and summary.n_failed == len(evaluation.failed)
        ),
        "robustness contradicts the rows": _is_mean(summary.robustness, evaluation.variants),
        "transferability contradicts the rows": _is_mean(summary.transferability, evaluation.references),
    }
    if complaint := find_broken_claim(claims):
        raise ReportFormatError(f"evaluation: {complaint}", hint=_HINT)


def _is_mean(estimate: Estimate | None, rows: Iterable[Row]) -> bool:
    rates = [row.outcome.match_rate for row in rows if row.outcome is not None]
    if estimate is None or not rates:
        return estimate is None and not rates
    return isclose(estimate.value, sum(rates) / len(rates), rel_tol=1e-9, abs_tol=1e-12)


_HINT = "the evaluation was not written by onnxfp, or was edited since"
