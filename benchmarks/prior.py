"""Measure how often unassociated models match a fingerprint, and write it down as the prior of the null.

    make benchmark-prior

Models in turn are the base of a fingerprint with the default recipe of each kind, and of each with other seeds, and all
others are asked. Few classes: four siblings (see at_hand.py) as bases; as suspects these, more siblings and other
architectures, since a new unassociated model may be of either sort. Many classes: four ImageNet models (see
imagenet.py). Missing siblings are trained, which takes hours on two cores, as do the ImageNet fingerprints. All counts
of matches go into benchmarks/PRIOR.md, those that the prior takes into onnxfp/evidence/priors.json, and with them how
often the recorded label is within the top k of the scores.
Fingerprints are kept in .cache/prior, so that an interrupted run goes on where it stopped.

The prior takes *one* count a model: its worst over all bases. Counts of one model against several bases are no
independent observations of models: who matches one base often matches every base often, and a pool in which each
model stood once a base would claim to have seen many more models than it has. And the worst rather than the mean or one
at random, because an accuser may train several bases and use the one whose fingerprint fits best.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import onnxfp
from benchmarks import imagenet
from benchmarks.at_hand import CACHE, HERE, fingerprint_of, others, session, siblings
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.evidence.statistics import count_matches
from onnxfp.evidence.top_k import LADDER, count_within, rank_labels
from onnxfp.recipe.defaults import FEW_CLASSES, RecipeOverrides
from onnxfp.types import Kind, Spectrum

N_SIBLINGS, N_FEW_BASES = 10, 4
PRIOR_TABLE = HERE / "PRIOR.md"
PRIORS = HERE.parent / "onnxfp" / "evidence" / "priors.json"
TEXT = """\
# How often unassociated models match

Written by `make benchmark-prior` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

Each row is a base with a fingerprint of the default recipe of its kind, but for the seeds; each column an unassociated
model that was asked. *Worst* is the column's largest count: what `onnxfp/evidence/priors.json` holds of that model, one
count a model (why: benchmarks/prior.py). *Top k* is the largest count of recorded labels within the top k of the
model's scores, for graded evidence.

"""


@dataclass(frozen=True, slots=True)
class Regime:
    """One range of numbers of classes, and the models that speak for it.

    Attributes:
        name: Names the kept fingerprints.
        title: Heading and words on the models.
        models: What stands in the priors' source.
        min_classes: Fewest classes that it speaks for.
        max_classes: Most classes, or ``None``.
        n_examples: Examples of each fingerprint.
        bases: Models that are fingerprinted, and asked.
        suspects: Further models that are asked.
        spectra: Spectra of the seeds that are measured; the first is the default.
    """

    name: str
    title: str
    models: str
    min_classes: int
    max_classes: int | None
    n_examples: int
    bases: dict[str, Path]
    suspects: dict[str, Path]
    spectra: tuple[Spectrum, ...]


def few_classes(n_siblings: int | None = None) -> Regime:
    """Return the regime of few classes."""
    alike = list(siblings(n_siblings).items())
    bases, suspects = dict(alike[:N_FEW_BASES]), dict(alike[N_FEW_BASES:]) | others()
    title = (
        f"up to {FEW_CLASSES} classes\n\nCIFAR-10, 10 classes: {len(alike)} networks of one architecture trained with "
        f"different seeds, of which {len(bases)} fingerprinted, and {len(others())} of other architectures"
    )
    models = f"{len(bases | suspects)} CIFAR-10 models"
    return Regime("few", title, models, 10, FEW_CLASSES, 100, bases, suspects, ("coarse", "white"))


def many_classes(n_bases: int | None = None) -> Regime:
    """Return the regime of many classes."""
    models = {name: imagenet.build(name) for name in imagenet.NAMES}
    bases = dict(list(models.items())[:n_bases])
    title = (
        f"more than {FEW_CLASSES} classes\n\nImageNet, 1,000 classes, 224 x 224 pixels: {len(models)} networks, of "
        f"which {len(bases)} fingerprinted"
    )
    asked = {name: path for name, path in models.items() if name not in bases}
    n_models = len(models) - (len(bases) == 1)
    return Regime("many", title, f"{n_models} ImageNet models", FEW_CLASSES + 1, None, 40, bases, asked, ("coarse",))


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """How the models of a regime answered the fingerprints of one recipe.

    Attributes:
        n_matches: ``(bases, suspects)`` counts of matches.
        n_within: ``(bases, suspects)`` counts of recorded labels within the top k, by k.
        fingerprint: One of the fingerprints.
    """

    n_matches: NDArray[np.int64]
    n_within: dict[int, NDArray[np.int64]]
    fingerprint: Fingerprint


def measure(regime: Regime, kind: Kind, spectrum: Spectrum) -> Counted:
    """Ask every model of a regime the fingerprint of every base."""
    sessions = {name: session(path) for name, path in (regime.bases | regime.suspects).items()}
    shape = len(regime.bases), len(sessions)
    n_matches, n_within = np.zeros(shape, np.int64), {k: np.zeros(shape, np.int64) for k in LADDER}
    for row, (name, path) in enumerate(regime.bases.items()):
        beside = CACHE / "prior" / f"{regime.name}-{kind}-{spectrum}-{name}.fp.npz"
        fingerprint = fingerprint_of(path, beside, regime.n_examples, RecipeOverrides(kind, spectrum))
        for column, asked in enumerate(sessions.values()):
            answers = asked.answer(fingerprint.model_input())
            ranks = rank_labels(fingerprint.labels, answers.scores)
            assert ranks is not None  # noqa: S101 - all of them give scores
            n_matches[row, column] = count_matches(fingerprint.labels, answers.labels)
            for k, counts in n_within.items():
                counts[row, column] = count_within(ranks, k)
        print(regime.name, kind, spectrum, name, *n_matches[row], file=sys.stderr, flush=True)
    n_classes = fingerprint.manifest.base.n_classes
    return Counted(n_matches, {k: counts for k, counts in n_within.items() if k < n_classes}, fingerprint)


def count_of_others(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``(bases, suspects)`` counts, NaN where a model is its own base."""
    others = counts.astype(float)
    np.fill_diagonal(others, np.nan)
    return others


def find_worst(counts: NDArray[np.int64]) -> list[int | None]:
    """Return each suspect's largest count over all bases; ``None`` for one that is the only base."""
    columns = count_of_others(counts).T
    return [None if np.isnan(column).all() else int(np.nanmax(column)) for column in columns]


def report(regime: Regime, kind: Kind, counted: Counted) -> tuple[str, dict[str, Any]]:
    """Return a section of PRIOR.md and an entry of priors.json."""
    of_others, worst = count_of_others(counted.n_matches), find_worst(counted.n_matches)
    n_matches = [count for count in worst if count is not None]
    worst_within = {k: find_worst(counts) for k, counts in counted.n_within.items()}
    manifest = counted.fingerprint.manifest
    recipe = manifest.recipe
    names = [*regime.bases, *regime.suspects]
    lines = [
        f"### {kind}, {recipe.spectrum} seeds, epsilon {recipe.epsilon_levels}/255, {regime.n_examples} examples",
        "",
        f"mean {np.nanmean(of_others):.1f}, standard deviation {np.nanstd(of_others):.1f}, worst {max(n_matches)}",
        "",
        f"| base | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for name, row in zip(regime.bases, of_others, strict=True):
        lines.append(f"| {name} | " + " | ".join("" if np.isnan(c) else f"{c:.0f}" for c in row) + " |")
    lines.append("| **worst** | " + " | ".join("" if c is None else f"**{c}**" for c in worst) + " |")
    for k, counts in worst_within.items():
        lines.append(f"| top {k} | " + " | ".join("" if c is None else str(c) for c in counts) + " |")
    lines += ["", ""]
    entry = {
        "kind": kind,
        "spectrum": recipe.spectrum,
        "max_epsilon": manifest.epsilon_share,
        "n_classes": manifest.base.n_classes,
        "min_classes": regime.min_classes,
        "max_classes": regime.max_classes,
        # How far sizes carry: benchmarks/SCOPE.md.
        "measured_side": max(manifest.base.sides),
        "min_side": max(manifest.base.sides) // 2,
        "max_side": 2 * max(manifest.base.sides),
        "source": f"{regime.models}, each at its worst (benchmarks/PRIOR.md)",
        "n_matches": n_matches,
        "n_within": {str(k): [c for c in counts if c is not None] for k, counts in worst_within.items()},
        "n_examples": regime.n_examples,
    }
    return "\n".join(lines), entry


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description="Measure the prior of the null.")
    parser.add_argument("--siblings", type=int, default=N_SIBLINGS, help="siblings, trained where they are missing")
    parser.add_argument("--at-hand", action="store_true", help="all siblings that need no training instead")
    parser.add_argument("--bases", type=int, help="so many ImageNet bases only; 0 keeps their part")
    parser.add_argument("--many-kinds", nargs="*", choices=get_args(Kind), default=get_args(Kind), help="of ImageNet")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    numbers = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    few = few_classes(None if arguments.at_hand else arguments.siblings)
    text, priors = write_up(few, get_args(Kind))
    if arguments.bases == 0:
        _, found, kept = PRIOR_TABLE.read_text(encoding="utf-8").partition(f"## More than {FEW_CLASSES}")
        text += found + kept
        entries = json.loads(PRIORS.read_text(encoding="utf-8"))["priors"]
        priors += [entry for entry in entries if entry["min_classes"] > FEW_CLASSES]
    else:
        section, entries = write_up(many_classes(arguments.bases), arguments.many_kinds)
        text, priors = text + section, priors + entries
    PRIOR_TABLE.write_text((TEXT.format(**numbers) + text).rstrip() + "\n", encoding="utf-8")
    PRIORS.write_text(json.dumps({"priors": priors}, indent=2) + "\n", encoding="utf-8")


def write_up(regime: Regime, kinds: Sequence[Kind]) -> tuple[str, list[dict[str, Any]]]:
    """Measure, and return the part of PRIOR.md and the entries of priors.json."""
    text, priors = f"## {regime.title[0].upper()}{regime.title[1:]}.\n\n", []
    for spectrum, kind in product(regime.spectra, kinds):
        section, entry = report(regime, kind, measure(regime, kind, spectrum))
        text += section
        priors.append(entry)
    return text, priors


if __name__ == "__main__":
    main()
