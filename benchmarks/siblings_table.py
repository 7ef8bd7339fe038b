"""What siblings.py measured, as tables: match rates, and which rule of verification accuses whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import onnxfp
from benchmarks.at_hand import HERE
from benchmarks.siblings import ARMS, COMMITTED, SIMULATED, TUNES, Answers, Arm, Bits, Tune, avoided_tunes
from onnxfp.evidence.null import ENOUGH_REFERENCES, Null, ReferenceCount, estimate_null
from onnxfp.evidence.predictive import predict_matches
from onnxfp.evidence.priors import Conditions, Prior, find_prior
from onnxfp.report.evaluation import MAX_LOSS

TABLE = HERE / "SIBLINGS.md"
ALPHA, N_CLASSES, EPSILON = 1e-6, 10, 16 / 255
ALPHA_OF_SIBLINGS = 1e-3
N_DRAWS, N_LAYERS = 10, 6

TEXT = """\
# Siblings by descent

Written by `python -m benchmarks.siblings --table` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

The ancestor is `models/base.onnx`. Two tunes of it are siblings: neither derives from the other, and a MATCH between
them would be false. {n_tunes} tunes were trained for this table and {n_committed} are in the repository; {n_bases} of
them are fingerprinted. A tune sees the even (a) or the odd (b) images of CIFAR-10's training set, or the first of them;
the committed ones see all. The ancestor was trained on all of them, by the same project: real ancestors share less.

| tune | layers trained, of 6 | learning rate | epochs | images | accuracy |
|---|---|---|---|---|---|
{tunes}

*Thefts* of a base are {thefts}.
Those that are trained see {n_stolen} images of the other half (of `all-a`: 4,000). A theft is useful that lost at most
{max_loss:.0%} of accuracy.

## What follows

- Without a declared ancestor every sibling is a MATCH. A MATCH of a plain fingerprint means common lineage, no more.
- With the ancestor declared, a pool of eight or more co-descendants accuses none of the siblings here. Where some
  layers alone were tuned, it convicts hardly any theft either: such a base is too close to its siblings, and the honest
  verdict is INCONCLUSIVE.
- Where all layers were tuned, avoiding the ancestor and one co-descendant separates siblings from copies, but costs the
  thefts that were trained. Examples that survive the owner's own simulated thefts bring most of those back. Two of the
  three simulated ones are of a sort that is stolen here.
- Avoiding is no guarantee: of a base with few tuned layers the ancestor still matches most examples. Candidates that it
  matches have to be rejected while crafting. Dropping them afterwards leaves a fifth to two fifths, and too many
  siblings then have small p-values (table *Calibration*): the pool spreads wider than the predictive distribution
  expects.
- The prior alone may not decide about fingerprints that avoid an ancestor: it knows nothing of siblings.
- The exact gate behaves as it says where the ancestor is avoided: siblings have the least p about once in m + 1.

## Match rates

*ancestor*: the examples are crafted to avoid it (`avoid`). *+ 1*, *+ 3*: and so many co-descendants of the owner's own
making, on the half of the data that the base was tuned on. *surviving*: the examples are crafted to be matched by the
owner's own thefts as well ({simulated}; other images and another seed than the
thief's). The siblings asked are those not avoided. Mean (worst).

{rates}
## Match rates by base

*needed*: matches that a MATCH takes with all of these siblings as the pool.

{by_base}
## Who is accused

A row is a rule of verification; alpha is 1e-06.

- *prior*: as now, without a declared ancestor.
- *pool*: the match counts of co-descendants take the prior's place (`estimate_null`), as eight references may,
  behind the bound on attacks. They are all but the base, those avoided and the suspect: {pool_sizes} of them.
- *pool of {enough}*: only {enough} of them, drawn {n_draws} times; a figure is the mean over draws.
- *prior and pool*: the larger of both tails decides.
- *pool, lost examples dropped*: examples that the ancestor or an avoided co-descendant matches are not counted.
- *pool and fingerprints*: *pool*, and the count exceeds what the suspect's own counts on the other bases' fingerprints
  predict.
- *two steps*: the plain fingerprint is a MATCH by the prior (common lineage, one in a million), and by the pool the
  count on this one has a p-value of at most {alpha_of_siblings}.

A figure is the number of MATCH of those asked: false ones of siblings, the ancestor and independent models, true ones
of thefts. Thefts are useful ones that the plain fingerprint of the same kind convicts by the prior; all useful ones
where the base has none. They are shown apart for bases of which all layers were tuned, and of which some were.

{policies}
*Two steps, lost examples dropped* is the same rule of the examples that the ancestor and what was avoided do not match.

*Calibration*: leave-one-out p-values of siblings by the pool, and of the same thefts.

{calibration}
## An exact gate

Fingerprints of m siblings made alike are exchangeable for one more sibling of unknown make, so that the rank of its
count on the base's fingerprint among all m + 1 is uniform: p = (1 + #{{T_j >= T_0}}) / (m + 1). It assumes that the
base's tuning is a draw from the same recipe as the others', and nothing on spreads. With m = 8 it cannot fall below
0.111: it is a gate behind other evidence, and no evidence at one in a million, which 999,999 fingerprints would take.

{gate}
"""


@dataclass(frozen=True)
class Case:
    """One base with one arm, and what its suspects matched.

    Attributes:
        answers: All answers.
        base: The base.
        arm: The arm.
    """

    answers: Answers
    base: Tune
    arm: Arm

    def bits(self, model: str) -> Bits:
        """Return which examples a model matches."""
        return self.answers.matches[self.base.name, self.arm.name, model]

    def rate(self, model: str) -> float:
        """Return a model's match rate."""
        return float(self.bits(model).mean())

    @property
    def n_candidates(self) -> int:
        """Number of candidates that were crafted."""
        return self.answers.n_candidates[self.base.name, self.arm.name]

    @property
    def avoided(self) -> list[str]:
        """Names of the co-descendants that were avoided."""
        return [tune.name for tune in avoided_tunes(self.base, self.arm.n_avoided)]

    @property
    def siblings(self) -> list[str]:
        """Names of the tunes that were not avoided."""
        names = [*(tune.name for tune in TUNES), *COMMITTED]
        return [name for name in names if name not in (self.base.name, *self.avoided) and self._is_asked(name)]

    def pool(self, suspect: str) -> list[str]:
        """Names of the siblings that may be the verifier's references: not the suspect, nor one avoided."""
        return [name for name in self.siblings if name != suspect]

    @property
    def independent(self) -> list[str]:
        """Names of the independent models."""
        found = {model for base, arm, model in self.answers.matches if (base, arm) == (self.base.name, self.arm.name)}
        return sorted(model for model in found if model.startswith("independent/"))

    @property
    def thefts(self) -> list[str]:
        """Names of the useful thefts."""
        least = self.answers.accuracy[self.base.name] - MAX_LOSS
        found = [model for model, accuracy in self.answers.accuracy.items() if accuracy >= least]
        return sorted(model for model in found if model.startswith(f"{self.base.name}/") and self._is_asked(model))

    def others(self) -> dict[str, Case]:
        """Return the same arm of the other bases."""
        bases = {base for base, arm in self.answers.n_candidates if arm == self.arm.name and base != self.base.name}
        return {tune.name: Case(self.answers, tune, self.arm) for tune in TUNES if tune.name in bases}

    def _is_asked(self, model: str) -> bool:
        return (self.base.name, self.arm.name, model) in self.answers.matches


def list_cases(answers: Answers, arm: Arm) -> list[Case]:
    """Return the cases of an arm."""
    return [Case(answers, tune, arm) for tune in TUNES if (tune.name, arm.name) in answers.n_candidates]


@cache
def find_plain_prior() -> Prior:
    """Return the prior of the plain recipe; the kind of the examples does not matter to it."""
    return find_prior(Conditions("coarse", EPSILON, N_CLASSES, (32, 32)))


@cache
def find_pool_null(n_candidates: int, pool: tuple[tuple[int, int], ...]) -> Null:
    """Return the null with the verifier's pool, or without one."""
    verifier = [ReferenceCount("sha256:" + "0" * 64, *count) for count in pool]
    return estimate_null((), verifier, find_plain_prior(), n_classes=N_CLASSES, n_candidates=n_candidates)


def exceeds(n_matches: int, null: Null) -> bool:
    """Return whether a count is a MATCH."""
    least = null.min_matches(ALPHA)
    return least is not None and n_matches >= least


Rule = Callable[[Case, str], float]


def by_prior(case: Case, suspect: str) -> float:
    """Return 1 where the prior alone makes a MATCH."""
    n_matches = int(case.bits(suspect).sum())
    return float(exceeds(n_matches, find_pool_null(case.n_candidates, ())))


def by_pool(case: Case, suspect: str) -> float:
    """Return 1 where all co-descendants, in the prior's place, make a MATCH."""
    return float(_exceeds_pool(case, suspect, case.pool(suspect)))


def by_prior_and_pool(case: Case, suspect: str) -> float:
    """Return 1 where the prior makes a MATCH, and all co-descendants do."""
    return float(by_prior(case, suspect) and by_pool(case, suspect))


def by_eight(case: Case, suspect: str) -> float:
    """Return the share of pools of eight that make a MATCH in the prior's place."""
    pool = case.pool(suspect)
    if len(pool) < ENOUGH_REFERENCES:
        return float("nan")
    draw = np.random.default_rng(len(suspect))
    drawn = (draw.choice(pool, ENOUGH_REFERENCES, replace=False) for _ in range(N_DRAWS))
    return float(np.mean([_exceeds_pool(case, suspect, list(names)) for names in drawn]))


def _exceeds_pool(case: Case, suspect: str, pool: Sequence[str]) -> bool:
    counts = tuple(sorted((int(case.bits(name).sum()), case.n_candidates) for name in pool))
    return exceeds(int(case.bits(suspect).sum()), find_pool_null(case.n_candidates, counts))


def _keep(case: Case) -> Bits:
    """Return which examples neither the ancestor nor an avoided co-descendant matches."""
    lost = case.bits("ancestor").copy()
    for name in case.avoided:
        lost |= case.bits(name)
    return ~lost


def by_kept(case: Case, suspect: str) -> float:
    """Return 1 where the co-descendants make a MATCH of the examples that nothing avoided matches."""
    kept = _keep(case)
    n = int(kept.sum())
    if n < 1:
        return 0.0
    counts = tuple(sorted((int(case.bits(name)[kept].sum()), n) for name in case.pool(suspect)))
    return float(exceeds(int(case.bits(suspect)[kept].sum()), find_pool_null(n, counts)))


def p_by_pool(case: Case, suspect: str, *, kept: bool = False) -> float:
    """Return the p-value by what all co-descendants alone predict, of all examples or of those not lost."""
    of = _keep(case) if kept else np.ones(case.arm.n_examples, np.bool_)
    n = int(of.sum()) if kept else case.n_candidates
    if n < 1:
        return 1.0
    counts = tuple(sorted((int(case.bits(name)[of].sum()), n) for name in case.pool(suspect)))
    return float(_predict(counts, n)[int(case.bits(suspect)[of].sum())])


def in_two_steps(case: Case, suspect: str, *, kept: bool = False) -> float:
    """Return 1 where the plain fingerprint is a MATCH, and the pool's p-value is at most a thousandth."""
    if not case.arm.avoids_ancestor:
        return by_prior(case, suspect)
    plain = next(arm for arm in ARMS if arm.kind == case.arm.kind and not arm.avoids_ancestor)
    first = Case(case.answers, case.base, plain)
    if (case.base.name, plain.name) not in case.answers.n_candidates:
        return float("nan")
    return float(by_prior(first, suspect) and p_by_pool(case, suspect, kept=kept) <= ALPHA_OF_SIBLINGS)


def in_two_steps_of_kept(case: Case, suspect: str) -> float:
    """Return the same of the examples that nothing avoided matches."""
    return in_two_steps(case, suspect, kept=True)


def by_both(case: Case, suspect: str) -> float:
    """Return 1 where co-descendants and the suspect's answers to their fingerprints make a MATCH; NaN if not asked."""
    others = [other for name, other in case.others().items() if name != suspect and suspect not in other.avoided]
    if not others or any((o.base.name, o.arm.name, suspect) not in case.answers.matches for o in others):
        return float("nan")
    counts = tuple(sorted((int(other.bits(suspect).sum()), other.n_candidates) for other in others))
    tail = _predict(counts, case.n_candidates)
    return float(by_pool(case, suspect) and tail[int(case.bits(suspect).sum())] <= ALPHA)


@cache
def _predict(counts: tuple[tuple[int, int], ...], n: int) -> NDArray[np.float64]:
    return predict_matches(counts, n).tail


RULES: dict[str, Rule] = {
    "prior": by_prior,
    "pool": by_pool,
    f"pool of {ENOUGH_REFERENCES}": by_eight,
    "prior and pool": by_prior_and_pool,
    "pool, lost examples dropped": by_kept,
    "pool and fingerprints": by_both,
    "two steps": in_two_steps,
    "two steps, lost examples dropped": in_two_steps_of_kept,
}


def write_table(answers: Answers) -> None:
    """Write SIBLINGS.md of what is there."""
    from benchmarks.siblings import N_STOLEN_WITH, THEFTS

    cases = {arm.name: found for arm in ARMS if (found := list_cases(answers, arm))}
    made = [tune for tune in TUNES if tune.name in answers.accuracy]
    bases = {case.base.name for found in cases.values() for case in found}
    sizes = [len(case.siblings) - 1 for found in cases.values() for case in found]
    tunes = [
        f"| {t.name} | {t.n_layers} | {t.learning_rate} | {t.epochs} | {t.n_images:,} | {accuracy:.1%} |"
        for t, accuracy in ((tune, answers.accuracy[tune.name]) for tune in made)
    ]
    tunes += [f"| {name} | 6 | 0.02 | 4 | 50,000 | {answers.accuracy[name]:.1%} |" for name in COMMITTED]
    TABLE.write_text(
        TEXT.format(
            onnxfp=onnxfp.__version__,
            torch=torch.__version__,
            onnxruntime=onnxruntime.__version__,
            n_tunes=len(made),
            n_committed=len(COMMITTED),
            n_bases=len(bases),
            tunes="\n".join(tunes),
            thefts=", ".join(f"`{name}`" for name in THEFTS),
            n_stolen=f"{N_STOLEN_WITH:,}",
            max_loss=MAX_LOSS,
            simulated=", ".join(f"`{name}`" for name in SIMULATED),
            rates="\n".join(_write_rates(cases)),
            by_base="\n".join(_write_by_base(cases)),
            pool_sizes=f"{min(sizes)} to {max(sizes)}",
            enough=ENOUGH_REFERENCES,
            n_draws=N_DRAWS,
            alpha_of_siblings=ALPHA_OF_SIBLINGS,
            calibration="\n".join(_write_calibration(answers, cases)),
            policies="\n".join(_write_policies(answers, cases)),
            gate="\n".join(_write_gate(cases)),
        ).rstrip()
        + "\n",
        encoding="utf-8",
    )


def _mean_and_worst(rates: Sequence[float], worst: Callable[[Sequence[float]], float] = max) -> str:
    return f"{np.mean(rates):.2f} ({worst(rates):.2f})" if rates else ""


def _write_rates(cases: dict[str, list[Case]]) -> Iterator[str]:
    yield "| fingerprint | bases | examples | candidates, mean | ancestor | siblings | independent | useful thefts |"
    yield "|---" * 8 + "|"
    for name, found in cases.items():
        ancestor = [case.rate("ancestor") for case in found]
        siblings = [case.rate(model) for case in found for model in case.siblings]
        independent = [case.rate(model) for case in found for model in case.independent]
        thefts = [case.rate(model) for case in found for model in case.thefts]
        candidates = np.mean([case.n_candidates for case in found])
        yield (
            f"| {name} | {len(found)} | {found[0].arm.n_examples} | {candidates:.0f} | {_mean_and_worst(ancestor)} | "
            f"{_mean_and_worst(siblings)} | {_mean_and_worst(independent)} | {_mean_and_worst(thefts, min)} |"
        )
    yield ""


def _write_by_base(cases: dict[str, list[Case]]) -> Iterator[str]:
    yield "| fingerprint | base | ancestor | siblings | worst sibling | useful thefts | worst theft | needed |"
    yield "|---" * 8 + "|"
    for name, found in cases.items():
        for case in found:
            siblings = {model: case.rate(model) for model in case.siblings}
            thefts = {model: case.rate(model) for model in case.thefts}
            counts = tuple(sorted((int(case.bits(model).sum()), case.n_candidates) for model in siblings))
            needs = find_pool_null(case.n_candidates, counts).min_matches(ALPHA)
            worst = max(siblings, key=lambda model: siblings[model])
            weakest = min(thefts, key=lambda model: thefts[model])
            asked = case.arm.n_examples
            needed = f"{needs} of {asked}" if needs is not None and needs <= asked else "none is enough"
            yield (
                f"| {name} | {case.base.name} | {case.rate('ancestor'):.2f} | "
                f"{_mean_and_worst([*siblings.values()])} | {worst} | "
                f"{_mean_and_worst([*thefts.values()], min)} | {weakest.partition('/')[2]} | {needed} |"
            )
    yield ""


def _list_convicted(answers: Answers, found: Sequence[Case]) -> list[tuple[Case, str]]:
    """Return the useful thefts that the plain fingerprint of the same kind convicts, or all where there is none."""
    convicted = []
    for case in found:
        plain = next(arm for arm in ARMS if arm.kind == case.arm.kind and not arm.avoids_ancestor)
        first = Case(answers, case.base, plain)
        is_there = (case.base.name, plain.name) in answers.n_candidates
        convicted += [(case, theft) for theft in case.thefts if not is_there or by_prior(first, theft)]
    return convicted


def _write_policies(answers: Answers, cases: dict[str, list[Case]]) -> Iterator[str]:
    columns = "siblings", "ancestor", "independent", "thefts, all layers tuned", "thefts, some layers tuned"
    yield f"| fingerprint | rule | {' | '.join(columns)} |"
    yield "|---" * 7 + "|"
    for name, found in cases.items():
        convicted = _list_convicted(answers, found)
        for title, rule in RULES.items():
            siblings = [rule(case, model) for case in found for model in case.siblings]
            ancestor = [rule(case, "ancestor") for case in found]
            independent = [rule(case, model) for case in found for model in case.independent]
            thefts: dict[bool, list[float]] = {True: [], False: []}
            for case, theft in convicted:
                thefts[case.base.n_layers == N_LAYERS].append(rule(case, theft))
            figures = siblings, ancestor, independent, thefts[True], thefts[False]
            yield f"| {name} | {title} | " + " | ".join(map(_share, figures)) + " |"
    yield ""


def _write_calibration(answers: Answers, cases: dict[str, list[Case]]) -> Iterator[str]:
    bounds = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
    titles = " | ".join(f"p <= {bound:g}" for bound in bounds)
    yield f"| fingerprint | suspects | number | least p | {titles} |"
    yield "|---" * (4 + len(bounds)) + "|"
    for name, found in cases.items():
        groups = {}
        for kept in (False, True) if found[0].arm.avoids_ancestor else (False,):
            dropped = ", lost examples dropped" if kept else ""
            groups[f"siblings{dropped}"] = [p_by_pool(c, model, kept=kept) for c in found for model in c.siblings]
            convicted = _list_convicted(answers, found)
            groups[f"thefts{dropped}"] = [p_by_pool(c, theft, kept=kept) for c, theft in convicted]
        for title, values in groups.items():
            below = " | ".join(str(sum(value <= bound for value in values)) for bound in bounds)
            yield f"| {name} | {title} | {len(values)} | {min(values):.2g} | {below} |"
    yield ""


def _share(found: Sequence[float]) -> str:
    asked = [value for value in found if not np.isnan(value)]
    return f"{sum(asked):.4g} of {len(asked)}" if asked else "not asked"


def _write_gate(cases: dict[str, list[Case]]) -> Iterator[str]:
    yield "| fingerprint | m | least p | siblings at the least p | expected | useful thefts at the least p |"
    yield "|---" * 6 + "|"
    for name, found in cases.items():
        ranks: dict[bool, list[float]] = {False: [], True: []}
        m = 0
        for case in found:
            others = case.others()
            for model in (*case.siblings, *case.thefts):
                against = [other for base, other in others.items() if base != model and model not in other.avoided]
                asked = [o for o in against if (o.base.name, o.arm.name, model) in case.answers.matches]
                if not asked or len(asked) < len(against):
                    continue
                m = max(m, len(asked))
                at_least = sum(other.rate(model) >= case.rate(model) for other in asked)
                ranks["/" in model].append(at_least == 0)
        if m:
            n = len(ranks[False])
            yield (
                f"| {name} | up to {m} | {1 / (m + 1):.3f} | {sum(ranks[False])} of {n} | {n / (m + 1):.1f} | "
                f"{_share(ranks[True])} |"
            )
    yield ""
