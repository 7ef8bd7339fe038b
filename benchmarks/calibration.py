"""Is the p-value what it says it is? Synthetic pools by the hundred thousand, and every fold of the real ones.

    make benchmark-calibration

A false match is a MATCH of a model that comes from the same population as the pool. Its rate is not counted but
computed: for each synthetic pool the threshold is found, and the population's true tail there is averaged over pools,
which is exact for the pool and leaves no event too rare to be seen. Real models are those of prior.py, whose
fingerprints in .cache/prior are used (and made where they are missing). Writes benchmarks/CALIBRATION.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import get_args

import numpy as np
import onnxruntime
import scipy
from numpy.typing import NDArray
from scipy.special import betaln, gammaln
from scipy.stats import betabinom

import onnxfp
from benchmarks import linear_twins, prior
from benchmarks.at_hand import HERE
from onnxfp.evidence import predictive
from onnxfp.evidence.null import ENOUGH_REFERENCES, ReferenceCount, estimate_null
from onnxfp.evidence.predictive import WIDEST_SPREAD, predict_matches
from onnxfp.evidence.priors import Prior, find_bundle_prior
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.evidence.verdict import Policy
from onnxfp.types import Kind

ALPHAS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
RATES = (0.01, 0.05, 0.2, 0.5)
SPREADS = (0.02, 0.05, 0.1, 0.15, 0.25)
POOL_SIZES = (4, 8, 20)
# By the names of prior.py's regimes.
DEFAULT_KINDS: dict[str, Kind] = {"few": "ltrc", "many": "eot"}
KIND = DEFAULT_KINDS["few"]
N_EXAMPLES = 100
N_POOLS = 100_000
_CHUNK = 1000

TEXT = """\
# Calibration

Written by `make benchmark-calibration` (onnxfp {onnxfp}, numpy {numpy}, scipy {scipy}, onnxruntime {onnxruntime}).

## Synthetic pools

{n_pools:,} pools in all, {cell:,} a row: match counts of {examples} examples by so many unassociated models, whose
rates are beta-distributed with the given mean and spread (the correlation rho within a model, see
`onnxfp/evidence/predictive.py`). The pool alone predicts; the suspect is one more model of the same population. A cell
is the rate of false matches over alpha: 1 is what alpha promises, less is caution. Verdicts assume spreads up to
{widest}; the rows beyond show what breaks where that is wrong.

{pools}
Largest ratio up to a spread of {widest}: {largest}.

The prior without references does not depend on a draw: it demands {least} of {examples} matches at alpha 1e-06 (kind
{kind}, 10 classes). The rate of false matches, over alpha, where the suspect comes from *another* population than the
prior's:

{alone}
## Spreads of real models

Maximum likelihood over the counts of one model at its worst base, and an interval of all spreads whose likelihood is at
least 0.147 of the largest (95 %): wide, with so few models.

{spreads}
## Every fold of the real models

Each model in turn is the suspect, and each other fingerprinted one the base. *Prior*: the pool is what
the prior would hold without the suspect, each other model at its worst. *References*: the pool is what all models but
base and suspect show on that very fingerprint, without prior.

{folds}
## Models that the prior does not speak for

Two softmax regressions that owe each other nothing: own random starts, each trained on its half of CIFAR-10's training
images, with a penalty on squared weights (benchmarks/linear_twins.py). Matches of one on three fingerprints of the
other, and what a MATCH would take if the prior spoke for them. It does not: training leads linear models of a task to
one function, and verdicts on them take references.

| penalty | recipe | matches | needed by the prior | verdict |
|---|---|---|---|---|
{linear}

## Requirement

Fewest matches that are a MATCH at the default alpha of {alpha:g}, for the default kind. *R alike*: R references of the
verifier that match as the measured models do; *none is enough* means INCONCLUSIVE for every suspect.

{power}
"""


class Simulation:
    """Thresholds of many pools at once, by the very grid and weights of ``predict_matches``."""

    def __init__(self, n: int) -> None:
        a, b, log_weight = predictive._grid()
        counts = np.arange(n + 1)
        choices = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
        table = choices + betaln(counts + a[:, None], n - counts + b[:, None]) - betaln(a, b)[:, None]
        self._log_weight = log_weight.astype(np.float32)
        self._log_probability = table.astype(np.float32)
        self._tails = np.exp(table)[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float32)

    def tails(self, pools: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return ``(n_pools, n + 1)`` predictive tails of ``(n_pools, size)`` counts."""
        n = self._tails.shape[1]
        times = np.zeros((len(pools), n), np.float32)
        np.add.at(times, (np.arange(len(pools))[:, None], pools), 1)
        weight = times @ self._log_probability.T + self._log_weight
        weight -= weight.max(axis=1, keepdims=True)
        np.exp(weight, out=weight)
        tails: NDArray[np.float32] = (weight @ self._tails) / weight.sum(axis=1, keepdims=True)
        return tails


def false_rates(
    simulation: Simulation, mean: float, spread: float, size: int, n_pools: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the rate of false matches for each alpha."""
    a, b = _shape(mean, spread)
    # Entry n + 1: a threshold that no count reaches.
    true = np.concatenate([betabinom.sf(np.arange(N_EXAMPLES + 1) - 1, N_EXAMPLES, a, b), [0.0]])
    total = np.zeros(len(ALPHAS))
    for first in range(0, n_pools, _CHUNK):
        n = min(_CHUNK, n_pools - first)
        tails = simulation.tails(rng.binomial(N_EXAMPLES, rng.beta(a, b, (n, size))))
        total += [true[(tails > alpha).sum(axis=1)].sum() for alpha in ALPHAS]
    return total / n_pools


def simulate(n_pools: int) -> tuple[str, float]:
    """Return the table of the simulation, and its largest ratio within the spreads that verdicts assume."""
    simulation, rng = Simulation(N_EXAMPLES), np.random.default_rng(20261125)
    check = rng.integers(0, 60, (3, 5))
    for pool, tail in zip(check, simulation.tails(check), strict=True):
        expected = predict_matches([(int(k), N_EXAMPLES) for k in pool], N_EXAMPLES).tail
        np.testing.assert_allclose(tail, expected, rtol=1e-3, atol=1e-12)
    largest = 0.0
    text = "| models in the pool | mean rate | spread | " + " | ".join(f"alpha {a:g}" for a in ALPHAS) + " |\n"
    text += "|---" * (3 + len(ALPHAS)) + "|\n"
    cell = _cell(n_pools)
    for size in POOL_SIZES:
        for mean in RATES:
            for spread in SPREADS:
                rates = false_rates(simulation, mean, spread, size, cell, rng) / ALPHAS
                text += f"| {size} | {mean} | {spread} | " + " | ".join(f"{rate:.2g}" for rate in rates) + " |\n"
                largest = max(largest, rates.max()) if spread <= WIDEST_SPREAD else largest
                print(size, mean, spread, *(f"{rate:.2g}" for rate in rates), file=sys.stderr, flush=True)
    return text, float(largest)


def prior_alone(least: int) -> str:
    """Return the table of false matches by the prior without references."""
    text = "| mean rate | " + " | ".join(f"spread {spread}" for spread in SPREADS) + " |\n"
    text += "|---" * (1 + len(SPREADS)) + "|\n"
    for mean in (*RATES[:-1], 0.3, 0.4, RATES[-1]):
        tails = [betabinom.sf(least - 1, N_EXAMPLES, *_shape(mean, spread)) / ALPHAS[-1] for spread in SPREADS]
        text += f"| {mean} | " + " | ".join(f"{tail:.2g}" if tail > 1e-6 else "< 1e-6" for tail in tails) + " |\n"
    return text


def _shape(mean: float, spread: float) -> tuple[float, float]:
    scale = 1 / spread - 1
    return mean * scale, (1 - mean) * scale


def spread_of(pool: Sequence[tuple[int, int]]) -> tuple[float, float, float, float]:
    """Return the likeliest mean and spread of a pool, and the ends of the spread's interval."""
    means, spreads = np.linspace(0.002, 0.998, 499), np.geomspace(1e-3, 0.7, 200)
    grid = np.zeros((len(means), len(spreads)))
    for matches, asked in pool:
        scale = 1 / spreads - 1
        grid += betabinom.logpmf(matches, asked, means[:, None] * scale, (1 - means[:, None]) * scale)
    profile = grid.max(axis=0)
    likely = spreads[profile >= profile.max() - 1.92]
    mean = means[grid.argmax() // len(spreads)]
    return float(mean), float(spreads[profile.argmax()]), float(likely[0]), float(likely[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Counts of real models: ``counts[b, s]`` matches of suspect s with the fingerprint of base b, NaN where b is s.

    ``prior`` is what such a fingerprint is judged by.
    """

    regime: prior.Regime
    kind: Kind
    counts: NDArray[np.float64]
    prior: Prior

    @property
    def names(self) -> list[str]:
        """Names of the suspects; the bases come first."""
        return [*self.regime.bases, *self.regime.suspects]

    def pool(self, *without: int) -> list[tuple[int, int]]:
        """Return what the prior would hold without some models: each other one at its worst over the other bases."""
        bases = [b for b in range(len(self.counts)) if b not in without]
        left = [s for s in range(len(self.names)) if s not in without]
        columns = [(self.counts[[b for b in bases if b != s], s]) for s in left]
        return [(int(column.max()), self.regime.n_examples) for column in columns if len(column)]


def folds(measured: Sequence[Measured]) -> str:
    """Return the table of the leave-one-out."""
    text = "| models | kind | folds | smallest p, prior | of | smallest p, references | of | false MATCH |\n"
    text += "|---" * 8 + "|\n"
    for found in measured:
        n, n_classes = found.regime.n_examples, 10 if found.regime.name == "few" else 1000
        by_prior, by_references = [], []
        for base, suspect in np.argwhere(~np.isnan(found.counts)):
            matches = int(found.counts[base, suspect])
            case = f"{found.names[suspect]}, {matches} of {n} of {found.names[base]}"
            prior_pool = Prior(tuple(found.pool(suspect)), "prior")
            null = estimate_null((), (), prior_pool, n_classes=n_classes, n_candidates=n)
            by_prior.append((null.p_value(matches), case))
            row = [int(count) for s, count in enumerate(found.counts[base]) if s not in (base, suspect)]
            pool = Prior(tuple((count, n) for count in row), "references")
            null = estimate_null((), (), pool, n_classes=n_classes, n_candidates=n)
            by_references.append((null.p_value(matches), case))
        smallest = min(by_prior), min(by_references)
        n_false = sum(p <= Policy().alpha for p, _ in (*by_prior, *by_references))
        cells = " | ".join(f"{p:.2g} | {case}" for p, case in smallest)
        text += f"| {found.regime.models} | {found.kind} | {len(by_prior)} | {cells} | {n_false} |\n"
    return text


def spreads(measured: Sequence[Measured]) -> str:
    """Return the table of measured spreads."""
    text = "| models | kind | counts | mean rate | spread | 95 % |\n|---|---|---|---|---|---|\n"
    for found in measured:
        pool = found.pool()
        mean, spread, lower, upper = spread_of(pool)
        shown = " ".join(str(matches) for matches, _ in pool)
        of = f"{shown} of {found.regime.n_examples}"
        cells = f"{of} | {mean:.2f} | {spread:.2g} | {lower:.2g} to {upper:.2g}"
        text += f"| {found.regime.models} | {found.kind} | {cells} |\n"
    return text


def power(measured: Sequence[Measured]) -> str:
    """Return the table of the matches that a MATCH takes."""
    sizes, n_references = (50, 100, 200, 400), (0, 3, 8, 16)
    text = (
        "| models | kind | pool | " + " | ".join(f"n = {n}" for n in sizes) + " |\n" + "|---" * (3 + len(sizes)) + "|\n"
    )
    for found in (found for found in measured if found.kind == DEFAULT_KINDS[found.regime.name]):
        rates, bounded = [matches / asked for matches, asked in found.pool()], found.prior
        n_classes = 10 if found.regime.name == "few" else 1000

        def least(pool: Prior, n: int, n_own: int, rates: Sequence[float] = rates, n_classes: int = n_classes) -> str:
            own = [ReferenceCount(f"sha256:{i:064x}", round(n * rates[i % len(rates)]), n) for i in range(n_own)]
            null = estimate_null((), own, pool, n_classes=n_classes, n_candidates=n)
            needed = null.min_matches(Policy().alpha)
            return "none is enough" if needed is None else str(needed)

        rows = [(f"prior and {r} alike" if r else "prior", bounded, r) for r in n_references]
        rows += [
            (f"prior of {times * len(bounded.counts)} such models", replace(bounded, counts=bounded.counts * times), 0)
            for times in (2, 4)
        ]
        for name, pool, n_own in rows:
            name = name.replace("prior and ", "") if n_own >= ENOUGH_REFERENCES else name
            text += (
                f"| {found.regime.models} | {found.kind} | {name} | "
                + " | ".join(least(pool, n, n_own) for n in sizes)
                + " |\n"
            )
        if bounded.attack_bound is not None:
            floors = [int((binomial_tails(n, bounded.attack_bound) > Policy().alpha).sum()) for n in sizes]
            cells = " | ".join(
                str(floor) if floor <= n else "none is enough" for floor, n in zip(floors, sizes, strict=True)
            )
            name = "a false accuser's reach, whatever the references"
            text += f"| {found.regime.models} | {found.kind} | {name} | {cells} |\n"
    return text


def main() -> None:
    """Simulate, measure, write."""
    parser = argparse.ArgumentParser(description="Check the calibration of the p-value.")
    parser.add_argument("--pools", type=int, default=N_POOLS)
    parser.add_argument("--siblings", type=int, default=prior.N_SIBLINGS)
    parser.add_argument("--bases", type=int, help="as of prior.py; 0 leaves ImageNet out")
    arguments = parser.parse_args()
    regimes = [prior.few_classes(arguments.siblings)]
    if arguments.bases != 0:
        regimes.append(prior.many_classes(arguments.bases))
    measured = []
    for regime in regimes:
        for kind in get_args(Kind):
            counted = prior.measure(regime, kind, regime.spectra[0])
            judged_by = find_bundle_prior(counted.fingerprint.manifest)
            measured.append(Measured(regime, kind, prior.count_of_others(counted.n_matches), judged_by))
    pools, largest = simulate(arguments.pools)
    bounded = next(found.prior for found in measured if found.kind == KIND)
    null = estimate_null((), (), bounded, n_classes=10, n_candidates=N_EXAMPLES)
    least = null.min_matches(ALPHAS[-1])
    numbers = {module.__name__: module.__version__ for module in (onnxfp, np, scipy, onnxruntime)}
    text = TEXT.format(
        **numbers,
        n_pools=_cell(arguments.pools) * len(RATES) * len(SPREADS) * len(POOL_SIZES),
        cell=_cell(arguments.pools),
        examples=N_EXAMPLES,
        widest=WIDEST_SPREAD,
        pools=pools,
        largest=f"{largest:.2g}",
        least=least,
        kind=KIND,
        alone=prior_alone(N_EXAMPLES + 1 if least is None else least),
        spreads=spreads(measured),
        folds=folds(measured),
        linear="\n".join(linear_twins.rows()),
        alpha=Policy().alpha,
        power=power(measured),
    )
    (HERE / "CALIBRATION.md").write_text(text.rstrip() + "\n", encoding="utf-8")


def _cell(n_pools: int) -> int:
    return ceil(n_pools / (len(RATES) * len(SPREADS) * len(POOL_SIZES)))


if __name__ == "__main__":
    main()
