"""The null: how many matches a model may show that owes nothing to the base.

Examples transfer, so unassociated models match more often than ``1 / n_classes``, and unevenly: a sibling of the
same architecture and data matches most. Several distributions compete, and at every count the largest tail decides:

* chance, ``1 / n_classes``;
* what the prior predicts for a new model: the counts of the siblings that the project's own benchmark measured for this
  kind and number of classes (``priors.json``);
* what the prior and the owner's pool, stored in the bundle, predict together;
* what the verifier's own pool predicts: together with the prior, and from :data:`ENOUGH_REFERENCES` on in its place.

Apart from them stands what a false accuser reached in the project's own attacks (``attacks.json``): no count is a MATCH
that examples optimised for transfer may show on a model which their maker never saw.

The owner chooses the owner's pool, and could fill it with models that obviously never match, so it may raise the null
and never lower it. The verifier's pool may replace the prior, but not the last: an accuser who knows its models crafts
examples that they do not match and others do. Beyond the measured epsilon that reached every model, and no reference
helps. How counts predict is in :mod:`onnxfp.evidence.predictive`.

The same holds of recorded labels within the top ``k`` of the scores (:mod:`onnxfp.evidence.top_k`), with chance
``k / n_classes`` and counts of their own; matches are ``k = 1``. No attack was measured for larger ``k``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import ParameterError
from onnxfp.evidence.predictive import Prediction, predict_matches
from onnxfp.evidence.statistics import binomial_tails, clopper_pearson
from onnxfp.types import Kind, Spectrum

ENOUGH_REFERENCES = 8
"""Number of the verifier's references from which on they may take the prior's place."""

_ONE_IN = 100
# Two-sided: the bound lies above the true rate in 95 of 100 measurements.
_ATTACK_CONFIDENCE = 0.9


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
    """Counts of unassociated models, and where they come from: the project's benchmark, or a pool of references.

    Attributes:
        counts: ``(matches, asked)`` of each unassociated model that was measured; empty where none was.
        source: The measurement in words.
        attack_bound: Match rate in [0, 1] that a false accuser may reach on a model never seen, 1 within the top
            ``k > 1``; ``None`` where no attack was measured.
    """

    counts: tuple[tuple[int, int], ...]
    source: str
    attack_bound: float | None = None


@dataclass(frozen=True, slots=True)
class NullRate:
    """What an unassociated model may match, in two numbers.

    Attributes:
        rate: Expected match rate, in [0, 1].
        upper: Match rate that one unassociated model in a hundred reaches, in [0, 1].
        source: Which of the competing distributions decided, in words.
    """

    rate: float
    upper: float
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The distribution of match counts under which a suspect is judged.

    Attributes:
        tail: ``(n + 1,)`` float64; entry ``k`` is the largest probability, of all that compete, of ``k`` or more
            matches.
        candidates: The distributions that compete, each with its source in words.
        attack_tail: ``(n + 1,)`` float64, the same tail for a model that a false accuser aimed at; ``None`` where no
            attack was measured.
    """

    tail: NDArray[np.float64]
    candidates: tuple[tuple[Prediction, str], ...]
    attack_tail: NDArray[np.float64] | None = None

    def p_value(self, n_matches: int) -> float:
        """Return the probability that an unassociated model matches at least so often."""
        return float(self.tail[n_matches])

    def min_matches(self, alpha: float) -> int | None:
        """Return the smallest count whose tails are at most ``alpha``, or ``None`` if not even all matches are.

        Args:
            alpha: Significance, in ``(0, 1)``.
        """
        tail = self.tail if self.attack_tail is None else np.maximum(self.tail, self.attack_tail)
        reached = np.flatnonzero(tail <= alpha)
        return int(reached[0]) if len(reached) else None

    def summarise(self, n_matches: int) -> NullRate:
        """Return the rates and the source of the distribution that decides at this count."""
        prediction, source = max(self.candidates, key=lambda candidate: candidate[0].tail[n_matches])
        last = len(prediction.tail) - 1
        return NullRate(prediction.rate, int((prediction.tail > 1 / _ONE_IN).sum() - 1) / last, source)


def find_prior(
    kind: Kind,
    spectrum: Spectrum,
    epsilon: float,
    n_classes: int,
    k: int = 1,
    *,
    is_image: bool = True,
    is_linear: bool = False,
) -> Prior:
    """Return the prior for a recipe and a number of classes.

    Transfer grows with epsilon and with the seeds' low frequencies, and both are the owner's choice: an accuser could
    pick values at which every sibling matches. A measurement therefore speaks only for the spectrum and up to the
    epsilon that it was made with; beyond, nothing is known, and an unassociated model may match everything.

    All models that were measured are deep networks on images. On features, signals or volumes nothing is known either,
    and linear models (:func:`onnxfp.model.linearity.is_linear`) become one another by training.

    A model that was not led astray still gives one label in ``n_classes`` by luck, or ``k`` of them: counts are raised
    wherever there are fewer classes than were measured.

    Attacks were measured for ``k = 1`` alone. For larger ``k`` a false accuser is taken to reach everything, so that no
    count is a MATCH.

    Args:
        kind: Kind of the examples.
        spectrum: Spectrum of the seeds.
        epsilon: Largest distance from a seed, as a share of the input's range.
        n_classes: Number of classes.
        k: Number of largest scores within which a recorded label counts as a match; 1 for labels.
        is_image: Whether examples are images.
        is_linear: Whether the suspect, or the base, is a linear model.
    """
    attack_bound = _find_attack_bound(spectrum, epsilon, n_classes)
    if k > 1 and attack_bound is not None:
        attack_bound = 1.0
    if not is_image:
        return Prior((), "unassociated models were never measured on inputs that are no images", attack_bound)
    if is_linear:
        return Prior((), "linear models of the same task become one another, and were never measured", attack_bound)
    for entry in _entries("priors"):
        if entry["kind"] == kind and _speaks_for(entry, spectrum, epsilon, n_classes):
            n, luck = entry["n_examples"], _Luck(entry["n_classes"], n_classes, k)
            measured = entry["n_matches"] if k == 1 else entry["n_within"].get(str(k), [])
            if measured:
                counts = tuple((ceil(n * luck.add(matches / n) - 1e-9), n) for matches in measured)
                return Prior(counts, entry["source"], attack_bound)
    where = f"{'' if k == 1 else f'within the top {k} '}at epsilon {epsilon:.3g} with {spectrum} seeds of kind {kind}"
    return Prior((), f"unassociated models were never measured {where}", attack_bound)


def find_bundle_prior(manifest: Manifest, k: int = 1, *, is_linear: bool = False) -> Prior:
    """Return the prior for a bundle, by what its seeds and its ball really are; the rest as in :func:`find_prior`."""
    return find_prior(
        manifest.recipe.kind,
        manifest.spectrum,
        manifest.epsilon_share,
        manifest.base.n_classes,
        k,
        is_image=manifest.base.takes_images,
        is_linear=is_linear,
    )


def owner_counts(manifest: Manifest) -> tuple[ReferenceCount, ...]:
    """Return the owner's pool, as the bundle records it."""
    return tuple(ReferenceCount(r.digest, r.n_matches, manifest.n_examples) for r in manifest.references)


def replaces_prior(prior: Prior, verifier: Sequence[ReferenceCount]) -> bool:
    """Return whether the verifier's pool takes the place of the prior's counts.

    It does from :data:`ENOUGH_REFERENCES` references on, unless nobody measured what an accuser who avoids them
    reaches.
    """
    return len(verifier) >= ENOUGH_REFERENCES and prior.attack_bound is not None


def estimate_null(
    owner: Sequence[ReferenceCount],
    verifier: Sequence[ReferenceCount],
    prior: Prior,
    *,
    n_classes: int,
    n_candidates: int,
    k: int = 1,
) -> Null:
    """Return the distribution of match counts of an unassociated model.

    Args:
        owner: The owner's pool, as the bundle records it.
        verifier: The verifier's pool, measured just now.
        prior: Its counts fall away where :func:`replaces_prior` says so.
        n_classes: Number of classes K, at least 2.
        n_candidates: Number m of candidates from which the owner selected; counts are out of all of them.
        k: Number of largest scores within which a recorded label counts as a match, in ``[1, K)``, for pools and prior
            alike; 1 for labels.

    Raises:
        ParameterError: Fewer than two classes, or ``k`` is out of range.
    """
    if n_classes < 2:
        raise ParameterError(f"a classifier has at least 2 classes; found {n_classes}")
    if not 1 <= k < n_classes:
        raise ParameterError(f"the top k of {n_classes} classes has 1 <= k < {n_classes}; found {k}")
    chance = Prediction(binomial_tails(n_candidates, k / n_classes), k / n_classes)
    candidates = [(chance, f"chance, {k} of {n_classes} classes")]

    def compete(*pools: Prior) -> None:
        if all(pool.counts for pool in pools):
            prediction = predict_matches([count for pool in pools for count in pool.counts], n_candidates)
            candidates.append((prediction, " and ".join(pool.source for pool in pools)))
        else:
            # What was never measured may match everything.
            unknown = next(pool for pool in pools if not pool.counts)
            candidates.append((Prediction(np.ones(n_candidates + 1), 1.0), unknown.source))

    own = Prior(tuple((r.n_matches, r.n_examples) for r in verifier), f"your {_references(len(verifier))}")
    if replaces_prior(prior, verifier):
        basis: tuple[Prior, ...] = (own,)
    else:
        compete(prior)
        basis = (prior, own) if verifier else (prior,)
    if verifier:
        compete(*basis)
    if owner:
        counts = tuple((r.n_matches, r.n_examples) for r in owner)
        compete(*basis, Prior(counts, f"the owner's {_references(len(owner))}"))
    tail = np.max([prediction.tail for prediction, _ in candidates], axis=0)
    return Null(
        tail,
        tuple(candidates),
        None if prior.attack_bound is None else binomial_tails(n_candidates, prior.attack_bound),
    )


def _references(n: int) -> str:
    return "one reference" if n == 1 else f"{n} references"


def _find_attack_bound(spectrum: Spectrum, epsilon: float, n_classes: int) -> float | None:
    """Return the upper bound of the largest rate that an attack reached within this epsilon.

    The kind does not matter: how examples were crafted is the owner's claim, which the derivation does not show.
    """
    speaking = [entry for entry in _entries("attacks") if _speaks_for(entry, spectrum, epsilon, n_classes)]
    if not speaking:
        return None
    # Several do where a wider ball was attacked as well: the nearest tells what this one allows.
    nearest = min(speaking, key=lambda entry: float(entry["max_epsilon"]))
    upper = clopper_pearson(nearest["n_matches"], nearest["n_examples"], _ATTACK_CONFIDENCE).upper
    return _Luck(nearest["n_classes"], n_classes).add(upper)


def _speaks_for(entry: dict[str, Any], spectrum: Spectrum, epsilon: float, n_classes: int) -> bool:
    is_in_range = entry["min_classes"] <= n_classes <= (entry["max_classes"] or n_classes)
    return is_in_range and entry["spectrum"] in (None, spectrum) and epsilon <= entry["max_epsilon"] + 1e-9


@dataclass(frozen=True, slots=True)
class _Luck:
    """Carries a rate within the top ``k``, measured with ``measured`` classes, over to ``n_classes``."""

    measured: int
    n_classes: int
    k: int = 1

    def add(self, rate: float) -> float:
        if self.n_classes >= self.measured:
            return rate
        # The share that followed the examples; the others give the recorded label by luck.
        chance = self.k / self.measured
        followed = max(0.0, (rate - chance) / (1 - chance))
        return followed + (1 - followed) * self.k / self.n_classes


@cache
def _entries(name: str) -> list[dict[str, Any]]:
    text = files("onnxfp.evidence").joinpath(f"{name}.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)[name]
    return entries
