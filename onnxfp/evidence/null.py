"""The null: how many matches a model may show that owes nothing to the base.

Examples transfer, so unassociated models match more often than ``1 / n_classes``, and unevenly: a network of the base's
architecture and data matches most. Several distributions compete, and at every count the largest tail decides:

* chance, ``1 / n_classes``;
* what the prior predicts for a new model: the counts of the unassociated models that the project's own benchmark
  measured under the same conditions (:mod:`onnxfp.evidence.priors`);
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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import ParameterError
from onnxfp.evidence.predictive import Prediction, predict_matches
from onnxfp.evidence.priors import Prior
from onnxfp.evidence.statistics import binomial_tails

ENOUGH_REFERENCES = 8
"""Number of the verifier's references from which on they may take the prior's place."""

_ONE_IN = 100


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
