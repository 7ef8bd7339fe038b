"""Where a report comes from, in rows: files, keys, recipe, versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxfp.errors import ParameterError
from onnxfp.report.html.formatting import scientific

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint
    from onnxfp.evidence.verdict import Policy
    from onnxfp.report.verification import Signer

_ISOLATION = {
    "process": "in a process of its own",
    "memory": "with limited memory",
    "time": "and time",
    "network": "without network",
}


UNLIMITED = "in the verifier’s own process, without limits"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a row; code is set in its own type."""

    text: str
    is_code: bool = False


Row = tuple[str, tuple[Line, ...]]


def describe_fingerprint(fingerprint: Fingerprint, bundle: str, signer: Signer) -> tuple[Row, ...]:
    """Return the rows about a fingerprint, its base and its signer.

    Args:
        fingerprint: The fingerprint.
        bundle: Name of its file.
        signer: What is known of its key.
    """
    manifest = fingerprint.manifest
    base, recipe, grid = manifest.base, manifest.recipe, manifest.grid
    known = [f"known to the verifier as {signer.name}"] if signer.name else []
    known += ["the key that the verifier demanded"] * signer.is_pinned
    step = (grid.bounds.upper - grid.bounds.lower) / (grid.n_levels - 1)
    crafted = [
        f"{recipe.kind.upper()}, {recipe.spectrum} seeds within epsilon {recipe.epsilon_levels * step:.4g}",
        f"{recipe.n_steps} steps of {recipe.step_size:.4g}",
    ]
    if recipe.noise:
        crafted.append(f"weight noise {recipe.noise:g} × {recipe.n_draws}")
    if recipe.cutoff:
        crafted.append(f"lowest {recipe.cutoff} frequencies removed from the {recipe.filtered}")
    parity = manifest.copy_parity
    gradients = (
        "gradients estimated by queries"
        if parity is None
        else f"gradients of a copy whose scores differ from onnxruntime’s by {parity.max_abs_difference:.2g} at most"
    )
    return (
        (
            "Fingerprint",
            (
                Line(bundle),
                Line(fingerprint.digest, is_code=True),
                Line(
                    f"{manifest.n_examples} of {manifest.n_candidates} candidates, seed {recipe.seed}; "
                    f"created {manifest.created} by its signer’s claim"
                ),
            ),
        ),
        (
            "Signed by",
            (
                Line(manifest.public_key, is_code=True),
                Line("; ".join(known) or "NOT PINNED: nobody said whose key this is"),
            ),
        ),
        (
            "Base model",
            (
                Line(base.digest, is_code=True),
                Line(
                    f"{base.input.layout} {' × '.join(map(str, base.input.shape))} {base.input.dtype}, "
                    f"{base.n_classes} classes"
                ),
            ),
        ),
        ("Recipe", (Line(", ".join(crafted)), Line(gradients))),
        ("Made with", (Line(describe_versions(manifest.versions)),)),
    )


def check_same(told: str, held: str) -> None:
    """Make sure that a record is about the fingerprint that its page would show.

    Args:
        told: Digest of the bundle in the record.
        held: Digest of the bundle at hand.

    Raises:
        ParameterError: They differ.
    """
    if told != held:
        raise ParameterError(f"the record is about the fingerprint {told}, and not about {held}")


def describe_versions(versions: Iterable[tuple[str, str]]) -> str:
    """Return names and versions of software in one line."""
    return ", ".join(f"{name} {version}" for name, version in versions)


def describe_policy(policy: Policy) -> str:
    """Return what a verdict demands."""
    return (
        f"MATCH at p ≤ {scientific(policy.alpha)}, NO_MATCH above {scientific(policy.no_match_above)}; at least "
        f"{policy.min_examples} examples, {policy.min_answered:.0%} of them answered"
        + ("; references of the verifier’s own" * policy.needs_references)
    )


def describe_isolation(isolation: Iterable[str]) -> str:
    """Return what a model was kept from while it ran; empty where that is nothing."""
    held = set(isolation)
    words = [text for word, text in _ISOLATION.items() if word in held]
    # "with limited memory and time" reads as one; without the memory, the time needs its own words.
    return ", ".join(words).replace("memory, and", "memory and").replace(", and time", ", with limited time")
