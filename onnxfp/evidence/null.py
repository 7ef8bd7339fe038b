"""The null rate: how often a model that owes nothing to the base may match, at worst.

Examples transfer, so unassociated models match more often than ``1 / n_classes``, and unevenly: a sibling of the
same architecture and data matches most. Three numbers compete, and the largest decides:

* chance, ``1 / n_classes``;
* the references: of the worst one, the upper 99 % confidence bound of its match rate, in the owner's pool (stored
  in the bundle) and in the verifier's own;
* the prior: the worst sibling that the project's own benchmark found for this kind and number of classes
  (``priors.json``), also as an upper bound.

The prior falls away only when the *verifier* brings enough references. The owner chooses the owner's pool, and
could fill it with models that obviously never match, so it may raise the null and never lower it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from onnxfp.errors import ParameterError
from onnxfp.evidence.statistics import upper_bound
from onnxfp.types import Kind, Spectrum

CONFIDENCE = 0.99
"""Confidence of the one-sided bounds that the null rate is made of."""

ENOUGH_REFERENCES = 8
"""Number of the verifier's references from which on the prior falls away."""


@dataclass(frozen=True, slots=True)
class ReferenceCount:
    """How one unassociated model did.

    Attributes:
        digest: ``sha256:<hex>`` of its file.
        n_matches: Number of examples to which it gave the recorded label.
        n_examples: Number of examples it was asked.
    """

    digest: str
    n_matches: int
    n_examples: int

    @property
    def rate(self) -> float:
        """Its match rate."""
        return self.n_matches / self.n_examples


@dataclass(frozen=True, slots=True)
class Prior:
    """What the project's benchmark found for one kind and regime.

    Attributes:
        rate: Upper bound of the worst sibling's match rate.
        source: The measurement in words.
    """

    rate: float
    source: str


@dataclass(frozen=True, slots=True)
class NullRate:
    """The match rate that an unassociated model may reach.

    Attributes:
        rate: In ``[1 / n_classes, 1]``.
        source: Which of the competing numbers decided, in words.
    """

    rate: float
    source: str


def find_prior(kind: Kind, spectrum: Spectrum, epsilon: float, n_classes: int) -> Prior:
    """Return the prior for a recipe and a number of classes.

    Transfer grows with epsilon and with the seeds' low frequencies, and both are the owner's choice: an accuser could
    pick values at which every sibling matches. A measurement therefore speaks only for the spectrum and up to the
    epsilon that it was made with; beyond, nothing is known, and the prior is a match rate of 1.

    Args:
        kind: Kind of the examples.
        spectrum: Spectrum of the seeds.
        epsilon: Largest distance from a seed, as a share of the input's range.
        n_classes: Number of classes.
    """
    for entry in _priors():
        fits = (entry["kind"], entry["spectrum"]) == (kind, spectrum)
        fits &= entry["least_classes"] <= n_classes <= (entry["most_classes"] or n_classes)
        if fits and epsilon <= entry["most_epsilon"] + 1e-9:
            rate = upper_bound(entry["n_matches"], entry["n_examples"], CONFIDENCE)
            return Prior(rate, f"{entry['source']} ({entry['n_matches']} of {entry['n_examples']})")
    return Prior(1.0, f"siblings were never measured at epsilon {epsilon:.3g} with {spectrum} seeds of kind {kind}")


def estimate_null(
    owner: Sequence[ReferenceCount], verifier: Sequence[ReferenceCount], n_classes: int, prior: Prior
) -> NullRate:
    """Return the null rate.

    Args:
        owner: The owner's pool, as the bundle records it.
        verifier: The verifier's pool, measured just now.
        n_classes: Number of classes K, at least 2.
        prior: Used unless the verifier brings at least :data:`ENOUGH_REFERENCES` references.

    Raises:
        ParameterError: Fewer than two classes.
    """
    if n_classes < 2:
        raise ParameterError(f"a classifier has at least 2 classes; found {n_classes}")
    competing = [NullRate(1.0 / n_classes, f"chance, 1 of {n_classes} classes")]
    for pool, whose in ((owner, "owner's"), (verifier, "verifier's")):
        if pool:
            bound, worst = max((upper_bound(r.n_matches, r.n_examples, CONFIDENCE), r.rate) for r in pool)
            plural = "reference" if len(pool) == 1 else "references"
            competing.append(
                NullRate(
                    bound, f"worst of the {whose} {len(pool)} {plural} ({worst:.0%}), upper {CONFIDENCE:.0%} bound"
                )
            )
    if len(verifier) < ENOUGH_REFERENCES:
        bound_of = f", upper {CONFIDENCE:.0%} bound" if prior.rate < 1.0 else ""
        competing.append(NullRate(prior.rate, f"conservative prior: {prior.source}{bound_of}"))
    return max(competing, key=lambda null: null.rate)


@cache
def _priors() -> list[dict[str, Any]]:
    text = files("onnxfp.evidence").joinpath("priors.json").read_text(encoding="utf-8")
    priors: list[dict[str, Any]] = json.loads(text)["priors"]
    return priors
