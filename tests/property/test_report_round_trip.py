"""Whatever a verification can report comes back equal from its JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxfp.evidence.null import NullRate, Prior, ReferenceCount, estimate_null
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.evidence.top_k import LADDER, TopKEvidence, count_within
from onnxfp.evidence.verdict import Counts, Policy, decide
from onnxfp.report.checks import ALWAYS, Check, CommitmentRecord
from onnxfp.report.parts import BundleRecord, Signer, SuspectRecord
from onnxfp.report.verification import Report
from onnxfp.trust.timestamp import Timestamp

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
    owner, own = (tuple(draw(st.lists(measured, max_size=9))) for _ in range(2))
    n_classes = draw(st.integers(2, 1000))
    prior = Prior(tuple((k, 100) for k in draw(st.lists(st.integers(0, 100), max_size=9))), draw(TEXT))
    null = estimate_null(owner, own, prior, n_classes=n_classes, n_candidates=counts.n_candidates)
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
    signer = Signer(draw(KEYS), draw(st.booleans()), draw(NAMES))
    n_levels = draw(st.sampled_from([256, 65536]))
    bundle = BundleRecord(
        draw(DIGESTS), draw(DIGESTS), "ltrc", n_classes, draw(st.integers(1, n_levels - 1)), n_levels, CREATED
    )
    commitment = draw(st.none() | st.builds(CommitmentRecord, DIGESTS, st.booleans()))
    subject = draw(st.sampled_from(["bundle", *(["commitment"] if commitment else [])]))
    about = commitment.value if commitment and subject == "commitment" else bundle.digest
    stamps = st.builds(Timestamp, st.just(subject), st.just(about), st.just(CREATED), st.text(), DIGESTS, TEXT, TEXT)
    timestamp = draw(st.none() | stamps)
    names = (*ALWAYS, *(["commitment"] if commitment else []), *(["timestamp"] if timestamp else []))
    counted = {"key": int(signer.is_pinned)} | dict.fromkeys(("labels", "seeds", "grid", "selection"), n_asked)
    rates = [reference.rate for reference in (*owner, *own)]
    match_rate, mean = n_matches / n_asked, sum(rates) / len(rates) if rates else None
    return Report(
        signer=signer,
        bundle=bundle,
        suspect=SuspectRecord(draw(DIGESTS), ("CPUExecutionProvider",), ("process",), draw(st.text()), draw(st.text())),
        counts=counts,
        match_rate=match_rate,
        interval=clopper_pearson(n_matches, n_asked, policy.confidence),
        owner_references=owner,
        verifier_references=own,
        transferability=mean,
        worst_transferability=max(rates, default=None),
        margin=None if mean is None else match_rate - mean,
        null=null.summarise(n_matches),
        policy=policy,
        decision=decide(counts, null, len(own), policy),
        top_k=tuple(grades),
        median_rank=float(np.median(ranks)) if gives_scores else None,
        commitment=commitment,
        timestamp=timestamp,
        checks=tuple(Check(name, counted.get(name, 1), draw(TEXT), draw(TEXT)) for name in names),
        not_tested=tuple(draw(st.lists(TEXT, max_size=3))),
        versions=tuple(draw(st.dictionaries(TEXT, TEXT, max_size=4)).items()),
    )


# Most of the time goes into estimating the null of what is drawn.
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reports())
def test_a_report_comes_back_equal(report: Report) -> None:
    text = report.to_json()
    assert Report.from_json(text) == report
    assert Report.from_json(text).to_json() == text
