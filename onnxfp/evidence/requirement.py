"""Requirement: which match rate a variant needs for a MATCH, and what would make it less.

It is known before any suspect is asked: the null and the policy fix the number of matches. A fingerprint that could not
convict even a faithful copy is better found out by its owner than in court.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import ParameterError
from onnxfp.evidence.null import ENOUGH_REFERENCES, Null, ReferenceCount, estimate_null, owner_counts
from onnxfp.evidence.priors import Prior, find_bundle_prior
from onnxfp.evidence.verdict import Policy

PLAUSIBLE_RATE = 0.98
"""Match rate that a copy may be expected to reach after it was pruned and retrained: with recipes like the default such
copies matched 96 to 100 of 100 (benchmarks/STRENGTH.md). What demands more convicts little but a plain copy."""

# More candidates than this are not tried for a remedy: a null costs time with each.
_MAX_TRIED = 4000
_STEPS = (20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1000)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What it takes to convict.

    Attributes:
        n_examples: Number n of examples.
        n_candidates: Number m of candidates from which they were selected.
        alpha: The policy's significance.
        min_matches: Fewest matches that are a MATCH; ``None`` if no count is one.
        min_rate: The same as a match rate, in [0, 1].
        obstacle: Why no count is a MATCH, or why this one is hardly reached; empty where nothing is in the way.
        remedies: What would make a MATCH easier, one sentence each.
    """

    n_examples: int
    n_candidates: int
    alpha: float
    min_matches: int | None
    min_rate: float | None
    obstacle: str
    remedies: tuple[str, ...]


def find_requirement(manifest: Manifest, policy: Policy, *, is_linear: bool = False) -> Requirement:
    """Return what it takes to convict with a fingerprint, where the verifier brings no references.

    Args:
        manifest: The bundle's.
        policy: What a verdict demands.
        is_linear: Whether its base is a linear model.
    """
    n_classes = manifest.base.n_classes
    return compute_requirement(
        owner_counts(manifest),
        find_bundle_prior(manifest, is_linear=is_linear),
        policy,
        n_classes=n_classes,
        n_examples=manifest.n_examples,
        n_candidates=manifest.n_candidates,
    )


def compute_requirement(
    owner: Sequence[ReferenceCount],
    prior: Prior,
    policy: Policy,
    *,
    n_classes: int,
    n_examples: int,
    n_candidates: int,
) -> Requirement:
    """Return what it takes to convict with a fingerprint, where the verifier brings no references.

    Args:
        owner: The owner's pool, as the bundle records it.
        prior: What is known of siblings.
        policy: What a verdict demands.
        n_classes: Number of classes K.
        n_examples: Number n of examples.
        n_candidates: Number m of candidates.

    Raises:
        ParameterError: A number lies outside its range.
    """
    if not 1 <= n_examples <= n_candidates:
        raise ParameterError(f"1 <= examples <= candidates must hold; found {n_examples} of {n_candidates}")
    ratio = n_candidates / n_examples

    def find_least(n: int, *, verifier: Sequence[ReferenceCount] = ()) -> int | None:
        scaled = [ReferenceCount(r.digest, round(r.rate * n), n) for r in owner] if n != n_examples else owner
        m = n_candidates if n == n_examples else round(n * ratio)
        null = estimate_null(scaled, verifier, prior, n_classes=n_classes, n_candidates=m)
        return min_matches(null, policy, n)

    least = find_least(n_examples)
    rate = None if least is None else least / n_examples
    obstacle = _find_obstacle(least, n_examples, n_candidates, policy)
    remedies: list[str] = []
    # Of more candidates, a stranger's bundle would cost its reader seconds a remedy.
    if obstacle and n_candidates <= _MAX_TRIED:
        for n in (n for n in _STEPS if n > n_examples and n * ratio <= _MAX_TRIED):
            better = find_least(n)
            if better is not None and better / n <= PLAUSIBLE_RATE:
                remedies.append(f"{n} examples (-n {n}) would take {better} matches, {better / n:.1%}.")
                break
        # As references do that know nothing of the base.
        strangers = [ReferenceCount("", round(n_examples / n_classes), n_examples)] * ENOUGH_REFERENCES
        better = find_least(n_examples, verifier=strangers)
        if better is not None and (least is None or better < least):
            remedies.append(
                f"{ENOUGH_REFERENCES} references of the verifier's own that match no more than chance would take "
                f"{better} matches, {better / n_examples:.1%}."
            )
        remedies = remedies or ["Neither more examples nor references of the verifier's own would be enough."]
    return Requirement(n_examples, n_candidates, policy.alpha, least, rate, obstacle, tuple(remedies))


def min_matches(null: Null, policy: Policy, n_examples: int) -> int | None:
    """Return the fewest matches of ``n_examples`` that are a MATCH, or ``None`` if no count is one."""
    least = null.min_matches(policy.alpha)
    return least if least is not None and least <= n_examples >= policy.min_examples else None


def _find_obstacle(least: int | None, n_examples: int, n_candidates: int, policy: Policy) -> str:
    lost = n_candidates - n_examples
    counted = f", with {lost} lost candidates that count as mismatches" if lost > 1 else ""
    counted = ", with one lost candidate that counts as a mismatch" if lost == 1 else counted
    if n_examples < policy.min_examples:
        return f"{n_examples} examples are fewer than the {policy.min_examples} that the policy demands{counted}."
    if least is None:
        return f"Not even {n_examples} matches of {n_examples} are a MATCH at {policy.alpha:g}{counted}."
    if least / n_examples > PLAUSIBLE_RATE:
        return (
            f"A MATCH at {policy.alpha:g} takes {least} matches of {n_examples}, {least / n_examples:.1%}{counted}: "
            "hardly less than a plain copy gives."
        )
    return ""
