"""The page of one verification: what was asked, what came out, and how far it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxfp.evidence.top_k import CAVEAT, NO_SCORES, NO_TOP_K
from onnxfp.evidence.verdict import Verdict
from onnxfp.report.facts import (
    VERIFIER,
    describe_isolation,
    describe_policy,
    describe_verification,
    describe_versions,
)
from onnxfp.report.html.contact_sheet import page_sheet
from onnxfp.report.html.formatting import chance, scientific
from onnxfp.report.html.provenance import check_same, fingerprint_rows, to_rows
from onnxfp.report.html.template import STYLE, TONES, render
from onnxfp.report.html.verification_figure import draw_match_line
from onnxfp.report.wording import describe_descent

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.report.verification import Report


_HEAD = ("matches", "match rate", "expected", "p-value")
_MORE = ("fed with", "ran on", "base check", "references", "descent", "commitment", "time-stamp")


def render_verification(report: Report, fingerprint: Fingerprint, suspect: str, bundle: str) -> str:
    """Return the page of a verification.

    Args:
        report: The outcome.
        fingerprint: What the suspect was asked.
        suspect: Name of the suspect's file, which the report does not hold; any text.
        bundle: Name of the bundle's file; any text.

    Raises:
        ParameterError: The report is about another fingerprint.
    """
    check_same(report.bundle.digest, fingerprint.digest)
    counts, decision, null = report.counts, report.decision, report.null
    isolation = describe_isolation(report.suspect.isolation)
    facts = {fact.label: fact for fact in describe_verification(report, VERIFIER, STYLE)}
    versions = describe_versions("verified with", report.versions)
    references = [("verifier", reference) for reference in report.verifier_references]
    references += [("owner", reference) for reference in report.owner_references]
    return render(
        "verification.html",
        report=report,
        counts=counts,
        decision=decision,
        suspect=suspect,
        descent=describe_descent(decision.descent),
        tone=TONES[report.verdict],
        # The null is about all candidates; one that was not kept cannot have matched.
        n_expected=round(null.rate * counts.n_candidates),
        n_upper=min(counts.n_asked, round(null.upper * counts.n_candidates)),
        p_value=scientific(decision.p_value),
        chance=chance(decision.p_value),
        alpha_chance=chance(report.policy.alpha),
        facts=[facts[label] for label in _HEAD],
        drawing=draw_match_line(report),
        run=f", {isolation}," if isolation else "",
        references=references,
        strength=_strength(report),
        caveat=CAVEAT,
        no_top_k=NO_TOP_K,
        no_scores=NO_SCORES,
        not_tested=report.gaps,
        sheet=page_sheet(fingerprint),
        provenance=(
            *to_rows([facts["suspect"]], suspect=suspect),
            *fingerprint_rows(fingerprint, bundle, report.signer),
            *to_rows([facts[label] for label in _MORE if label in facts]),
            *to_rows([describe_policy(report.policy, STYLE), versions]),
        ),
        command=f"onnxfp verify SUSPECT FINGERPRINT --public-key {report.signer.public_key}",
    )


def _strength(report: Report) -> str:
    decision, policy, counts = report.decision, report.policy, report.counts
    rule = (
        "A verdict of MATCH is given only where a model that owes the base nothing would agree as often with a "
        f"probability of at most {scientific(policy.alpha)}, {chance(policy.alpha)}: that is the rate at which "
        "innocent models would be accused."
    )
    if decision.min_matches is None:
        found = f"With what is known of such models, no count of {counts.n_asked} examples reaches it here."
    else:
        found = f"Here it takes {decision.min_matches} of {counts.n_asked} matches; {counts.n_matches} were observed."
    if counts.n_candidates > counts.n_asked:
        found += (
            f" The owner kept {counts.n_asked} of {counts.n_candidates} examples; all of them count, those that were "
            "not kept as mismatches, so that choosing the lucky ones gains nothing."
        )
    if report.verdict is Verdict.NO_MATCH and decision.p_value <= 0.995:
        found += f" As many matches or more are to be expected of {chance(decision.p_value)} of such models."
    return f"{rule} {found}"
