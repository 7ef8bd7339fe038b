"""Facts of verifications, evaluations and fingerprints in words, for the terminal and for pages alike.

A fact is worded here and nowhere else. What shows it chooses the facts, their order and their type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxfp.report.wording import describe_descent

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.bundle.manifest import Lineage
    from onnxfp.evidence.null import NullRate
    from onnxfp.evidence.reference_pool import ExcludedReference
    from onnxfp.evidence.statistics import Estimate
    from onnxfp.evidence.verdict import Policy
    from onnxfp.report.evaluation import Evaluation
    from onnxfp.report.parts import Signer, SuspectRecord
    from onnxfp.report.verification import Report
    from onnxfp.types import InputGrid


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact.

    Attributes:
        label: Its name, in lower case.
        value: The number, the digest or a few words.
        notes: What the value is to be held against: an interval, a limit.
        remarks: What else there is to say, a line each.
        is_code: Whether the value is a digest or a key, to be copied whole.
    """

    label: str
    value: str
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers and signs are written.

    Attributes:
        number: Writes a probability with two significant digits.
        minus: The sign of negative numbers.
        times: The sign between factors.
    """

    number: Callable[[float], str]
    minus: str
    times: str

    def signed(self, number: str) -> str:
        """Return a number with this style's minus."""
        return number.replace("-", self.minus)


PLAIN = Style("{:.2g}".format, "-", "x")
"""Every terminal can show it."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose knowledge of keys and references a text repeats.

    Attributes:
        subject: ``you``, or their role.
        possessive: The same, as an owner.
        own: What is theirs.
    """

    subject: str
    possessive: str
    own: str


YOU = Reader("you", "your", "yours")
VERIFIER = Reader("the verifier", "the verifier's", "the verifier")
AUDITOR = Reader("the auditor", "the auditor's", "the auditor")

_ISOLATION = (
    ("process", "in a process of its own"),
    ("memory", "with limited memory"),
    ("time", "and time"),
    ("network", "without network"),
)


def describe_known_key(signer: Signer, reader: Reader) -> str:
    """Return what is known of a key; empty where nothing is."""
    known = [f"{signer.name} (in {reader.possessive} trust store)"] if signer.name else []
    return "; ".join(known + [f"the key {reader.subject} demanded"] * signer.is_pinned)


def describe_key(signer: Signer, reader: Reader, owner: str = "owner") -> str:
    """Return what is known of a key, or that nothing is.

    Args:
        signer: The key.
        reader: Who knows it.
        owner: Whose key it should be.
    """
    if known := describe_known_key(signer, reader):
        return known
    if reader is YOU:
        return f"key not pinned: pass --public-key to require the {owner}'s key"
    return f"key not pinned by {reader.subject}"


def describe_isolation(isolation: Iterable[str]) -> str:
    """Return what a model was kept from while it ran; empty where that is nothing."""
    held = set(isolation)
    words = [text for word, text in _ISOLATION if word in held]
    # "with limited memory and time" reads as one; without the memory, the time needs its own words.
    return ", ".join(words).replace("memory, and", "memory and").replace(", and time", ", with limited time")


def describe_policy(policy: Policy, style: Style) -> Fact:
    """Return what a verdict demands."""
    return Fact(
        "policy",
        f"MATCH at p ≤ {style.number(policy.alpha)}, NO_MATCH above {style.number(policy.no_match_above)}; at least "
        f"{policy.min_examples} examples, {policy.min_answered:.0%} of them answered"
        + ("; references of the verifier's own" * policy.needs_references),
    )


def describe_versions(label: str, versions: Iterable[tuple[str, str]]) -> Fact:
    """Return names and versions of software."""
    return Fact(label, ", ".join(f"{name} {version}" for name, version in versions))


def describe_null(null: NullRate) -> Fact:
    """Return what an unassociated model may match."""
    return Fact(
        "expected",
        f"{null.rate:.1%}",
        ("the mean of unassociated models", f"one in a hundred reaches {null.upper:.0%}"),
        (null.source,),
    )


def describe_signer(signer: Signer, reader: Reader) -> Fact:
    """Return who signed a fingerprint."""
    return Fact("signed by", signer.public_key, remarks=(describe_key(signer, reader),), is_code=True)


def describe_fingerprint(fingerprint: Fingerprint, style: Style) -> tuple[Fact, ...]:
    """Return the facts of a fingerprint, its base and its recipe."""
    manifest = fingerprint.manifest
    base, recipe, grid, parity = manifest.base, manifest.recipe, manifest.grid, manifest.copy_parity
    step = (grid.bounds.upper - grid.bounds.lower) / (grid.n_levels - 1)
    crafted = [
        f"{recipe.kind.upper()}, {recipe.spectrum} seeds within epsilon {recipe.epsilon_levels * step:.4g}",
        f"{recipe.n_steps} steps of {recipe.step_size:.4g}",
    ]
    if recipe.noise:
        crafted.append(f"weight noise {recipe.noise:g} {style.times} {recipe.n_draws}")
    if recipe.cutoff:
        crafted.append(f"lowest {recipe.cutoff} frequencies removed from the {recipe.filtered}")
    gradients = (
        "gradients estimated by queries"
        if parity is None
        else f"gradients of a torch copy that differs from onnxruntime by {parity.max_abs_difference:.2g} at most; "
        f"{parity.n_label_flips} of {parity.n_inputs} labels differ"
    )
    shape = f" {style.times} ".join(map(str, base.input.shape))
    made = (
        f"{manifest.n_examples} of {manifest.n_candidates} candidates, seed {recipe.seed}",
        f"created {manifest.created} by its signer's claim",
    )
    contract = f"{base.input.layout} {shape} {base.input.dtype}, {base.n_classes} classes"
    return (
        Fact("fingerprint", fingerprint.digest, remarks=made, is_code=True),
        Fact("base", base.digest, remarks=(contract, f"input {describe_grid(grid)}"), is_code=True),
        _describe_lineage(manifest.lineage),
        Fact("recipe", ", ".join(crafted), remarks=(gradients,)),
    )


def describe_verification(report: Report, reader: Reader, style: Style) -> tuple[Fact, ...]:
    """Return the facts of a verification, all but the verdict.

    Args:
        report: The outcome.
        reader: Whose verification it is.
        style: How numbers are written.
    """
    counts, decision, policy, bundle = report.counts, report.decision, report.policy, report.bundle
    selected = "" if counts.n_candidates == counts.n_asked else f" (of {counts.n_candidates} candidates)"
    needed = "no count suffices" if decision.min_matches is None else f"{decision.min_matches} needed for MATCH"
    tensors = () if report.suspect.is_recorded else (f"input {report.suspect.input}, output {report.suspect.output}",)
    own = f"{len(report.verifier_references)} of {reader.own}"
    rates: tuple[str, ...] = ()
    if report.transferability is not None:
        rates = (f"match rate {report.transferability:.1%} on average, {report.worst_transferability:.1%} at worst",)
    rates += tuple(map(_describe_excluded, report.excluded_references))
    interval = f"{report.interval.lower:.1%} to {report.interval.upper:.1%}"
    margin = "unknown without references" if report.margin is None else style.signed(f"{report.margin:+.1%}")
    chance = "probability that an unassociated model matches as often"
    return (
        describe_signer(report.signer, reader),
        Fact("suspect", report.suspect.digest, remarks=tensors, is_code=True),
        *_describe_questions(report),
        Fact("base", bundle.base_digest, is_code=True),
        *_describe_base_check(report),
        Fact("fingerprint", bundle.digest, remarks=(f"kind {bundle.kind}, created {bundle.created}",), is_code=True),
        Fact("ran on", _describe_run(report.suspect, reader)),
        Fact("examples", f"{counts.n_asked} asked{selected}", (f"{counts.n_answered} answered",)),
        Fact("matches", f"{counts.n_matches} of {counts.n_asked}", (needed,)),
        Fact("match rate", f"{report.match_rate:.1%}", (f"{policy.confidence:.0%} interval {interval}",)),
        Fact("references", f"{len(report.owner_references)} of the owner, {own}", rates),
        Fact("margin", margin),
        describe_null(report.null),
        Fact("p-value", style.number(decision.p_value), (chance, f"limit {style.number(policy.alpha)}")),
        _describe_descent(report, style),
        _describe_top_k(report, style),
        *_describe_timestamping(report),
    )


def describe_usefulness(evaluation: Evaluation) -> Fact:
    """Return how the usefulness of a model was measured."""
    usefulness = evaluation.usefulness
    measure = "accuracy" if usefulness.measure == "accuracy" else "agreement with the base's labels"
    where = {"labelled data": "labelled inputs", "data": "inputs without labels", "noise": "synthetic inputs"}
    base = f"; the base itself {usefulness.base_rate:.1%}" if usefulness.measure == "accuracy" else ""
    doubt = ("agreement falls faster there than on real inputs; --data takes real ones",)
    return Fact(
        "usefulness",
        f"{measure} on {usefulness.n_inputs} {where[usefulness.source]}{base}",
        remarks=doubt * (usefulness.source == "noise"),
    )


def describe_unasked(evaluation: Evaluation) -> str:
    """Return that every reference failed, or nothing where one answered or none was given."""
    n_given = sum(row.role == "reference" for row in evaluation.rows)
    if evaluation.summary.n_references or not n_given:
        return ""
    if n_given == 1:
        return "the one reference could not be asked"
    return f"none of the {n_given} references could be asked"


def describe_summary(evaluation: Evaluation, style: Style) -> tuple[Fact, ...]:
    """Return the summary of an evaluation: robustness, transferability, uniqueness score, true matches, AUC, ARUC."""
    summary = evaluation.summary
    missing = "needs modified copies"
    if summary.n_references == 0:
        missing = describe_unasked(evaluation) or "needs references"

    def rate(number: float) -> str:
        return f"{number:.1%}"

    def score(number: float) -> str:
        return style.signed(f"{number:.3f}")

    def describe(
        label: str, mean: Estimate | None, worst: Estimate | None, write: Callable[[float], str], gloss: str = ""
    ) -> Fact:
        glosses = (gloss,) if gloss else ()
        if mean is None:
            return Fact(label, "unknown", (*glosses, missing))
        interval = f"{summary.confidence:.0%} interval {write(mean.interval.lower)} to {write(mean.interval.upper)}"
        at_worst = () if worst is None else (f"at worst {write(worst.value)}",)
        return Fact(label, write(mean.value), (*glosses, interval, *at_worst))

    return (
        describe("robustness", summary.robustness, summary.worst_robustness, rate, "copies match"),
        describe("transferability", summary.transferability, summary.worst_transferability, rate, "others match"),
        describe("uniqueness score", summary.uniqueness_score, summary.worst_uniqueness_score, score),
        describe("true matches", summary.true_match_rate, None, rate, "copies above every reference"),
        describe("AUC", summary.auc, None, score),
        describe("ARUC", summary.aruc, None, score),
    )


def describe_verdicts(evaluation: Evaluation) -> tuple[Fact, ...]:
    """Return how many models are a MATCH, and how many rows do not count."""
    summary, least = evaluation.summary, evaluation.min_matches
    n_asked = next((row.outcome.counts.n_asked for row in evaluation.rows if row.outcome), 0)
    needed = "no count" if least is None else f"{least} matches or more"
    return (
        Fact(
            "verdicts",
            f"{summary.n_convicted} of {summary.n_variants} variants and {summary.n_accused} of "
            f"{summary.n_references} references are a MATCH: {needed} of {n_asked}, at {evaluation.policy.alpha:g}",
        ),
        Fact("not counted", f"{summary.n_broken} broken, {summary.n_failed} failed"),
    )


def describe_grid(grid: InputGrid) -> str:
    """Return bounds and normalisation of an input in one line."""
    text = f"bounds {grid.bounds.lower:g} to {grid.bounds.upper:g}"
    if any(mean != 0.0 for mean in grid.mean) or any(std != 1.0 for std in grid.std):
        numbers = (", ".join(f"{value:.4g}" for value in values) for values in (grid.mean, grid.std))
        text += ", mean {}, std {}".format(*numbers)
    return text


def _describe_lineage(lineage: Lineage) -> Fact:
    """Return what the owner declares of the base's descent."""
    words = {
        "undeclared": "undeclared: a MATCH means common lineage",
        "from scratch": "the owner declares that the base derives from no other model",
        "declared": "ancestors declared: a MATCH takes eight co-descendants",
    }
    ancestors = tuple(
        f"{one.digest[:23]}... " + ("not asked" if one.n_matches is None else f"{one.n_matches} matches")
        for one in lineage.ancestors
    )
    return Fact("ancestors", words[lineage.claim], remarks=ancestors)


def _describe_questions(report: Report) -> tuple[Fact, ...]:
    """Return how the suspect was fed, and how the base is, where that differs."""
    question, bundle = report.suspect.question, report.bundle
    if question is None:
        return ()
    fed = f"{question.layout} {question.shape} {question.dtype}, {describe_grid(question.grid)}"
    remarks = [
        f"input {one.name} fixed by the verifier: {one.n_values} different values, {one.digest}"
        for one in question.fixed
    ]
    if bundle.grid is not None and (bundle.grid, bundle.layout) != (question.grid, question.layout):
        remarks.append(f"the base takes {bundle.layout} {bundle.shape}, {describe_grid(bundle.grid)}")
    probes = report.probes
    if probes is not None and probes.window is not None:
        remarks.append(f"the suspect tells {probes.window:.0%} of the range apart")
    if probes is not None and probes.is_linear is not None:
        remarks.append("the suspect is nearly linear" if probes.is_linear else "the suspect is not nearly linear")
    return (Fact("fed with", fed, remarks=tuple(remarks)),)


def _describe_base_check(report: Report) -> tuple[Fact, ...]:
    """Return what the base itself answered, where the verifier asked it."""
    if report.base_check is None:
        return ()
    n_matches, n_asked = report.base_check.n_matches, report.counts.n_asked
    return (Fact("base check", f"asked by the verifier: {n_matches} of {n_asked} recorded labels hold"),)


def _describe_excluded(reference: ExcludedReference) -> str:
    if reference.same_as is not None:
        return f"not counted: {reference.digest[:23]}... answers as {reference.same_as[:23]}... does"
    return f"not counted: {reference.digest[:23]}... cannot answer the task, it gave {reference.n_labels} classes"


def _describe_descent(report: Report, style: Style) -> Fact:
    """Return the result on common descent."""
    decision, descent = report.decision, report.descent
    notes = () if decision.descent_p_value is None else (f"p-value {style.number(decision.descent_p_value)}",)
    remarks = [
        f"ancestor {one.digest[:23]}..., declared by the {one.declared_by}: "
        + ("not asked" if one.n_matches is None else f"{one.n_matches} matches")
        for one in descent.ancestors
    ]
    if descent.co_descendants:
        counts = ", ".join(str(one.n_matches) for one in descent.co_descendants)
        remarks.append(f"{len(descent.co_descendants)} co-descendants: {counts} matches")
    return Fact("descent", decision.descent, (*notes, describe_descent(decision.descent)), tuple(remarks))


def _describe_run(suspect: SuspectRecord, reader: Reader) -> str:
    if suspect.is_recorded:
        return "not here: the verifier asked, and recorded the responses"
    where = ", ".join(provider.removesuffix("ExecutionProvider") for provider in suspect.providers)
    unlimited = f"in {reader.possessive} own process, without limits"
    return f"onnxruntime, {where}; {describe_isolation(suspect.isolation) or unlimited}"


def _describe_top_k(report: Report, style: Style) -> Fact:
    if report.median_rank is None:
        return Fact("top k", "none: the suspect gives labels only")
    evidence = [f"top {entry.k}: {entry.rate:.1%}, p {style.number(entry.p_value)}" for entry in report.top_k]
    ranks = f"median rank {report.median_rank:g} of {report.bundle.n_classes}"
    return Fact("top k", "; ".join([*evidence, ranks]), remarks=("no part of the verdict",))


def _describe_timestamping(report: Report) -> list[Fact]:
    facts, commitment, timestamp = [], report.commitment, report.timestamp
    if commitment is not None:
        is_dated = timestamp is not None and timestamp.subject == "commitment"
        known = "time-stamped" if is_dated else "NOT COMPARED with a published value"
        known = "the published value" if commitment.is_demanded else known
        facts.append(Fact("commitment", commitment.value, remarks=(f"opens to this bundle; {known}",), is_code=True))
    if timestamp is not None:
        before = f"the {timestamp.subject} existed before {timestamp.existed_before}"
        facts.append(Fact("time-stamp", before, remarks=(f"by {timestamp.authority}",)))
    return facts
