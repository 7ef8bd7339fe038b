"""The measured priors: how many matches unassociated models showed, and under which conditions that is known.

A prior applies where it was measured, and nowhere else:

* seeds of the same spectrum, examples no farther from them than those that were measured;
* a number of classes in the measured range, images of about the measured size, inputs in one of the usual ranges
  (benchmarks/SCOPE.md);
* models that are not linear.

The kind of the examples (C, RC, LTRC, EOT) is the accuser's word, and nothing in a bundle shows it. Each measured model
therefore counts with the kind that it matched most.

Apart from the priors stands the attack bound: the largest match rate that a false accuser reached in the project's own
attacks (``attacks.json``) on a model that the attack had not seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from onnxfp.bundle.manifest import Manifest
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.types import Spectrum

# Two-sided: the bound lies above the true rate in 95 of 100 measurements.
_ATTACK_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of a verification that fix which measurement applies.

    Attributes:
        spectrum: Spectrum of the seeds.
        epsilon: Largest distance of an example from its seed, as a share of the range that the suspect is fed.
        n_classes: Number of classes.
        sides: Height and width of an image in pixels; empty for inputs that are not images.
        is_usual: Whether the model is fed one of the usual ranges; see :func:`~onnxfp.types.InputGrid.is_usual`.
        is_linear: Whether the suspect, or the base, is a linear model.
    """

    spectrum: Spectrum
    epsilon: float
    n_classes: int
    sides: tuple[int, ...] = ()
    is_usual: bool = True
    is_linear: bool = False

    @classmethod
    def of_bundle(cls, manifest: Manifest, *, is_linear: bool = False) -> Conditions:
        """Return the conditions that a bundle sets, by its actual seeds and ball.

        Args:
            manifest: The bundle's manifest.
            is_linear: Whether the suspect, or the base, is a linear model.
        """
        base, sides = manifest.base, manifest.base.sides
        # Bytes take one grid: another one would be rounded and clipped into something else.
        is_usual = manifest.grid.is_usual and (base.input.dtype != "uint8" or manifest.grid.takes_bytes)
        return cls(manifest.spectrum, manifest.epsilon_share, base.n_classes, sides, not sides or is_usual, is_linear)


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


def find_prior(conditions: Conditions, k: int = 1) -> Prior:
    """Return the prior that was measured under some conditions.

    Attacks were measured for ``k = 1`` alone. For larger ``k`` a false accuser is taken to reach everything, so that no
    count is a MATCH.

    Args:
        conditions: The conditions.
        k: Number of largest scores within which a recorded label counts as a match; 1 for labels.

    Returns:
        The prior; without counts where nothing was measured, and its source says what was not.
    """
    bound = _find_attack_bound(conditions)
    if k > 1 and bound is not None:
        bound = 1.0
    unmeasured = _find_unmeasured(conditions)
    if unmeasured:
        return Prior((), unmeasured, bound)
    for entry in _worst_kinds():
        if _is_measured(entry, conditions):
            measured = entry["n_matches"] if k == 1 else entry["n_within"].get(str(k), [])
            if measured:
                return Prior(tuple((matches, entry["n_examples"]) for matches in measured), entry["source"], bound)
    where = "" if k == 1 else f"within the top {k} "
    return Prior(
        (),
        f"unassociated models were never measured {where}at epsilon {conditions.epsilon:.3g} with "
        f"{conditions.spectrum} seeds",
        bound,
    )


def find_bundle_prior(manifest: Manifest, k: int = 1, *, is_linear: bool = False) -> Prior:
    """Return the prior for a bundle whose examples are fed as its manifest says; see :func:`find_prior`."""
    return find_prior(Conditions.of_bundle(manifest, is_linear=is_linear), k)


@cache
def table_digest() -> str:
    """Return ``sha256:<hex>`` of the two tables: results by different tables differ."""
    content = b"".join(_read(name) for name in ("priors", "attacks"))
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _find_unmeasured(conditions: Conditions) -> str:
    """Return why no prior can apply, whatever the kind and the epsilon; empty where one may."""
    if not conditions.sides:
        return "unassociated models were never measured on inputs that are no images"
    if not conditions.is_usual:
        return "unassociated models were never measured with such bounds and normalisation of the input"
    if conditions.is_linear:
        return "linear models of the same task become one another, and were never measured"
    entries = [entry for entry in _worst_kinds() if _has_classes(entry, conditions.n_classes)]
    if not entries:
        # An independent network of two classes matched 98 of 100 (benchmarks/SCOPE.md).
        return f"unassociated models were never measured with {conditions.n_classes} classes, or match too often there"
    if not any(_has_size(entry, conditions.sides) for entry in entries):
        size = " x ".join(map(str, conditions.sides))
        measured = ", ".join(sorted({f"{entry['measured_side']} pixels" for entry in entries}))
        return (
            f"unassociated models with so many classes were measured on images of {measured} a side, and never near "
            f"{size}"
        )
    return ""


def _find_attack_bound(conditions: Conditions) -> float | None:
    """Return the upper bound of the largest rate that an attack reached within this epsilon."""
    if not conditions.is_usual:
        return None
    measured = [entry for entry in _entries("attacks") if _is_in_ball(entry, conditions)]
    if not measured:
        return None
    # Several apply where a wider ball was attacked as well: the nearest is about this one.
    nearest = min(measured, key=lambda entry: float(entry["max_epsilon"]))
    upper = clopper_pearson(nearest["n_matches"], nearest["n_examples"], _ATTACK_CONFIDENCE).upper
    return _add_luck(upper, nearest["n_classes"], conditions.n_classes)


def _is_measured(entry: dict[str, Any], conditions: Conditions) -> bool:
    return _has_size(entry, conditions.sides) and _is_in_ball(entry, conditions)


def _is_in_ball(entry: dict[str, Any], conditions: Conditions) -> bool:
    return (
        _has_classes(entry, conditions.n_classes)
        and entry["spectrum"] in (None, conditions.spectrum)
        and conditions.epsilon <= entry["max_epsilon"] + 1e-9
    )


def _has_classes(entry: dict[str, Any], n_classes: int) -> bool:
    return bool(entry["min_classes"] <= n_classes <= (entry["max_classes"] or n_classes))


def _has_size(entry: dict[str, Any], sides: Sequence[int]) -> bool:
    return all(entry["min_side"] <= side <= entry["max_side"] for side in sides)


def _add_luck(rate: float, measured: int, n_classes: int) -> float:
    """Return a rate that was measured with some number of classes for fewer, where luck alone gives more labels."""
    if n_classes >= measured:
        return rate
    # The share that followed the examples; the others give the recorded label by luck.
    followed = max(0.0, (rate - 1 / measured) / (1 - 1 / measured))
    return followed + (1 - followed) / n_classes


@cache
def _worst_kinds() -> list[dict[str, Any]]:
    """Return the priors, one a regime: each model with the kind of examples that it matched most."""
    regimes: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in _entries("priors"):
        regime = tuple(
            entry[name] for name in ("spectrum", "max_epsilon", "min_classes", "max_classes", "min_side", "n_examples")
        )
        other = regimes.get(regime, entry)
        within = {k: _largest(entry["n_within"][k], other["n_within"][k]) for k in entry["n_within"]}
        n_matches = _largest(entry["n_matches"], other["n_matches"])
        regimes[regime] = {**entry, "n_matches": n_matches, "n_within": within}
    return list(regimes.values())


def _largest(one: list[int], other: list[int]) -> list[int]:
    # The entries of a regime list the same models in the same order; tests/unit/evidence/test_priors.py checks it.
    return [max(pair) for pair in zip(one, other, strict=True)]


@cache
def _entries(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(_read(name))[name]
    return entries


def _read(name: str) -> bytes:
    return files("onnxfp.evidence").joinpath(f"{name}.json").read_bytes()
