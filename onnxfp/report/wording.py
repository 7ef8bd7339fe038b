"""Reasons and gaps of a verdict in words.

A report holds them as codes, which follow from its numbers: whoever reads a report derives the codes again, so that
none can be edited or left out. The words are this release's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from onnxfp.evidence.lineage import ENOUGH_CO_DESCENDANTS, DescentStatus

if TYPE_CHECKING:
    from onnxfp.evidence.lineage import Descent
    from onnxfp.evidence.null import ReferenceCount
    from onnxfp.evidence.priors import Conditions
    from onnxfp.evidence.verdict import Counts, Decision, Policy, Reason
    from onnxfp.report.checks import CommitmentRecord
    from onnxfp.report.parts import BaseCheck, BundleRecord, Probes, Signer, SuspectRecord
    from onnxfp.trust.timestamp import Timestamp

LINEAGE_PAGE = "docs/lineage.md"
"""The page that defines derived, ancestor, sibling by descent and unassociated."""

Gap = Literal[
    "responses",
    "order in time",
    "common descent",
    "date",
    "change beyond recognition",
    "base",
    "linearity",
    "input range",
    "owner of the key",
    "own references",
    "other commitments",
    "numbers",
]
"""Something that a verdict says nothing about; :func:`describe_gap` puts it into words."""

MATCH_SENTENCE = "Suspect and base have a common lineage."


class Verified(Protocol):
    """What the words of a verification depend on; :class:`~onnxfp.report.verification.Report` has it."""

    @property
    def signer(self) -> Signer: ...  # noqa: D102 - as in Report, and so are the others
    @property
    def bundle(self) -> BundleRecord: ...  # noqa: D102
    @property
    def suspect(self) -> SuspectRecord: ...  # noqa: D102
    @property
    def counts(self) -> Counts: ...  # noqa: D102
    @property
    def policy(self) -> Policy: ...  # noqa: D102
    @property
    def conditions(self) -> Conditions | None: ...  # noqa: D102
    @property
    def decision(self) -> Decision: ...  # noqa: D102
    @property
    def descent(self) -> Descent: ...  # noqa: D102
    @property
    def verifier_references(self) -> tuple[ReferenceCount, ...]: ...  # noqa: D102
    @property
    def base_check(self) -> BaseCheck | None: ...  # noqa: D102
    @property
    def probes(self) -> Probes | None: ...  # noqa: D102
    @property
    def commitment(self) -> CommitmentRecord | None: ...  # noqa: D102
    @property
    def timestamp(self) -> Timestamp | None: ...  # noqa: D102


_DESCENT: dict[DescentStatus, str] = {
    "not examined": "common descent was not examined: siblings by descent may match as copies do",
    "none declared": "the owner declares that the base has no ancestor",
    "possible": "descent from a declared ancestor may explain the matches",
    "excluded": "descent from the declared ancestors hardly explains the matches",
}


def describe_descent(status: DescentStatus) -> str:
    """Return the result on common descent in one line."""
    return _DESCENT[status]


def explain_reason(reason: Reason, report: Verified) -> str:
    """Return one ground of a verdict as a sentence."""
    counts, decision, policy = report.counts, report.decision, report.policy
    chance = f"An unassociated model would match this often with a probability of {decision.p_value:.2g}"
    least = decision.min_matches
    needs = f" A MATCH needs {least}." if least is not None else " No count would be a MATCH."
    match reason:
        case "significant":
            return f"{chance}. The policy takes {policy.alpha:g} or less as proof of a common lineage."
        case "insignificant":
            return (
                f"{counts.n_matches} of {counts.n_asked} examples match. Unassociated models match that often.{needs}"
            )
        case "remarkable":
            return f"{chance}: remarkable, but the policy demands {policy.alpha:g} or less.{needs}"
        case "crafted":
            return f"{chance}, but examples can be crafted so that one does.{needs}"
        case "few examples":
            return f"The fingerprint has {counts.n_asked} examples; the policy demands {policy.min_examples}."
        case "few answers":
            return (
                f"The suspect answered {counts.n_answered} of {counts.n_asked} examples; the policy demands "
                f"{policy.min_answered:.0%}."
            )
        case "no references":
            return "The policy demands references of the verifier's own, and none were given."
        case "no count suffices":
            return (
                f"No count of {counts.n_asked} examples reaches p <= {policy.alpha:g}: unassociated models match too "
                "often, or can be made to, or too few of them were measured."
            )
        case "descent" | "descent unknown":
            n = len(report.descent.co_descendants)
            if n < ENOUGH_CO_DESCENDANTS:
                return (
                    f"An ancestor is declared, and {n} of its other descendants were asked. A MATCH needs "
                    f"{ENOUGH_CO_DESCENDANTS}: pass --co-descendant."
                )
            return f"A further descendant of the ancestors may match this often (p {decision.descent_p_value:.2g})."
        case "chosen input":
            return (
                "The verifier chose several values for another input of the suspect (--fix). Such values can make a "
                "model match."
            )


def list_gaps(report: Verified) -> tuple[Gap, ...]:
    """Return what a verdict says nothing about."""
    suspect, probes = report.suspect, report.probes
    is_match = report.decision.verdict.value == "MATCH"
    is_base = suspect.digest == report.bundle.base_digest
    gaps: dict[Gap, bool] = {
        "responses": suspect.is_recorded,
        "order in time": True,
        "common descent": report.decision.descent != "excluded",
        "date": True,
        "change beyond recognition": True,
        "base": not is_base and report.base_check is None,
        "linearity": is_match and (probes is None or probes.is_linear is None),
        "input range": is_match and (probes is None or probes.window is None),
        "owner of the key": not report.signer.is_pinned and report.signer.name is None,
        "own references": not report.verifier_references,
        "other commitments": report.commitment is not None and report.commitment.n_bundles is None,
        "numbers": report.conditions is None,
    }
    return tuple(gap for gap, is_open in gaps.items() if is_open)


def describe_gap(gap: Gap, report: Verified) -> str:
    """Return something that a verdict says nothing about as a sentence."""
    if gap == "common descent":
        return f"Siblings by descent: {describe_descent(report.decision.descent)} ({LINEAGE_PAGE})."
    if gap == "date":
        return _describe_date(report)
    return _GAPS[gap]


_GAPS: dict[Gap, str] = {
    "responses": "Whether these are the suspect's responses: onnxfp did not ask it. The verifier did.",
    "order in time": "Who trained first: a match is no statement about which model derives from which.",
    "change beyond recognition": "Whether a mismatching suspect was stolen and then changed beyond recognition.",
    "base": "Whether the base model itself gives the recorded labels: pass --base to check it.",
    "linearity": (
        "Whether the suspect is nearly linear. Independent nearly linear models of one task match as copies do."
    ),
    "input range": "Whether the suspect tells the whole range of its input apart.",
    "owner of the key": (
        "Whose fingerprint it is: the key that signed it was neither demanded nor known to the verifier."
    ),
    "own references": "References of the verifier's own: the null rests on measurements by others alone.",
    "other commitments": ("To how many bundles the owner committed: one of many could have been chosen afterwards."),
    "numbers": (
        "Whether null, p-value and verdict follow from the counts: the report is of schema 1, and cannot be computed "
        "again."
    ),
}


def _describe_date(report: Verified) -> str:
    if report.timestamp is not None:
        return (
            f"When the fingerprint was made: it existed before {report.timestamp.existed_before}, by the word of the "
            "time-stamp authority. How long before is its signer's claim. Whether the authority revoked its "
            "certificate was not looked up."
        )
    if report.commitment is not None:
        return (
            "When the fingerprint was made: before its commitment was published. When that was is for the reader to "
            "find out."
        )
    return "When the fingerprint was made: the time in the bundle is its signer's claim."
