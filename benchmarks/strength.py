"""Which examples survive theft: one change of the recipe at a time, on many thefts. Writes STRENGTH.md.

    make benchmark-strength

An arm is a recipe, or a recipe with models that its examples were kept from matching. Few classes: the base of models/,
on which the defaults were chosen, and two bases on which nothing was (another seed, another architecture), with thefts
that were really trained (onnxfp.variants, on 20,000 training images) and independent models. Many classes: MobileNetV2,
and EfficientNet-Lite0 as the base on which nothing was chosen, with the thefts that need no true labels. Every theft is
made once and asked the examples of all arms and seeds; thefts, examples and answers are kept in .cache/strength as they
come, so that an interrupted run goes on. With ``--part`` one group of bases is measured, and its section written anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import at_hand
import build
import comparison
import imagenet
import numpy as np
import onnxruntime
import torch
from at_hand import CACHE, HERE
from numpy.typing import NDArray
from strength_aims import aims
from tables import kept_section

import onnxfp
from onnxfp.base.onnx_file import read_onnx
from onnxfp.base.session import ModelSession
from onnxfp.bundle.keys import generate_key_pair
from onnxfp.errors import OnnxfpError
from onnxfp.evidence.evaluation import MOST_LOSS
from onnxfp.evidence.null import Prior, estimate_null
from onnxfp.evidence.statistics import count_matches
from onnxfp.evidence.uniqueness import Comparison, compare
from onnxfp.evidence.verdict import Policy
from onnxfp.examples import sources
from onnxfp.examples.defaults import Choices
from onnxfp.examples.gradients import loss_of
from onnxfp.examples.sources import CopySource
from onnxfp.types import Labels, ModelInput
from onnxfp.variants.catalogue import list_queries, list_variants
from onnxfp.variants.material import Material

FOLDER = CACHE / "strength"
N_TRAINING, N_MEASURED = 20_000, 1000
# Training images that the owner has to simulate thefts with, after the thief's.
N_OWNED, SIMULATION_SEED = 10_000, 7
# What a fingerprint with the default number of examples would need.
N_FEW, N_MANY = 200, 100
# Without training a small ImageNet network does not live through these.
LEAST_LEFT = 0.3
# Thefts that take longest, not made of every base. Thieves of ImageNet models have photographs and no labels.
UNLABELLED = ("rtll", "adversarial", "distil", "extract")
SKIPPED = {"resnet": ("distil", "extract"), "mobilenet_v2": UNLABELLED, "efficientnet_lite0": UNLABELLED}
# Crops of each of twelve photographs that they train on, others than those that usefulness is measured on.
N_TUNED, TUNED_SEED = 80, 1
DEFAULT_OF_FEW, DEFAULT_OF_MANY = "ltrc", "eot"
# What every arm is compared with: the defaults before there were others.
BEFORE = ("ltrc white", "ltrc pink")
N_RESAMPLES = 5000
# Pilot runs that were tried: examples of each arm, and references given. Drawn so often.
PILOTS = ((10, 0), (10, 1), (10, 3), (25, 1), (25, 3), (50, 3))
N_PILOTS = 400
# Thefts that take labelled data to make.
TRAINED = ("ftll", "ftal", "rtll", "rtal", "prune-finetune", "adversarial", "distil", "extract")
Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to make examples.

    Attributes:
        name: Stable name.
        choices: What differs from the defaults.
        n_seeds: Number of seeds.
        avoided: Models that the examples are kept from matching; the base itself is left out.
        survived: Thefts of the owner's own making that the examples are crafted to be matched by as well.
    """

    name: str
    choices: Choices
    n_seeds: int = 3
    avoided: tuple[str, ...] = ()
    survived: tuple[str, ...] = ()


AVOIDED = ("base", "vgg_seed2", "resnet")
SIMULATED = ("prune-finetune-0.8", "distil-10", "extract-10")
FEW_ARMS = (
    Arm("c white", Choices(kind="c", spectrum="white")),
    Arm("ltrc white", Choices(kind="ltrc", spectrum="white")),
    Arm("ltrc", Choices(kind="ltrc")),
    Arm("ltrc pink", Choices(kind="ltrc", spectrum="pink")),
    Arm("eot white", Choices(kind="eot", n_draws=2, spectrum="white")),
    Arm("eot", Choices(kind="eot", n_draws=2)),
    Arm("eot pink", Choices(kind="eot", n_draws=2, spectrum="pink")),
    Arm("eot epsilon 12", Choices(kind="eot", n_draws=2, epsilon=12 / 255)),
    Arm("eot epsilon 20", Choices(kind="eot", n_draws=2, epsilon=20 / 255)),
    Arm("eot q 1", Choices(kind="eot", n_draws=1)),
    Arm("eot q 4", Choices(kind="eot", n_draws=4)),
    Arm("eot cutoff 0", Choices(kind="eot", n_draws=2, cutoff=0)),
    Arm("eot cutoff 8", Choices(kind="eot", n_draws=2, cutoff=8)),
    Arm("eot noise .1", Choices(kind="eot", n_draws=2, noise=0.1)),
    Arm("eot avoiding", Choices(kind="eot", n_draws=2), avoided=AVOIDED),
    Arm("ltrc avoiding", Choices(kind="ltrc"), avoided=AVOIDED),
    Arm("ltrc surviving", Choices(kind="ltrc"), survived=SIMULATED),
    Arm("ltrc avoiding and surviving", Choices(kind="ltrc"), avoided=AVOIDED, survived=SIMULATED),
    Arm("ltrc pink avoiding and surviving", Choices(kind="ltrc", spectrum="pink"), avoided=AVOIDED, survived=SIMULATED),
)
HELD_OUT_ARMS = ("c white", "ltrc white", "ltrc", "eot white", "eot", "eot epsilon 12", "eot avoiding", "ltrc avoiding")
PARTS = ("tuning", "held-out", "imagenet", "imagenet-held-out")
HELD_OUT_MANY = ("ltrc pink", "eot pink", "eot", "eot cutoff 0")
MANY_ARMS = (
    Arm("ltrc pink", Choices(kind="ltrc", spectrum="pink")),
    Arm("eot pink", Choices(kind="eot", spectrum="pink")),
    Arm("eot pink q 1", Choices(kind="eot", spectrum="pink", n_draws=1)),
    Arm("eot pink cutoff 0", Choices(kind="eot", spectrum="pink", cutoff=0), 1),
    Arm("eot", Choices(kind="eot")),
    Arm("eot cutoff 0", Choices(kind="eot", cutoff=0)),
)
TEXT = """\
# Which examples survive theft

Written by `make benchmark-strength` ({versions}; {threads} threads).

Match rates in percent, means over seeds (and bases): 100 examples of each of three seeds on CIFAR-10, 40 on ImageNet
(*cutoff 0* there: of one). *Left* is what the theft leaves of the base: its agreement with the base on {n_measured}
CIFAR-10 test images, and in brackets the accuracy that it lost, in points; on ImageNet the agreement on 240 crops of
photographs. A theft that lost more than 15 points (ImageNet: of agreement more than half) is a broken product: set in
brackets, and in no summary. Who steals an ImageNet model here has no labels: what is trained learns the base's own
answers to {n_crops} other crops of those photographs.

*ltrc* is the default with few classes, *eot* with many. An arm differs from the default of its kind in what its name
says, and *eot* on CIFAR-10 by two draws a step. *Avoiding*: two of the unassociated models were avoided (`--avoid`),
and are left out of its summary. *Surviving*: crafted to be matched as well by three thefts that the owner made with
other images and another seed (pruned by 80 % and fine-tuned, distilled, extracted); no option, for what it gains on
such thefts it loses elsewhere.

Intervals: 95 %, bootstrap over models; *gain* compares with ltrc on white or pink seeds, the default before, on the
same models. *Needed* is the number of matches for a MATCH at 1e-6 if the unassociated models of the table were all that
is known, and *convicted* the share of thefts that reach it; the reach of a false accuser (FALSE_CLAIM.md) comes on top.
Seconds are those of this machine, busy with other work.

"""


@dataclass(frozen=True)
class Bed:
    """One base, what was stolen from it, and what was not.

    Attributes:
        name: The base's name.
        path: The base's file.
        references: Unassociated models by name.
        arms: What is measured on it.
        n_examples: Examples of each arm and seed.
        images: ``(n, 3, height, width)`` natural images that usefulness is measured on.
        truth: Their labels, or ``None``.
        training: Images and labels that a thief trains on: the true ones, or without them the base's own.
        owned: Others, that the owner simulates thefts with, or ``None``.
        n_asked: Examples of the fingerprint whose verdict is told.
    """

    name: str
    path: Path
    references: Mapping[str, Path]
    arms: Sequence[Arm]
    n_examples: int
    images: Images
    truth: Labels | None
    training: tuple[Images, Labels]
    owned: tuple[Images, Labels] | None
    n_asked: int

    @property
    def folder(self) -> Path:
        """Where everything of this bed is kept."""
        return FOLDER / self.name

    @cached_property
    def base(self) -> ModelSession:
        """The open base."""
        return at_hand.session(self.path)


def few_bed(name: str, arms: Sequence[Arm]) -> Bed:
    """Return the bed of one CIFAR-10 base."""
    pool = at_hand.siblings(4) | at_hand.others()
    pixels, truth = at_hand.images(10_000)
    train, labels = build.data("train")
    training, owned = (
        (train[part].numpy().astype(np.float32) / np.float32(255), labels[part].numpy())
        for part in (slice(N_TRAINING), slice(N_TRAINING, N_TRAINING + N_OWNED))
    )
    images = pixels[-N_MEASURED:].astype(np.float32) / np.float32(255)
    references = {other: path for other, path in pool.items() if other != name}
    return Bed(name, pool[name], references, arms, 100, images, truth[-N_MEASURED:], training, owned, N_FEW)


def many_bed(name: str, arms: Sequence[Arm]) -> Bed:
    """Return the bed of one ImageNet base."""
    references = {other: imagenet.build(other) for other in imagenet.NAMES if other != name}
    path, images = imagenet.build(name), comparison.imagenet_bed().images.numpy()
    crops = comparison.crop_photographs(N_TUNED, TUNED_SEED)
    training = crops, at_hand.session(path).answer(crops).labels
    return Bed(name, path, references, arms, 40, images, None, training, None, N_MANY)


def steal(bed: Bed, *, simulated: bool = False) -> Iterator[tuple[str, Path]]:
    """Yield every theft that can be made, by name.

    Args:
        bed: The bed.
        simulated: Whether the owner makes them, with training images and a seed that the thief does not have, and only
            those of :data:`SIMULATED`.
    """
    skipped = SKIPPED.get(bed.name, ())
    folder = bed.folder / ("simulated" if simulated else "variants")
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = bed.owned if simulated and bed.owned else bed.training
    seed = SIMULATION_SEED if simulated else 0
    material = Material(read_onnx(bed.path).load_proto(), bed.base.input, bed.base.output, images, labels, seed=seed)
    untrained = material if bed.truth is not None else replace(material, inputs=bed.images[:256], labels=None)
    for variant in list_variants("standard", has_labels=True):
        if variant.name not in SIMULATED if simulated else variant.name.startswith(skipped):
            continue
        path, failed = folder / f"{variant.name}.onnx", folder / f"{variant.name}.failed"
        if not path.exists() and not failed.exists():
            try:
                made = variant.make(material if variant.needs_labels else untrained)
            except OnnxfpError as error:
                failed.write_text(str(error), encoding="utf-8")
            else:
                beside = path.with_suffix(".new")
                beside.write_bytes(made.SerializeToString())
                beside.replace(path)
                print(f"{bed.name}: stole {variant.name}", file=sys.stderr, flush=True)
        if path.exists():
            yield variant.name, path


@contextmanager
def surviving(thefts: Sequence[Path]) -> Iterator[None]:
    """Craft examples that these thefts match as well: the mirror of what is done with models to avoid."""

    class Surviving(CopySource):
        def __init__(
            self, session: ModelSession, plain: ModelSession, probes: ModelInput, device: torch.device, *more: Any
        ) -> None:
            super().__init__(session, plain, probes, device, *more)
            tried = torch.from_numpy(probes).to(device)
            self._penalties += [sources.penalty_of(at_hand.session(path), tried, probes, loss_of) for path in thefts]

    with patch.object(sources, "CopySource", Surviving if thefts else CopySource):
        yield


def examples(bed: Bed, arm: Arm, seed: int) -> tuple[ModelInput, Labels, float]:
    """Return one arm's examples and the seconds that one took; made unless they are kept."""
    path = bed.folder / "examples" / f"{arm.name.replace(' ', '-')}-{seed}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        key = FOLDER / "key.pem"
        if not key.exists():
            generate_key_pair(key)
        choices = Choices(**{**_fields(arm.choices), "seed": seed})
        simulated = [path for name, path in steal(bed, simulated=True) if name in arm.survived] if arm.survived else []
        began = time.monotonic()
        with surviving(simulated):
            made = onnxfp.generate(
                bed.path,
                n_examples=bed.n_examples,
                choices=choices,
                avoid=[bed.references[name] for name in arm.avoided if name != bed.name],
                key=key,
                device="cpu",
                limits=None,
            )
        seconds = (time.monotonic() - began) / bed.n_examples
        print(f"{bed.name}: {arm.name}, seed {seed}, {seconds:.2f} s each", file=sys.stderr, flush=True)
        beside = path.with_suffix(".new.npz")
        np.savez(beside, inputs=made.model_input(), labels=made.labels, seconds=seconds)
        beside.replace(path)
    # Written by this script into a git-ignored folder.
    with np.load(path, allow_pickle=False) as stored:  # noqa: TID251
        return stored["inputs"], stored["labels"], float(stored["seconds"])


def _fields(choices: Choices) -> dict[str, Any]:
    return {name: getattr(choices, name) for name in choices.__dataclass_fields__}


class Answers:
    """Match counts and usefulness of every model of a bed, kept as they come.

    Args:
        bed: The bed.
    """

    def __init__(self, bed: Bed) -> None:
        self._bed, self._path = bed, bed.folder / "answers.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        self.useful: dict[str, tuple[float, float]] = {}
        self.counts: dict[tuple[str, str, int], int] = {}
        for row in map(json.loads, lines):
            if "arm" in row:
                self.counts[row["name"], row["arm"], row["seed"]] = row["count"]
            else:
                self.useful[row["name"]] = (row["left"], row["lost"])

    def measure(self) -> None:
        """Ask every model what was not asked."""
        bed = self._bed
        made = {(arm.name, seed): examples(bed, arm, seed) for arm in bed.arms for seed in range(arm.n_seeds)}
        for name, path in (*steal(bed), *bed.references.items()):
            missing = [key for key in made if (name, *key) not in self.counts]
            if missing or name not in self.useful:
                self._ask(name, at_hand.session(path), made, missing, lambda images: images)
        for query in list_queries("standard"):
            missing = [key for key in made if (query.name, *key) not in self.counts]
            if missing or query.name not in self.useful:
                self._ask(query.name, bed.base, made, missing, query.transform)

    def _ask(self, name: str, asked: ModelSession, made: Any, missing: Any, change: Any) -> None:
        bed = self._bed
        if name not in self.useful:
            own, found = bed.base.answer(bed.images).labels, asked.answer(change(bed.images)).labels
            left = float((own == found).mean())
            lost = 1 - left if bed.truth is None else float((own == bed.truth).mean() - (found == bed.truth).mean())
            self.useful[name] = (left, lost)
            self._write({"name": name, "left": left, "lost": lost})
        if bed.truth is None and self.useful[name][0] < LEAST_LEFT and name not in bed.references:
            return
        for arm, seed in missing:
            inputs, labels, _ = made[arm, seed]
            count = count_matches(labels, asked.answer(change(inputs)).labels)
            self.counts[name, arm, seed] = count
            self._write({"name": name, "arm": arm, "seed": seed, "count": count})

    def _write(self, row: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def rate(self, name: str, arm: str) -> float:
        """Return a model's match rate, over all seeds; not a number where it was not asked."""
        counts = [count for (found, made, _), count in self.counts.items() if (found, made) == (name, arm)]
        return float(np.mean(counts)) / self._bed.n_examples if counts else float("nan")


def describe(title: str, beds: Sequence[Bed]) -> Iterator[str]:
    """Yield the lines of one group of bases."""
    answers = {bed.name: Answers(bed) for bed in beds}
    for kept in answers.values():
        kept.measure()
    arms = {arm.name: arm for arm in beds[0].arms}
    is_labelled = beds[0].truth is not None
    order = [variant.name for variant in list_variants("standard", has_labels=True)]
    order += [query.name for query in list_queries("standard")]
    names = sorted({name for kept in answers.values() for name in kept.useful if name in order}, key=order.index)

    yield f"## {title}"
    yield ""
    yield "| theft | left | " + " | ".join(arms) + " |"
    yield "|---" * (2 + len(arms)) + "|"
    for name in names:
        on = [bed for bed in beds if name in answers[bed.name].useful]
        left, lost = np.mean([answers[bed.name].useful[name] for bed in on], axis=0)
        rates = [[answers[bed.name].rate(name, arm) for bed in on] for arm in arms]
        if np.isnan(rates).all():
            continue
        cells = [f"{100 * np.mean(row):.0f}" for row in rates]
        if not all(is_useful(bed, answers[bed.name], name) for bed in on):
            cells = [f"({cell})" for cell in cells]
        beside = f" ({100 * lost:+.0f})" if is_labelled else ""
        yield f"| {name} | {left:.0%}{beside} | " + " | ".join(cells) + " |"
    for name in dict.fromkeys(name for bed in beds for name in bed.references):
        on = [bed for bed in beds if name in bed.references]
        left = np.mean([answers[bed.name].useful[name][0] for bed in on])
        cells = [f"{100 * np.mean([answers[bed.name].rate(name, arm) for bed in on]):.0f}" for arm in arms]
        yield f"| **{name}** | {left:.0%} | " + " | ".join(cells) + " |"
    yield ""
    yield from _summary(beds, answers, arms)


def _summary(beds: Sequence[Bed], answers: Mapping[str, Answers], arms: Mapping[str, Arm]) -> Iterator[str]:
    found: dict[str, Comparison] = {}
    convicted: dict[str, list[str]] = {}
    gains: dict[str, str] = {}
    before = next(name for name in BEFORE if name in arms)
    for name, arm in arms.items():
        thefts = [
            (bed, model)
            for bed in beds
            for model in answers[bed.name].useful
            if model not in bed.references and is_useful(bed, answers[bed.name], model)
        ]
        thefts = [(bed, model) for bed, model in thefts if not np.isnan(answers[bed.name].rate(model, name))]
        others = [(bed, model) for bed in beds for model in bed.references if model not in arm.avoided]
        rates = {
            (side, other): np.array([answers[bed.name].rate(model, other) for bed, model in models])
            for side, models in (("variants", thefts), ("references", others))
            for other in (name, before)
        }
        found[name] = compare(rates["variants", name].tolist(), rates["references", name].tolist())
        gains[name] = _gain(*(rates[side, name] - rates[side, before] for side in ("variants", "references")))
        shares, needed = [], []
        for bed in beds:
            n = bed.n_examples * arm.n_seeds
            counts = [round(answers[bed.name].rate(model, name) * n) for where, model in others if where is bed]
            pool = Prior(tuple((count, n) for count in counts), "the table's unassociated models", None)
            n_classes = bed.base.output.n_classes or 2
            null = estimate_null((), (), pool, n_classes=n_classes, n_candidates=bed.n_asked)
            least = null.least_matches(Policy().alpha)
            needed.append("none" if least is None else f"{least}/{bed.n_asked}")
            mine = [rate for (where, _), rate in zip(thefts, rates["variants", name], strict=True) if where is bed]
            shares.append(np.mean([least is not None and rate * bed.n_asked >= least - 1e-9 for rate in mine]))
        convicted[name] = [", ".join(needed), f"{np.mean(shares):.0%}"]
    yield from comparison.statistics(found)
    yield f"| gain of the mean over {before} | " + " | ".join(gains[arm] for arm in arms) + " |"
    for number, label in enumerate(("needed", "convicted")):
        yield f"| {label} | " + " | ".join(convicted[arm][number] for arm in arms) + " |"
    seconds = [
        np.mean([examples(bed, arm, seed)[2] for bed in beds for seed in range(arm.n_seeds)]) for arm in arms.values()
    ]
    yield "| seconds an example | " + " | ".join(f"{value:.2f}" for value in seconds) + " |"
    yield ""


def _gain(variants: NDArray[np.float64], references: NDArray[np.float64]) -> str:
    """Return the mean gain of the uniqueness score and its interval: models are resampled, the same for both arms."""
    rng = np.random.default_rng(0)
    drawn = [side[rng.integers(0, len(side), (N_RESAMPLES, len(side)))].mean(axis=1) for side in (variants, references)]
    lower, upper = np.quantile(drawn[0] - drawn[1], (0.025, 0.975))
    return f"{variants.mean() - references.mean():+.2f} ({lower:+.2f} to {upper:+.2f})"


PILOT_TEXT = """\
## Would a pilot run choose better?

Suppose `generate` first made a few examples of every arm above that neither avoids nor survives models, measured them
on the thefts that need no training and on the references it was given, and went on with the arm of the largest
uniqueness score (mean over the thefts less the worst reference). The table holds the uniqueness score of what it would
have chosen, on all thefts and on the unassociated models that it was not given: the mean of 400 pilots, drawn from the
counts above. *Default* is the arm that is taken without a pilot, *best* the one that is best on this base. Ten examples
of each of 14 arms cost 70 % of a fingerprint of 200.
"""


def pilot(beds: Sequence[Bed]) -> Iterator[str]:
    """Yield the lines that say what a pilot run would have chosen."""
    yield PILOT_TEXT
    columns = [f"{n} examples, {given} reference{'s' if given != 1 else ''}" for n, given in PILOTS]
    yield "| base | default | best | " + " | ".join(columns) + " |"
    yield "|---" * (3 + len(columns)) + "|"
    for bed in beds:
        yield _pilot_row(bed, np.random.default_rng(0))
    yield ""


def _pilot_row(bed: Bed, rng: np.random.Generator) -> str:
    answers = Answers(bed)
    arms = [arm.name for arm in bed.arms if not (arm.avoided or arm.survived)]
    thefts = [name for name in answers.useful if name not in bed.references and is_useful(bed, answers, name)]
    untrained = np.array([not name.startswith(TRAINED) for name in thefts])
    robust = np.array([[answers.rate(name, arm) for name in thefts] for arm in arms])
    transfer = np.array([[answers.rate(name, arm) for name in bed.references] for arm in arms])
    scores = robust.mean(axis=1) - transfer.mean(axis=1)
    default = DEFAULT_OF_FEW if bed.truth is not None else DEFAULT_OF_MANY
    cells = [f"{scores[arms.index(default)]:.2f}", f"{scores.max():.2f} ({arms[int(scores.argmax())]})"]
    for n, n_given in PILOTS:
        found = []
        for _ in range(N_PILOTS):
            order = rng.permutation(len(bed.references))
            given, held_out = order[:n_given], order[n_given:] if n_given < len(order) else order
            seen = (rng.binomial(n, robust[:, untrained]) / n).mean(axis=1)
            worst = (rng.binomial(n, transfer[:, given]) / n).max(axis=1, initial=0.0)
            chosen = int((seen - worst).argmax())
            found.append(robust[chosen].mean() - transfer[chosen, held_out].mean())
        cells.append(f"{np.mean(found):.2f}")
    return f"| {bed.name} | " + " | ".join(cells) + " |"


def is_useful(bed: Bed, answers: Answers, name: str) -> bool:
    """Whether a theft is still worth something."""
    left, lost = answers.useful[name]
    return left >= comparison.LEAST_AGREEMENT if bed.truth is None else lost <= MOST_LOSS


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description="Measure which examples survive theft.")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure only this, and keep the others")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    held_out = [arm for arm in FEW_ARMS if arm.name in HELD_OUT_ARMS]
    parts: dict[str, tuple[str, Callable[[], Sequence[Bed]]]] = {
        "tuning": ("CIFAR-10, the base that the defaults were chosen on", lambda: [few_bed("base", FEW_ARMS)]),
        "held-out": (
            "CIFAR-10, two bases on which nothing was chosen: another seed, and a ResNet",
            lambda: [few_bed(name, held_out) for name in ("vgg_seed2", "resnet")],
        ),
        "imagenet": (
            "ImageNet, MobileNetV2, the base that the defaults were chosen on",
            lambda: [many_bed("mobilenet_v2", MANY_ARMS)],
        ),
        "imagenet-held-out": (
            "ImageNet, EfficientNet-Lite0, on which nothing was chosen, with two siblings",
            lambda: [many_bed("efficientnet_lite0", [arm for arm in MANY_ARMS if arm.name in HELD_OUT_MANY])],
        ),
    }
    # Made where they are measured: some models of a bed are trained for it.
    beds = {part: parts[part][1]() for part in arguments.part or PARTS}
    measured = {part: "\n".join(describe(parts[part][0], made)) for part, made in beds.items()}
    tried = "" if arguments.part else "\n".join(pilot([bed for made in beds.values() for bed in made]))
    write({part: title for part, (title, _) in parts.items()}, measured, tried, arguments.threads)


def write(titles: Mapping[str, str], measured: Mapping[str, str], tried: str, n_threads: int) -> None:
    """Write the table; sections that were not measured stay as they are in it.

    Args:
        titles: Heading of every part's section.
        measured: Text of those that were measured.
        tried: Text of the pilot run, or nothing.
        n_threads: Threads of torch.
    """
    table = HERE / "STRENGTH.md"
    versions = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    head = TEXT.format(
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        threads=n_threads,
        n_measured=N_MEASURED,
        n_crops=N_TUNED * len(comparison.PHOTOGRAPHS),
    )
    sections = {part: measured.get(part) or kept_section(table, f"## {title}") for part, title in titles.items()}
    judged = {
        "few classes": (sections["held-out"], DEFAULT_OF_FEW),
        "many classes": (sections["imagenet-held-out"], DEFAULT_OF_MANY),
    }
    pilots = tried or kept_section(table, PILOT_TEXT.splitlines()[0])
    text = "\n\n".join(section.strip() for section in (head, "\n".join(aims(judged)), *sections.values(), pilots))
    table.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
