"""Measure how often unassociated networks of many families match, and whether they spread as the policy assumes.

    python -m benchmarks.unassociated

Small CIFAR-10 networks (unassociated_networks.py) are trained for a minute or less each, on parts of the data, and
asked fingerprints of the default recipe and of the weakest kind, of three committed bases. Counts are kept in
.cache/unassociated as they come, weights are not; an interrupted run goes on where it stopped. Writes
benchmarks/UNASSOCIATED.md; ``--table`` writes it of what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import betabinom, kstest
from torch import Tensor

import onnxfp
from benchmarks import at_hand
from benchmarks.at_hand import CACHE, HERE, MODELS
from benchmarks.unassociated_networks import FAMILIES, fit, plan
from models import build
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.evidence.predictive import WIDEST_SPREAD, predict_matches
from onnxfp.evidence.priors import Conditions, find_prior
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.types import Kind, Spectrum

FOLDER = CACHE / "unassociated"
TABLE = HERE / "UNASSOCIATED.md"
N_NETWORKS, N_EXAMPLES, N_MEASURED = 60, 100, 2000
BASES = {
    "base": MODELS / "base.onnx",
    "vgg_seed2": MODELS / "independent" / "vgg_seed2.onnx",
    "vgg_seed3": MODELS / "independent" / "vgg_seed3.onnx",
}
RECIPES: tuple[tuple[Kind, Spectrum], ...] = (("ltrc", "coarse"), ("c", "white"))
# Seeds of the recipe: other examples of the same base.
SEEDS = (0, 1)


ALPHA, EPSILON = 1e-6, 16 / 255
# Half of the 95 % quantile of a chi-squared distribution is what the logarithm of the likelihood may fall by.
CHI_95 = 3.84
# Accuracy of a network that somebody might use, and fewest networks whose spread is told.
ABLE, MIN_POOL = 0.6, 4

TEXT = """\
# Unassociated networks of many families

Written by `python -m benchmarks.unassociated` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

{n} networks of {n_families} families, each trained from its own random weights on a part of CIFAR-10's training images
(all, a half or a third), with its own augmentation, optimiser and label smoothing (`unassociated_networks.py`), for
seconds or a minute or two of one core: they are less accurate than the networks of `models/`. All were asked
fingerprints of 100 examples of `models/base.onnx` (two seeds of the recipe), `vgg_seed2` and `vgg_seed3`. *Worst*: the
largest count of the three bases, one seed each, as `priors.json` takes the largest of four.

The policy assumes that unassociated models spread no wider than rho = {widest}.
{conclusion} (largest: {largest}), and the 95 % intervals reach {upper}.

What follows:

- Networks trained for seconds match hardly more than by chance: transfer needs accuracy. They are the easy part of the
  population. They must not enter `priors.json`: with them a MATCH would take fewer matches (last table), against models
  that are as accurate as the base and match three times as often.
- Both sorts in one pool are spread wider than either (table *Spread*). A verifier's pool of references that mixes weak
  and able models is not what the policy assumes. References should be about as accurate as the suspect, and a policy
  that wants to hold for any mixture needs a bound above the interval's upper end.
- That accurate networks of other families spread no wider is not shown here: it takes longer trainings.

## Families

Mean match rate (largest).

{families}

## Spread

Maximum likelihood of the beta-binomial, and the rho whose profile likelihood is within 95 %.

| recipe | counts | models | mean rate | largest | rho | 95 % |
|---|---|---|---|---|---|---|
{spreads}

## Each network against the others

Leave-one-out: the p-value of each network by the predictive distribution of all others. Uniform p-values have a tenth
below 0.1 and a hundredth below 0.01; fewer is caution. *Distance*: Kolmogorov-Smirnov distance of mid-p-values from
uniform, and its p-value.

| recipe | pool | models | smallest p | share below 0.1 | below 0.01 | distance |
|---|---|---|---|---|---|---|
{folds}

## Largest counts

At the worst base. *p by the prior*: by `priors.json`; *p by the others*: leave-one-out among the new networks.

| recipe | family | accuracy | matches | p by the prior | p by the others |
|---|---|---|---|---|---|
{worst}

## What a MATCH would take

Matches needed at alpha 1e-06 by the predictive distribution alone, and with the new counts added to the prior.

| recipe | examples | priors.json | with the new networks |
|---|---|---|---|
{needs}
"""
CONCLUSIONS = {
    True: "The likeliest spread of every pool below is narrower",
    False: "The likeliest spread of a pool below is wider: the assumption does not hold",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What one network matched.

    Attributes:
        name: The training's name.
        family: Its family.
        accuracy: On the first test images, in [0, 1].
        counts: Matches by name of the bundle.
    """

    name: str
    family: str
    accuracy: float
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One fingerprint that every network is asked.

    Attributes:
        kind: Kind of its examples.
        spectrum: Spectrum of their seeds.
        base: Key of :data:`BASES`.
        seed: Seed of the recipe.
    """

    kind: Kind
    spectrum: Spectrum
    base: str
    seed: int

    @property
    def name(self) -> str:
        """Stable name."""
        return f"{self.kind} {self.spectrum} {self.base} {self.seed}"

    def fingerprint(self) -> Fingerprint:
        """Return it, crafted unless it is kept."""
        overrides = RecipeOverrides(self.kind, self.spectrum, seed=self.seed)
        beside = FOLDER / f"{self.name}.fp.npz".replace(" ", "-")
        return at_hand.fingerprint_of(BASES[self.base], beside, N_EXAMPLES, overrides)


# The base twice, with other examples: both halves together are a fingerprint of the default size.
BUNDLES = tuple(
    Bundle(kind, spectrum, base, seed)
    for kind, spectrum in RECIPES
    for base in BASES
    for seed in (SEEDS if base == "base" else SEEDS[:1])
)


def measure(n: int, only: int, of: int) -> None:
    """Train networks that were not measured, and ask them.

    Args:
        n: How many networks there are in all.
        only: Which share of them, from 0.
        of: Number of shares.
    """
    done = {row.name for row in read_rows()}
    images, labels = build.data("train")
    pixels, truth = (part[:N_MEASURED] for part in build.data("test"))
    made = {bundle.name: bundle.fingerprint() for bundle in BUNDLES}
    for index, training in enumerate(plan(n)):
        if training.name in done or index % of != only:
            continue
        network = fit(training, images, labels)

        def answer(inputs: Tensor, network: torch.nn.Module = network) -> NDArray[np.int64]:
            with torch.no_grad():
                return torch.cat([network(batch).argmax(1) for batch in torch.split(inputs, 250)]).numpy()

        row = {
            "name": training.name,
            "family": training.family,
            "accuracy": float((answer(pixels.float() / 255) == truth.numpy()).mean()),
            "counts": {
                name: int((answer(torch.from_numpy(made[name].model_input())) == made[name].labels).sum())
                for name in made
            },
        }
        with (FOLDER / "counts.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        print(json.dumps(row), file=sys.stderr, flush=True)


def read_rows() -> list[Row]:
    """Return the kept counts."""
    path = FOLDER / "counts.jsonl"
    rows = map(json.loads, path.read_text("utf-8").splitlines()) if path.exists() else ()
    return [Row(row["name"], row["family"], row["accuracy"], row["counts"]) for row in rows]


def fit_spread(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float, float]:
    """Return mean rate and spread rho of the likeliest beta-binomial, and the ends of the 95 % interval of rho.

    Args:
        counts: ``(matches, asked)`` of each model.
    """
    k, n = np.array(counts).T

    def cost(mean: float, spread: float) -> float:
        size = 1 / spread - 1
        return -float(betabinom.logpmf(k, n, mean * size, (1 - mean) * size).sum())

    spreads = np.geomspace(1e-4, 0.9, 400)
    start = float((k / n).mean())
    best = [minimize(lambda m, r=rho: cost(float(m[0]), r), [start], bounds=[(1e-3, 0.999)]) for rho in spreads]
    costs = np.array([found.fun for found in best])
    within = spreads[costs <= costs.min() + CHI_95 / 2]
    likeliest = int(costs.argmin())
    return float(best[likeliest].x[0]), float(spreads[likeliest]), float(within[0]), float(within[-1])


def leave_one_out(counts: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return each model's p-value against the pool of all others."""
    tails = [predict_matches([*counts[:i], *counts[i + 1 :]], n).tail for i, (_, n) in enumerate(counts)]
    return np.array([tail[k] for tail, (k, _) in zip(tails, counts, strict=True)])


def at_worst(row: Row, kind: Kind, spectrum: Spectrum) -> tuple[int, int]:
    """Return a network's largest count over the bases, as priors.json has it: one seed a base."""
    names = [b.name for b in BUNDLES if (b.kind, b.spectrum, b.seed) == (kind, spectrum, SEEDS[0])]
    return max(row.counts[name] for name in names), N_EXAMPLES


def on_base(row: Row, kind: Kind, spectrum: Spectrum) -> tuple[int, int]:
    """Return a network's count on models/base.onnx, over the seeds of the recipe."""
    names = [b.name for b in BUNDLES if (b.kind, b.spectrum, b.base) == (kind, spectrum, "base")]
    return sum(row.counts[name] for name in names), N_EXAMPLES * len(names)


def write_table() -> None:
    """Write UNASSOCIATED.md of what is there."""
    rows = read_rows()
    holds, spreads, folds, needs = True, [], [], []
    likeliest, uppers = [], []
    for kind, spectrum in RECIPES:
        prior = find_prior(Conditions(spectrum, EPSILON, 10, (32, 32)))
        known, mine = list(prior.counts), [at_worst(row, kind, spectrum) for row in rows]
        able = [at_worst(row, kind, spectrum) for row in rows if row.accuracy >= ABLE]
        pools = {
            "`models/base.onnx`, both seeds": [on_base(row, kind, spectrum) for row in rows],
            "at the worst base": mine,
            f"at the worst base, accuracy at least {ABLE:.0%}": able,
            "priors.json": known,
            "priors.json and at the worst base": [*known, *mine],
        }
        for title, counts in pools.items():
            if len(counts) < MIN_POOL:
                continue
            mean, rho, low, high = fit_spread(counts)
            holds &= rho <= WIDEST_SPREAD
            likeliest.append(rho)
            uppers.append(high)
            worst = max(k / n for k, n in counts)
            spreads.append(
                f"| {kind} {spectrum} | {title} | {len(counts)} | {mean:.3f} | {worst:.2f} | {rho:.3f} | "
                f"{low:.3f} to {high:.3f} |"
            )
        for title, counts in (("at the worst base", mine), ("priors.json and at the worst base", [*known, *mine])):
            p = leave_one_out(counts)
            # Tails of a discrete count are above uniform; the mean of both tails at the count is not.
            above = np.array([predict_matches([*counts[:i], *counts[i + 1 :]], n).tail[min(k + 1, n)] * (k < n)
                              for i, (k, n) in enumerate(counts)])  # fmt: skip
            test = kstest((p + above) / 2, "uniform")
            folds.append(
                f"| {kind} {spectrum} | {title} | {len(p)} | {p.min():.2g} | {(p < 0.1).mean():.2f} | "
                f"{(p < 0.01).mean():.3f} | {test.statistic:.3f} ({test.pvalue:.2g}) |"
            )
        tail = predict_matches(known, N_EXAMPLES).tail
        largest = max(range(len(rows)), key=lambda i: mine[i][0])
        folds.append(
            f"| {kind} {spectrum} | new networks by priors.json alone | {len(rows)} | {tail[mine[largest][0]]:.2g} | "
            f"{np.mean([tail[k] < 0.1 for k, _ in mine]):.2f} | {np.mean([tail[k] < 0.01 for k, _ in mine]):.3f} | |"
        )
        for n in (100, 200):
            before, after = (_needed(pool, n) for pool in (known, [*known, *mine]))
            needs.append(f"| {kind} {spectrum} | {n} | {before} | {after} |")
    conclusion = CONCLUSIONS[holds]
    TABLE.write_text(
        TEXT.format(
            onnxfp=onnxfp.__version__,
            torch=torch.__version__,
            onnxruntime=onnxruntime.__version__,
            n=len(rows),
            n_families=len({row.family for row in rows}),
            widest=WIDEST_SPREAD,
            conclusion=conclusion,
            largest=f"{max(likeliest):.3f}",
            upper=f"{max(uppers):.3f}",
            families="\n".join(_write_families(rows)),
            spreads="\n".join(spreads),
            folds="\n".join(folds),
            worst="\n".join(_write_worst(rows)),
            needs="\n".join(needs),
        ).rstrip()
        + "\n",
        encoding="utf-8",
    )


def _needed(pool: Sequence[tuple[int, int]], n: int) -> str:
    reached = np.flatnonzero(predict_matches(pool, n).tail <= ALPHA)
    return str(reached[0]) if len(reached) else "none is enough"


def _write_families(rows: Sequence[Row]) -> Iterator[str]:
    titles = [f"{kind} {spectrum}, {title}" for kind, spectrum in RECIPES for title in ("base", "worst")]
    yield f"| family | networks | accuracy | {' | '.join(titles)} |"
    yield "|---" * (3 + len(titles)) + "|"
    for family in FAMILIES:
        members = [row for row in rows if row.family == family]
        if not members:
            continue
        cells = []
        for kind, spectrum in RECIPES:
            for count in (on_base, at_worst):
                rates = [k / n for k, n in (count(row, kind, spectrum) for row in members)]
                cells.append(f"{np.mean(rates):.2f} ({max(rates):.2f})")
        least, most = (of(row.accuracy for row in members) for of in (min, max))
        yield f"| {family} | {len(members)} | {least:.0%} to {most:.0%} | {' | '.join(cells)} |"


def _write_worst(rows: Sequence[Row]) -> Iterator[str]:
    for kind, spectrum in RECIPES:
        known = find_prior(Conditions(spectrum, EPSILON, 10, (32, 32))).counts
        counts = [at_worst(row, kind, spectrum) for row in rows]
        others, alone = leave_one_out(counts), predict_matches(known, N_EXAMPLES).tail
        for index in sorted(range(len(rows)), key=lambda i: -counts[i][0])[:5]:
            row, (k, n) = rows[index], counts[index]
            yield (
                f"| {kind} {spectrum} | {row.family} | {row.accuracy:.0%} | {k} of {n} | {alone[k]:.2g} | "
                f"{others[index]:.2g} |"
            )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description="Measure unassociated networks of many families.")
    parser.add_argument("--networks", type=int, default=N_NETWORKS)
    parser.add_argument("--share", type=int, nargs=2, default=(0, 1), help="which share, of how many")
    parser.add_argument("--table", action="store_true", help="only write the table of what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.table:
        measure(arguments.networks, *arguments.share)
    write_table()


if __name__ == "__main__":
    main()
