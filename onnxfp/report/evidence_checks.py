"""Whether the evidence in a report that was read fits together, before its verdict is computed again.

Computing a verdict again proves nothing where what it follows from could be made milder by itself. So each of these
facts is held against another one of the same report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from onnxfp.bundle.manifest import MAX_CLASSES, BaseModel
from onnxfp.bundle.records import find_broken_claim, is_digest
from onnxfp.evidence.lineage import Descent
from onnxfp.evidence.reference_pool import min_labels
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.limits import MAX_CANDIDATES
from onnxfp.model.io_contract import spatial_axes
from onnxfp.report.parts import MIN_BASE_RATE
from onnxfp.report.wording import Verified
from onnxfp.suspects.saturation import MIN_WINDOW
from onnxfp.trust.commitment import MAX_BUNDLES
from onnxfp.types import InputSpec, OutputSpec

if TYPE_CHECKING:
    from onnxfp.evidence.null import ReferenceCount
    from onnxfp.evidence.priors import Conditions
    from onnxfp.evidence.reference_pool import ExcludedReference
    from onnxfp.evidence.statistics import Interval
    from onnxfp.report.parts import BundleRecord

# Other machines may round otherwise.
_SLACK = 1e-9


class Evidence(Verified, Protocol):
    """What a verdict follows from; :class:`~onnxfp.report.verification.Report` has it."""

    @property
    def interval(self) -> Interval: ...  # noqa: D102 - as in Report, and so are the others
    @property
    def owner_references(self) -> tuple[ReferenceCount, ...]: ...  # noqa: D102
    @property
    def excluded_references(self) -> tuple[ExcludedReference, ...]: ...  # noqa: D102
    @property
    def tables(self) -> str: ...  # noqa: D102


def find_incoherence(report: Evidence) -> str:
    """Return which facts of a report contradict each other; empty where none do."""
    if report.conditions is None:
        return _find_addition(report)
    # Before anything is computed: what it costs grows with these.
    if report.counts.n_candidates > MAX_CANDIDATES or report.bundle.n_classes > MAX_CLASSES:
        return "counts.n_candidates or bundle.n_classes is out of range"
    return find_broken_claim(
        {
            **_claims_about_conditions(report, report.conditions),
            **_claims_about_references(report),
            **_claims_about_descent(report),
            **_claims_about_observations(report),
        }
    )


def _find_addition(report: Evidence) -> str:
    """Return what a report of schema 1, whose numbers cannot be computed again, holds besides."""
    is_plain = (
        (report.tables, report.descent, report.base_check, report.probes) == ("", Descent(), None, None)
        and report.excluded_references == ()
        and (report.decision.descent, report.decision.descent_p_value) == ("not examined", None)
        and (report.suspect.question, report.bundle.grid) == (None, None)
        and (report.commitment is None or report.commitment.n_bundles is None)
    )
    return "" if is_plain else "conditions are missing"


def _claims_about_conditions(report: Evidence, conditions: Conditions) -> dict[str, bool]:
    bundle, question, probes = report.bundle, report.suspect.question, report.probes
    share = bundle.epsilon_levels / (bundle.n_levels - 1)
    fed = None if probes is None else probes.fed_epsilon
    window = None if probes is None else probes.window
    least = share if fed is None or fed <= share + 0.5 / (bundle.n_levels - 1) else fed
    if window is not None and window < MIN_WINDOW:
        least = least / window if window > 0 else 1.0
    sides = _sides(bundle)
    grids = [bundle.grid, None if question is None else question.grid]
    is_usual = not sides or all(grid is None or grid.is_usual for grid in grids)
    return {
        "bundle.grid is missing": bundle.grid is not None,
        "conditions contradict bundle": (conditions.n_classes, conditions.spectrum, conditions.sides)
        == (bundle.n_classes, bundle.spectrum, sides),
        "conditions.epsilon is smaller than the suspect's ball": conditions.epsilon >= min(least, 1.0) * (1 - _SLACK),
        "conditions.is_usual contradicts the grids": is_usual or not conditions.is_usual,
        "probes contradict conditions": probes is None or conditions.is_linear or probes.is_linear is not True,
    }


def _claims_about_references(report: Evidence) -> dict[str, bool]:
    n_asked, descent = report.counts.n_asked, report.descent
    pools = (report.owner_references, report.verifier_references, descent.co_descendants)
    asked = {one.digest: one.n_matches for one in (*report.verifier_references, *descent.co_descendants)}
    excluded = report.excluded_references
    return {
        "a reference is malformed": all(
            is_digest(one.digest) and 0 <= one.n_matches <= one.n_examples == n_asked for pool in pools for one in pool
        ),
        "a reference counts twice": all(len({one.digest for one in pool}) == len(pool) for pool in pools),
        "the suspect is its own reference": report.suspect.digest not in asked,
        "an excluded reference is malformed": all(
            is_digest(one.digest) and 0 <= one.n_matches <= n_asked and one.n_labels >= 0 for one in excluded
        ),
        "an excluded reference has no reason": all(
            one.n_labels < min_labels(report.bundle.n_classes)
            if one.same_as is None
            else asked.get(one.same_as, -1) >= one.n_matches
            for one in excluded
        ),
    }


def _claims_about_descent(report: Evidence) -> dict[str, bool]:
    n_asked, ancestors = report.counts.n_asked, report.descent.ancestors
    return {
        "an ancestor is malformed": all(
            is_digest(one.digest) and (one.n_matches is None or 0 <= one.n_matches <= n_asked) for one in ancestors
        ),
        "an ancestor is named twice": len({one.digest for one in ancestors}) == len(ancestors),
        "the owner declares an ancestor and none": not (
            report.descent.is_from_scratch and any(one.declared_by == "owner" for one in ancestors)
        ),
    }


def _claims_about_observations(report: Evidence) -> dict[str, bool]:
    counts, question, probes, base = report.counts, report.suspect.question, report.probes, report.base_check
    n_bundles = None if report.commitment is None else report.commitment.n_bundles
    interval = clopper_pearson(counts.n_matches, counts.n_asked, report.policy.confidence)
    shares = [] if probes is None else [probes.window, probes.fed_epsilon]
    return {
        "interval is not that of the counts": abs(report.interval.lower - interval.lower) <= _SLACK
        and abs(report.interval.upper - interval.upper) <= _SLACK,
        "commitment.n_bundles is out of range": n_bundles is None or 1 <= n_bundles <= MAX_BUNDLES,
        "suspect.question is missing": (question is None) == report.suspect.is_recorded,
        "suspect.question.fixed is malformed": question is None
        or all(is_digest(one.digest) and one.n_values >= 1 for one in question.fixed),
        "a probe is out of range": all(share is None or 0 <= share <= 1 for share in shares),
        # A function is asked more as well; only of a model that was run is known what it was fed.
        "probes are of a suspect that was not run": probes is None
        or probes.fed_epsilon is None
        or not report.suspect.is_recorded,
        "base_check contradicts bundle": base is None
        or (
            base.digest == report.bundle.base_digest
            and MIN_BASE_RATE * counts.n_asked <= base.n_matches
            and base.n_matches <= counts.n_asked
        ),
    }


def _sides(bundle: BundleRecord) -> tuple[int, ...]:
    axes = spatial_axes(bundle.layout)
    if any(axis >= len(bundle.shape) for axis in axes):
        return ()
    spec = InputSpec("", bundle.shape, "float32", bundle.layout, None)
    return BaseModel(bundle.base_digest, bundle.n_classes, spec, OutputSpec("", "scores", None), axes).sides
