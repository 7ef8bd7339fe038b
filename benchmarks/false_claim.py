"""The false claim (Liu et al., arXiv:2304.06607) against ourselves: how near an accuser comes to a MATCH.

    make benchmark-false-claim

The accuser owns a model and other independent ones, and signs bundles that accuse a *victim*: an independent model that
no attack has seen (but the last, which says what that is worth). Everything that a derivation leaves open is
optimised for transfer (transfer_attack.py); every bundle is verified as a user would, by ``onnxfp.verify`` with the
default policy. Writes benchmarks/FALSE_CLAIM.md, and into onnxfp/evidence/attacks.json the largest rate that an attack
reached, which is no MATCH whatever references say. Bundles are kept in .cache/false-claim.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from scipy.special import ndtri

import onnxfp
from benchmarks import imagenet
from benchmarks.at_hand import CACHE, HERE, count, images, others, session, siblings
from benchmarks.transfer_attack import Attack, craft, score_of
from onnxfp import Execution
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.manifest import SCHEMA, BaseModel, CopyParity, Manifest
from onnxfp.errors import DerivationError
from onnxfp.evidence.null import ENOUGH_REFERENCES, estimate_null
from onnxfp.evidence.priors import find_bundle_prior
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.evidence.verdict import Policy
from onnxfp.recipe.defaults import FEW_CLASSES, RecipeOverrides, choose_recipe
from onnxfp.recipe.derivation import derive_labels, derive_seeds
from onnxfp.runtime.session import ModelSession
from onnxfp.trust.keys import generate_key_pair, open_signer, signer_public_key
from onnxfp.types import Bounds, InputGrid, Labels, Levels

FOLDER = CACHE / "false-claim"
ATTACKS = HERE.parent / "onnxfp" / "evidence" / "attacks.json"
TRIES = 10_000
LEAST = Policy().min_examples
MEASURED, WHOLE_BOX = None, 1.0
FEW, COARSE, MANY = "CIFAR-10, white seeds", "CIFAR-10, coarse seeds", "ImageNet"
UNIT = Bounds()


@dataclass(frozen=True, slots=True)
class Claim:
    """One attack on one accuser's behalf.

    Attributes:
        attack: Which of the attacks, in words.
        ensemble: Models that are optimised over; the first is the accuser's own.
        epsilon: Ball, as a share of the range; ``None`` for the default recipe's.
        repelled: References that the accuser expects the verifier to bring, and avoids.
        victims: Who is accused; all that are in neither list where empty.
        bounds: Range of the input that the bundle claims.
    """

    attack: str
    ensemble: tuple[str, ...]
    epsilon: float | None = MEASURED
    repelled: tuple[str, ...] = ()
    victims: tuple[str, ...] = ()
    bounds: Bounds = UNIT


INSIDE, BOUNDS, BOX, AVOID, AVOID_BOX, SEEN = (
    "(b) within the derivation",
    "(b) the same, bounds that are not the model's",
    "(b) the same, epsilon covers the whole range",
    "(b) the same, and known references avoided",
    "(b) references avoided, epsilon covers the whole range",
    "the victim itself in the ensemble",
)


def few_claims(names: Sequence[str]) -> Iterator[Claim]:
    """Yield the attacks on CIFAR-10 models: growing ensembles, and every model that a full one leaves out."""
    own, *rest = names
    yield Claim(INSIDE, (own,))
    yield Claim(INSIDE, (own, "resnet"))
    yield Claim(INSIDE, (own, "vgg_seed2", "resnet", "mobilenet"))
    targets = ("vgg_seed21", "vgg_seed3", "wide_vgg")
    for victim in targets:
        yield Claim(INSIDE, (own, *(n for n in rest if n != victim)), victims=(victim,))
    for bounds in (Bounds(0.25, 0.75), Bounds(0, 4), Bounds(-8, 9)):
        yield Claim(BOUNDS, (own, "resnet"), bounds=bounds)
    yield Claim(BOX, (own, *(n for n in rest if n != targets[0])), WHOLE_BOX, victims=targets[:1])
    avoided = ("vgg_seed2", "mobilenet", "wide_vgg")
    for attack, epsilon in ((AVOID, MEASURED), (AVOID_BOX, WHOLE_BOX)):
        ensemble = (own, *(n for n in rest if n not in (*avoided, targets[0])))
        yield Claim(attack, ensemble, epsilon, avoided, targets[:1])
    yield Claim(SEEN, (own, "resnet"), victims=("resnet",))


def coarse_claims(names: Sequence[str]) -> Iterator[Claim]:
    """Yield the attacks of :func:`few_claims` that tell how far other seeds let an accuser get."""
    yield from (claim for claim in few_claims(names) if claim.attack in (INSIDE, AVOID))


def many_claims() -> Iterator[Claim]:
    """Yield the attacks on ImageNet models."""
    own = "efficientnet_lite0"
    yield Claim(INSIDE, (own, "mobilenet_v2"))
    yield Claim(INSIDE, (own, "mobilenet_v2", "efficientnet_lite1"))


class Accuser:
    """Crafts and signs.

    Args:
        regime: ``white``, ``coarse`` or ``many``: names the kept bundles.
        models: Files of all independent models at hand.
        n_examples: Examples of each bundle.
        choices: The recipe that the accuser claims to have followed.
    """

    def __init__(self, regime: str, models: dict[str, Path], n_examples: int, choices: RecipeOverrides) -> None:
        self.regime, self.models, self.n_examples, self.choices = regime, models, n_examples, choices
        self.sessions: dict[str, ModelSession] = {name: session(path) for name, path in models.items()}
        key = CACHE / "accuser-key.pem"
        if not key.exists():
            CACHE.mkdir(exist_ok=True)
            generate_key_pair(key)
        self.signer = open_signer(key)

    def manifest(
        self, own: str, epsilon: float | None, *, bounds: Bounds = UNIT, seed: int = 0, n: int | None = None
    ) -> Manifest:
        """Return the manifest of a bundle for the accuser's own model."""
        asked, grid, n = self.sessions[own], InputGrid(bounds), n or self.n_examples
        shape = asked.input.shape
        n_classes = asked.output.n_classes
        assert n_classes is not None  # noqa: S101 - all of these give scores
        # epsilon is in units of the bounds.
        epsilon = None if epsilon is None else epsilon * (bounds.upper - bounds.lower)
        recipe = choose_recipe(replace(self.choices, epsilon=epsilon, seed=seed), grid, shape, (1, 2), n_classes)
        base = BaseModel(asked.model.digest, n_classes, asked.input, asked.output, (1, 2))
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        public_key = signer_public_key(self.signer)
        parity = CopyParity(0.0, 0, 1)
        return Manifest(SCHEMA, created, public_key, base, grid, recipe, n, n, (), parity, (("onnxfp", "0"),))

    def sign(self, levels: Levels, labels: Labels, manifest: Manifest) -> Fingerprint:
        """Return the signed bundle of all candidates."""
        return sign_fingerprint(levels, labels, np.arange(len(labels), dtype=np.int64), manifest, self.signer)

    def claim(self, claim: Claim) -> Fingerprint:
        """Return the bundle of one attack, crafted unless it is kept."""
        digests = [[self.sessions[name].model.digest for name in names] for names in (claim.ensemble, claim.repelled)]
        words = f"{digests} {claim.epsilon} {claim.bounds}"
        path = FOLDER / f"{self.regime}-{self.n_examples}-{zlib.crc32(words.encode()):08x}.fp.npz"
        if path.exists():
            return onnxfp.load(path)
        began = time.monotonic()
        attracted, repelled = (
            [score_of(self.sessions[name]) for name in names] for names in (claim.ensemble, claim.repelled)
        )
        attack = Attack(attracted, repelled)
        manifest = self.manifest(claim.ensemble[0], claim.epsilon, bounds=claim.bounds)
        generator = torch.Generator().manual_seed(0)
        levels, labels = craft(attack, manifest.derivation_context(), self.n_examples, generator=generator)
        fingerprint = self.sign(levels, labels, manifest)
        FOLDER.mkdir(parents=True, exist_ok=True)
        fingerprint.save(path)
        print(f"{self.regime}: {claim.attack}, {claim.ensemble}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        return fingerprint


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verifier said of one victim."""

    claim: Claim
    victim: str
    n_matches: int
    n_examples: int
    p_value: float
    least: int | None
    verdict: str
    avoided: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Match rate of the victim."""
        return self.n_matches / self.n_examples


def accuse(accuser: Accuser, claims: Sequence[Claim]) -> list[Outcome]:
    """Return the verdicts on every victim of every attack."""
    outcomes = []
    for claim in claims:
        fingerprint = accuser.claim(claim)
        unseen = [name for name in accuser.models if name not in (*claim.ensemble, *claim.repelled)]
        inputs, labels = fingerprint.model_input(), fingerprint.labels
        avoided = tuple(count(accuser.sessions[name], inputs, labels) for name in claim.repelled)
        for victim in claim.victims or unseen:
            report = onnxfp.verify(accuser.models[victim], fingerprint, execution=Execution("cpu", None))
            found = report.counts.n_matches, report.counts.n_asked
            decision = report.decision
            outcome = Outcome(
                claim, victim, *found, decision.p_value, decision.min_matches, decision.verdict.value, avoided
            )
            outcomes.append(outcome)
            print(accuser.regime, outcome, file=sys.stderr, flush=True)
    return outcomes


def free_choice(accuser: Accuser) -> tuple[str, list[float]]:
    """Return what the derivation check says to inputs and labels of the accuser's choice, and what they would reach.

    The test images that an ensemble is surest of: nothing needs to be optimised where everything is free.
    """
    pixels, truth = images(2000)
    inputs = np.asarray(pixels / 255, np.float32)
    ensemble = ("base", "vgg_seed2", "resnet", "mobilenet")
    surest = np.ones(len(inputs))
    for name in ensemble:
        scores = accuser.sessions[name].answer(inputs).scores
        assert scores is not None  # noqa: S101 - all of these give scores
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        surest = np.minimum(surest, (odds / odds.sum(axis=1, keepdims=True))[np.arange(len(inputs)), truth])
    chosen = np.argsort(-surest)[: accuser.n_examples]
    labels = truth[chosen]
    rates = {
        name: count(asked, inputs[chosen], labels) for name, asked in accuser.sessions.items() if name not in ensemble
    }
    manifest = accuser.manifest("base", MEASURED)
    path = FOLDER / "free.fp.npz"
    FOLDER.mkdir(parents=True, exist_ok=True)
    accuser.sign(pixels[chosen], labels, manifest).save(path)
    try:
        onnxfp.load(path)
    except DerivationError as error:
        said = str(error)
    else:
        sys.exit("error: a bundle of freely chosen images was accepted")
    n = accuser.n_examples
    shown = ", ".join(f"{name} {matches}" for name, matches in rates.items())
    text = (
        f"The {n} of 2,000 test images that {len(ensemble)} models are surest of, with their true labels, would match\n"
        f"{shown} of {n}.\nSigned correctly, such a bundle is rejected before any model is asked: *{said}*.\n"
    )
    return text, [matches / n for matches in rates.values()]


def selection(accuser: Accuser, outcomes: Sequence[Outcome]) -> list[str]:
    """Return table rows: the best n of m candidates, as models that the accuser keeps for that see them."""
    rows = []
    for outcome in outcomes:
        claim = outcome.claim
        if claim.attack != INSIDE or len(claim.ensemble) < 2:
            continue
        fingerprint, m = accuser.claim(claim), outcome.n_examples
        inputs, labels = fingerprint.model_input(), fingerprint.labels
        margin = np.full(m, np.inf)
        for name in claim.ensemble:
            scores = accuser.sessions[name].answer(inputs).scores
            assert scores is not None  # noqa: S101 - all of these give scores
            rival = scores.copy()
            rival[np.arange(m), labels] = -np.inf
            margin = np.minimum(margin, scores[np.arange(m), labels] - rival.max(axis=1))
        order = np.argsort(-margin)
        best = None
        for n in (LEAST, m // 4, m // 2, 3 * m // 4):
            kept = np.sort(order[:n])
            manifest = replace(fingerprint.manifest, n_examples=n)
            bundle = sign_fingerprint(fingerprint.levels[kept], labels[kept], kept, manifest, accuser.signer)
            report = onnxfp.verify(accuser.models[outcome.victim], bundle, execution=Execution("cpu", None))
            row = (report.decision.p_value, n, report.counts.n_matches, report.decision.verdict.value)
            best = row if best is None else min(best, row)
        assert best is not None  # noqa: S101 - the loop above is not empty
        p_value, n, n_matches, verdict = best
        rows.append(
            f"| {len(claim.ensemble)} | {outcome.victim} | {n} of {m} | {n_matches}/{n} | {p_value:.1g} | {verdict} |"
        )
    return rows


def grind(accuser: Accuser, victim: str) -> tuple[float, int, np.ndarray]:
    """Return seconds a try, and the matches of each try: the recipe's seed counted up, the victim asked the bare seeds.

    A try without optimisation, the cheapest there is; with the fewest examples that a policy takes, among which luck
    weighs most.
    """
    path = FOLDER / f"grind-{accuser.regime}-{victim}-{TRIES}.txt"
    if path.exists():
        kept = path.read_text(encoding="utf-8").split()
        return float(kept[0]), LEAST, np.array(kept[1:], np.int64)
    counts, began = np.zeros(TRIES, np.int64), time.monotonic()
    manifest = accuser.manifest("base", MEASURED, n=LEAST)
    for number in range(TRIES):
        context = replace(manifest, recipe=replace(manifest.recipe, seed=number)).derivation_context()
        inputs = context.grid.to_model_input(derive_seeds(context, range(LEAST)))
        counts[number] = count(accuser.sessions[victim], inputs, derive_labels(context, range(LEAST)))
    seconds = (time.monotonic() - began) / TRIES
    path.write_text(" ".join(map(str, (seconds, *counts))), encoding="utf-8")
    return seconds, LEAST, counts


def luckiest(n: int, rate: float, tries: float) -> int:
    """Return the count that the best of so many tries reaches, each of ``n`` examples that match at ``rate``."""
    return int(np.flatnonzero(binomial_tails(n, rate) >= 1 / tries)[-1])


def grinding(accuser: Accuser, outcomes: Sequence[Outcome], n_classes: int) -> list[str]:
    """Return table rows: the best of so many tries, for every attack's rate and every number of examples."""
    rows, policy = [], Policy()
    inside = [o for o in outcomes if o.claim.attack == INSIDE]
    for outcome in sorted(inside, key=lambda o: -o.rate)[:3]:
        for n in (LEAST, 50, 100, 200):
            manifest = accuser.manifest(outcome.claim.ensemble[0], MEASURED)
            least = estimate_null((), (), find_bundle_prior(manifest), n_classes=n_classes, n_candidates=n).min_matches(
                policy.alpha
            )
            reached = " | ".join(str(luckiest(n, outcome.rate, tries)) for tries in (1e4, 1e9))
            needed = "none is enough" if least is None else str(least)
            rows.append(f"| {outcome.rate:.0%} ({outcome.victim}) | {n} | {reached} | {needed} |")
    return rows


HEADING = """\
# False claims

Written by `make benchmark-false-claim` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

An accuser owns a model and other independent ones, and accuses a *victim*, an independent model that the attack has not
seen. Ensembles are counted with the accuser's own model. *Needed* is the number of matches for a MATCH by the default
policy, without references of the verifier (kind ltrc; on ImageNet eot); p is the p-value by the same.

## Summary

{summary}
## (a) Inputs and labels of the accuser's choice

{free}
## (b) Optimised for transfer, within the derivation

Derived seeds, derived labels, the default recipe's ball, the 8-bit grid, a good signature: momentum, random resizing
and padding of every model's input, {steps} steps (benchmarks/transfer_attack.py). No check can tell such a bundle from
an honest one.

{inside}
## (c) Grinding keys and seeds until they fit a victim

Another key, another seed number or another byte in the base's metadata gives other seeds and labels. Without
optimisation, {tries:,} tries of {least} examples against one victim took {milliseconds:.0f} ms each on one core: mean
{mean:.2f} matches, best {best}; a normal tail extrapolates to {extreme:.1f} for 10^9 tries (labels come in blocks of
all classes, so that a constant answer gains nothing). With the attacks of (b) a try costs seconds to minutes; examples
of one try match independently at the attack's rate, so that the best of T tries reaches the binomial quantile of 1/T.
Luck weighs least with many examples: of 50, all of which would have to match, one try in 10^8 would do; from 60 on the
best of 10^9 falls short.

{ground}
## (d) The best n of m candidates

The accuser keeps those candidates of (b) on which the whole ensemble is surest. All candidates count in the p-value;
shown is the n with the smallest.

{selected}
## What rules follow

With a ball as wide as the range, every unseen model follows; and an accuser who knows the verifier's references crafts
examples that those do not match (*references*, of {m} each) and the victim does: a pool of references alone would have
convicted it. Therefore a MATCH takes more matches, whatever prior and references say, than luck makes of the largest
rate in these tables, raised to its upper 95 % confidence bound (`onnxfp/evidence/attacks.json`); beyond the measured
epsilon nothing is a MATCH.

{beyond}
With the victim itself in the ensemble nearly every example fits it. Nothing in a bundle shows that: whoever had the
suspect before the bundle was fixed can do it. Only priority in time rules it out (a commitment or timestamp older than
the suspect), or a fingerprint that the judge makes of the base with a key of their own.
"""


def table(outcomes: Sequence[Outcome], *, avoids: bool = False) -> str:
    """Return the table of verdicts."""
    if not outcomes:
        return "not measured\n"
    text = f"| attack | models | victim | matches |{' references |' if avoids else ''} p | needed | verdict |\n"
    text += "|---" * (8 if avoids else 7) + "|\n"
    for found in outcomes:
        claim = found.claim
        avoided = f" {', '.join(map(str, found.avoided)) or 'none'} |" if avoids else ""
        matches = f"{found.n_matches}/{found.n_examples}"
        needed = "none is enough" if found.least is None else found.least
        bounds = "" if claim.bounds == UNIT else f" ({claim.bounds.lower:g} to {claim.bounds.upper:g})"
        text += f"| {claim.attack}{bounds} | {len(claim.ensemble)} | {found.victim} | {matches} |{avoided} "
        text += f"{found.p_value:.2g} | {needed} | {found.verdict} |\n"
    return text


def reach(outcomes: Sequence[Outcome], manifest: Manifest, source: str) -> list[dict[str, Any]]:
    """Return entries of attacks.json: the largest rate on an unseen victim, in the recipe's ball and anywhere.

    Where nobody tried a wider ball there is no entry for one, and no reference speaks for it.
    """
    few = manifest.base.n_classes <= FEW_CLASSES
    unseen = [found for found in outcomes if found.claim.attack != SEEN]
    entries = []
    for spectrum, share, among in (
        (manifest.spectrum, manifest.epsilon_share, [found for found in unseen if found.claim.epsilon is MEASURED]),
        (None, WHOLE_BOX, unseen if any(found.claim.epsilon == WHOLE_BOX for found in unseen) else []),
    ):
        if not among:
            continue
        worst = max(among, key=lambda found: found.rate)
        entries.append(
            {
                "spectrum": spectrum,
                "max_epsilon": share,
                "n_classes": manifest.base.n_classes,
                "min_classes": 2 if few else FEW_CLASSES + 1,
                "max_classes": FEW_CLASSES if few else None,
                "source": source,
                "n_matches": worst.n_matches,
                "n_examples": worst.n_examples,
            }
        )
    return entries


def summary(
    outcomes: Mapping[str, Sequence[Outcome]],
    selected: Mapping[str, Sequence[str]],
    freely: Sequence[float],
    ground: Sequence[str],
) -> str:
    """Return the table for the README: per attack the matches on unseen victims and the false MATCHes."""
    text = "| attack | models | victims | match rate, mean and worst | smallest p | false MATCH |\n"
    text += "|---" * 6 + "|\n"
    rejected = f"{np.mean(freely):.0%}, {max(freely):.0%} | | rejected as not derived"
    text += f"| (a) inputs and labels of the accuser's choice | {FEW} | {len(freely)} | {rejected} |\n"
    for name, found in outcomes.items():
        for attack in dict.fromkeys(outcome.claim.attack for outcome in found):
            rows = [outcome for outcome in found if outcome.claim.attack == attack]
            rates = [row.rate for row in rows]
            n_false = sum(row.verdict == "MATCH" for row in rows)
            text += (
                f"| {attack} | {name} | {len(rows)} | {np.mean(rates):.0%}, {max(rates):.0%} | "
                f"{min(row.p_value for row in rows):.1g} | {n_false} of {len(rows)} |\n"
            )
        n_false = sum(row.endswith("| MATCH |") for row in selected[name])
        if name == FEW:
            # The default number of examples, and the victim that matches most.
            _, n, best, _, needed = (cell.strip() for cell in ground[3].strip("| ").split("|"))
            text += f"| (c) the best of 10^4 keys or seeds | {name} | 1 | {best} of {n}; needed {needed} | | 0 |\n"
        text += f"| (d) the best n of m | {name} | {len(selected[name])} | | | {n_false} of {len(selected[name])} |\n"
    return text


def main() -> None:
    """Attack, and write what came of it."""
    parser = argparse.ArgumentParser(description="Attack the method as a false accuser would.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--imagenet", type=int, default=2, help="so many of the attacks on ImageNet models: 0, 1 or 2")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    models = siblings(trains=False) | others()
    few, coarse = (
        Accuser(spectrum, models, 100, RecipeOverrides("ltrc", spectrum)) for spectrum in ("white", "coarse")
    )
    accusers = {FEW: (few, list(few_claims(list(models)))), COARSE: (coarse, list(coarse_claims(list(models))))}
    if arguments.imagenet:
        many = Accuser(
            "many", {name: imagenet.build(name) for name in imagenet.NAMES}, 40, RecipeOverrides("eot", "coarse")
        )
        accusers[MANY] = (many, list(many_claims())[: arguments.imagenet])
    freely, rates = free_choice(few)
    outcomes = {name: accuse(*accuser) for name, accuser in accusers.items()}
    selected = {name: selection(accusers[name][0], found) for name, found in outcomes.items()}
    entries = []
    for name, found in outcomes.items():
        accuser = accusers[name][0]
        manifest = accuser.manifest(found[0].claim.ensemble[0], MEASURED)
        models_of = name.partition(",")[0]
        source = f"what our own attacks reached on {models_of} models (benchmarks/FALSE_CLAIM.md)"
        entries += reach(found, manifest, source)
    ground = grinding(few, outcomes[FEW], 10)
    seconds, least, counts = grind(few, "vgg_seed3")
    numbers = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    text = HEADING.format(
        **numbers,
        summary=summary(outcomes, selected, rates, ground),
        free=freely,
        steps=Attack(()).n_steps,
        inside="\n".join(f"{name}:\n\n{table(_of(found, INSIDE, BOUNDS))}" for name, found in outcomes.items()),
        tries=TRIES,
        least=least,
        milliseconds=1000 * seconds,
        mean=counts.mean(),
        best=counts.max(),
        extreme=counts.mean() + counts.std() * float(-ndtri(1e-9)),
        ground="\n".join(GRINDING + ground) + "\n",
        m=few.n_examples,
        selected="\n".join(SELECTION + [row for rows in selected.values() for row in rows]) + "\n",
        enough=ENOUGH_REFERENCES,
        beyond="\n".join(
            f"{name}:\n\n{table(_of(found, BOX, AVOID, AVOID_BOX, SEEN), avoids=True)}"
            for name, found in outcomes.items()
        ),
    )
    (HERE / "FALSE_CLAIM.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    ATTACKS.write_text(json.dumps({"attacks": entries}, indent=2) + "\n", encoding="utf-8")


def _of(outcomes: Sequence[Outcome], *attacks: str) -> list[Outcome]:
    return [found for found in outcomes if found.claim.attack in attacks]


GRINDING = [
    "| match rate (victim) | n | best of 10^4 tries | best of 10^9 tries | needed |",
    "|---|---|---|---|---|",
]
SELECTION = ["| models | victim | kept | matches | p | verdict |", "|---|---|---|---|---|---|"]


if __name__ == "__main__":
    main()
