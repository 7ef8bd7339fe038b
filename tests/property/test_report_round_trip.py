"""Whatever a verification can report comes back equal from its JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxfp.evidence.lineage import AncestorCount, Descent
from onnxfp.evidence.null import NullRate, ReferenceCount
from onnxfp.evidence.priors import Conditions, table_digest
from onnxfp.evidence.reference_pool import ExcludedReference, min_labels
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.evidence.top_k import LADDER, TopKEvidence, count_within
from onnxfp.evidence.verdict import Counts, Grounds, Policy, judge
from onnxfp.report.checks import ALWAYS, Check, CommitmentRecord
from onnxfp.report.parts import (
    BaseCheck,
    BundleRecord,
    FixedInput,
    Probes,
    Question,
    Signer,
    SuspectRecord,
)
from onnxfp.report.verification import Report
from onnxfp.report.wording import list_gaps
from onnxfp.trust.timestamp import Timestamp
from onnxfp.types import Bounds, InputGrid

CREATED = "2026-01-02T03:04:05Z"
# What str.isprintable accepts; drawing and filtering would discard most of what is drawn.
TEXT = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=40)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")
KEYS = st.binary(min_size=32, max_size=32).map(bytes.hex)
NAMES = st.none() | st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{3,20}", fullmatch=True).filter(
    lambda name: not name.lower().startswith(("con", "prn", "aux", "nul", "com", "lpt"))
)


@st.composite
def reports(draw: Any) -> Report:
    """Draw what ``onnxfp.verify`` could have composed."""
    n_asked = draw(st.integers(1, 80))
    n_answered = draw(st.integers(0, n_asked))
    n_matches = draw(st.integers(0, n_answered))
    counts = Counts(n_matches, n_answered, n_asked, n_asked + draw(st.integers(0, 50)))
    measured = st.builds(ReferenceCount, DIGESTS, st.integers(0, n_asked), st.just(n_asked))
    pools = st.lists(measured, max_size=9, unique_by=lambda one: one.digest).map(tuple)
    owner, own = draw(pools), draw(pools)
    n_classes = draw(st.integers(2, 1000))
    policy = Policy(
        alpha=draw(st.floats(1e-12, 1e-2)),
        min_examples=draw(st.integers(1, 50)),
        needs_references=draw(st.booleans()),
        confidence=draw(st.floats(0.01, 0.999)),
    )
    # An example without an answer has the last rank.
    answered = draw(st.lists(st.integers(1, n_classes), min_size=n_answered, max_size=n_answered))
    ranks = np.array(answered + [n_classes] * (n_asked - n_answered), np.int64)
    gives_scores = draw(st.booleans())
    steps = [k for k in LADDER if k < n_classes and gives_scores and draw(st.booleans())]
    rate = st.floats(0, 1)
    grades = [
        TopKEvidence(k, n, n / n_asked, NullRate(draw(rate), draw(rate), draw(TEXT)), draw(rate))
        for k, n in ((k, count_within(ranks, k)) for k in steps)
    ]
    signer, n_levels = Signer(draw(KEYS), draw(st.booleans()), draw(NAMES)), draw(st.sampled_from([256, 65536]))
    grid = InputGrid(Bounds(0, draw(st.sampled_from([1, 4, 255]))), n_levels)
    spectrum = draw(st.sampled_from(["white", "coarse", "pink"]))
    bundle = BundleRecord(
        draw(DIGESTS),
        draw(DIGESTS),
        "ltrc",
        n_classes,
        draw(st.integers(1, n_levels - 1)),
        n_levels,
        CREATED,
        spectrum,
        (3, 32, 32),
        "NCHW",
        grid,
    )
    share = st.none() | st.floats(0, 1)
    window, fed = draw(st.none() | st.floats(1e-3, 1)), draw(share)
    # The ball of a suspect is at least as large as the bundle's.
    least = max(bundle.epsilon_levels / (n_levels - 1), fed or 0) / (window or 1)
    epsilon = min(1.0, max(least, draw(st.floats(0, 1))))
    conditions = Conditions(spectrum, epsilon, n_classes, (32, 32), grid.is_usual, draw(st.booleans()))
    number = st.none() | st.integers(0, n_asked)
    is_from_scratch = draw(st.booleans())
    declarer = st.just("verifier") if is_from_scratch else st.sampled_from(["owner", "verifier"])
    ancestors = st.lists(
        st.builds(AncestorCount, DIGESTS, declarer, number), max_size=2, unique_by=lambda one: one.digest
    )
    descent = Descent(is_from_scratch, tuple(draw(ancestors)), draw(pools))
    fixed = st.builds(FixedInput, st.text(), st.integers(1, 3), DIGESTS)
    question = Question((3, 32, 32), "NCHW", "float32", grid, tuple(draw(st.lists(fixed, max_size=2))))
    excluded = st.builds(
        ExcludedReference,
        DIGESTS,
        st.integers(0, n_asked),
        st.integers(0, min_labels(n_classes) - 1),
        st.none(),
    )
    if own:
        alike = st.builds(
            ExcludedReference, DIGESTS, st.integers(0, own[0].n_matches), st.integers(0, 9), st.just(own[0].digest)
        )
        excluded |= alike
    is_linear = st.sampled_from([None, False, True] if conditions.is_linear else [None, False])
    commitment = draw(
        st.none() | st.builds(CommitmentRecord, DIGESTS, st.booleans(), st.none() | st.integers(1, 10**6))
    )
    policy_grounds = Grounds(
        counts,
        conditions,
        owner,
        own,
        descent,
        (commitment.n_bundles if commitment else None) or 1,
        question.is_chosen,
    )
    judgement = judge(policy_grounds, policy)
    asked = {one.digest for one in (*own, *descent.co_descendants)}
    subject = draw(st.sampled_from(["bundle", *(["commitment"] if commitment else [])]))
    about = commitment.value if commitment and subject == "commitment" else bundle.digest
    stamps = st.builds(Timestamp, st.just(subject), st.just(about), st.just(CREATED), st.text(), DIGESTS, TEXT, TEXT)
    timestamp = draw(st.none() | stamps)
    names = (*ALWAYS, *(["commitment"] if commitment else []), *(["timestamp"] if timestamp else []))
    counted = {"key": int(signer.is_pinned)} | dict.fromkeys(("labels", "seeds", "grid", "selection"), n_asked)
    rates = [reference.rate for reference in (*owner, *own)]
    match_rate, mean = n_matches / n_asked, sum(rates) / len(rates) if rates else None
    report = Report(
        signer=signer,
        bundle=bundle,
        suspect=SuspectRecord(
            draw(DIGESTS.filter(lambda digest: digest not in asked)),
            ("CPUExecutionProvider",),
            ("process",),
            draw(st.text()),
            draw(st.text()),
            question,
        ),
        counts=counts,
        match_rate=match_rate,
        interval=clopper_pearson(n_matches, n_asked, policy.confidence),
        owner_references=owner,
        verifier_references=own,
        excluded_references=tuple(draw(st.lists(excluded, max_size=2))),
        transferability=mean,
        worst_transferability=max(rates, default=None),
        margin=None if mean is None else match_rate - mean,
        null=judgement.rate,
        policy=policy,
        conditions=conditions,
        tables=table_digest(),
        descent=descent,
        base_check=draw(st.none() | st.builds(BaseCheck, st.just(bundle.base_digest), st.just(n_asked))),
        probes=draw(st.none() | st.builds(Probes, is_linear, st.just(window), st.just(fed))),
        decision=judgement.decision,
        top_k=tuple(grades),
        median_rank=float(np.median(ranks)) if gives_scores else None,
        commitment=commitment,
        timestamp=timestamp,
        checks=tuple(Check(name, counted.get(name, 1), draw(TEXT), draw(TEXT)) for name in names),
        not_tested=(),
        versions=tuple(draw(st.dictionaries(TEXT, TEXT, max_size=4)).items()),
    )
    return replace(report, not_tested=list_gaps(report))


# Most of the time goes into estimating the null of what is drawn.
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reports())
def test_a_report_comes_back_equal(report: Report) -> None:
    text = report.to_json()
    assert Report.from_json(text) == report
    assert Report.from_json(text).to_json() == text
