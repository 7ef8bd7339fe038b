"""What strength.py measures on: bases, the arms of each, what is stolen from it, and what all of that answers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

import onnxfp
from benchmarks import at_hand, comparison, imagenet
from benchmarks.at_hand import CACHE
from models import build
from onnxfp import Execution
from onnxfp.crafting import sources
from onnxfp.crafting.gradients import compute_loss
from onnxfp.crafting.sources import CopySource
from onnxfp.errors import OnnxfpError
from onnxfp.evidence.statistics import count_matches
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.report.evaluation import MAX_LOSS
from onnxfp.runtime.session import ModelSession
from onnxfp.trust.keys import generate_key_pair
from onnxfp.types import Labels, ModelInput
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.catalogue import list_input_transforms, list_variants

FOLDER = CACHE / "strength"
N_TRAINING, N_MEASURED = 20_000, 1000
# Training images that the owner has to simulate thefts with, after the thief's.
N_OWNED, SIMULATION_SEED = 10_000, 7
# What a fingerprint with the default number of examples would need.
N_FEW, N_MANY = 200, 100
# Without training a small ImageNet network does not live through these.
MIN_LEFT = 0.3
# Thefts that take longest, not made of every base. Of an ImageNet model those are not made that learn a last layer or
# more anew: few photographs without labels do not teach a thousand classes.
UNLABELLED = ("rtll", "rtal", "adversarial", "distil", "extract")
SKIPPED = {"resnet": ("distil", "extract"), "mobilenet_v2": UNLABELLED, "efficientnet_lite0": UNLABELLED}
# What the others are trained on: crops of photographs that usefulness is not measured on.
TUNED_ON, N_TUNED = ("cell", "clock_motion", "gravel", "ihc", "microaneurysms", "moon", "page", "text"), 120
DEFAULT_OF_FEW, DEFAULT_OF_MANY = "ltrc", "eot"
Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to make examples.

    Attributes:
        name: Stable name.
        overrides: What differs from the defaults.
        n_seeds: Number of seeds.
        avoided: Models that the examples are kept from matching; the base itself is left out.
        survived: Thefts of the owner's own making that the examples are crafted to be matched by as well.
    """

    name: str
    overrides: RecipeOverrides
    n_seeds: int = 3
    avoided: tuple[str, ...] = ()
    survived: tuple[str, ...] = ()


AVOIDED = ("base", "vgg_seed2", "resnet")
SIMULATED = ("prune-finetune-0.8", "distil-10", "extract-10")
FEW_ARMS = (
    Arm("c white", RecipeOverrides(kind="c", spectrum="white")),
    Arm("ltrc white", RecipeOverrides(kind="ltrc", spectrum="white")),
    Arm("ltrc", RecipeOverrides(kind="ltrc")),
    Arm("ltrc pink", RecipeOverrides(kind="ltrc", spectrum="pink")),
    Arm("eot white", RecipeOverrides(kind="eot", n_draws=2, spectrum="white")),
    Arm("eot", RecipeOverrides(kind="eot", n_draws=2)),
    Arm("eot pink", RecipeOverrides(kind="eot", n_draws=2, spectrum="pink")),
    Arm("eot epsilon 12", RecipeOverrides(kind="eot", n_draws=2, epsilon=12 / 255)),
    Arm("eot epsilon 20", RecipeOverrides(kind="eot", n_draws=2, epsilon=20 / 255)),
    Arm("eot q 1", RecipeOverrides(kind="eot", n_draws=1)),
    Arm("eot q 4", RecipeOverrides(kind="eot", n_draws=4)),
    Arm("eot cutoff 0", RecipeOverrides(kind="eot", n_draws=2, cutoff=0)),
    Arm("eot cutoff 8", RecipeOverrides(kind="eot", n_draws=2, cutoff=8)),
    Arm("eot noise .1", RecipeOverrides(kind="eot", n_draws=2, noise=0.1)),
    Arm("eot avoiding", RecipeOverrides(kind="eot", n_draws=2), avoided=AVOIDED),
    Arm("ltrc avoiding", RecipeOverrides(kind="ltrc"), avoided=AVOIDED),
    Arm("ltrc surviving", RecipeOverrides(kind="ltrc"), survived=SIMULATED),
    Arm("ltrc avoiding and surviving", RecipeOverrides(kind="ltrc"), avoided=AVOIDED, survived=SIMULATED),
    Arm(
        "ltrc pink avoiding and surviving",
        RecipeOverrides(kind="ltrc", spectrum="pink"),
        avoided=AVOIDED,
        survived=SIMULATED,
    ),
)
HELD_OUT_ARMS = ("c white", "ltrc white", "ltrc", "eot white", "eot", "eot epsilon 12", "eot avoiding", "ltrc avoiding")
HELD_OUT_MANY = ("ltrc pink", "eot pink", "eot", "eot cutoff 0")
MANY_ARMS = (
    Arm("ltrc pink", RecipeOverrides(kind="ltrc", spectrum="pink")),
    Arm("eot pink", RecipeOverrides(kind="eot", spectrum="pink")),
    Arm("eot pink q 1", RecipeOverrides(kind="eot", spectrum="pink", n_draws=1)),
    Arm("eot pink cutoff 0", RecipeOverrides(kind="eot", spectrum="pink", cutoff=0), 1),
    Arm("eot", RecipeOverrides(kind="eot")),
    Arm("eot cutoff 0", RecipeOverrides(kind="eot", cutoff=0)),
)


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
    crops = comparison.crop_photographs(TUNED_ON, N_TUNED)
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
    assets = BaseAssets(read_onnx(bed.path).load_proto(), bed.base.input, bed.base.output, images, labels, seed=seed)
    untrained = assets if bed.truth is not None else replace(assets, inputs=bed.images[:256], labels=None)
    for variant in list_variants("standard", has_labels=True):
        if variant.name not in SIMULATED if simulated else variant.name.startswith(skipped):
            continue
        path, failed = folder / f"{variant.name}.onnx", folder / f"{variant.name}.failed"
        if not path.exists() and not failed.exists():
            try:
                made = variant.make(assets if variant.needs_labels else untrained)
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
            self._penalties += [
                sources.compute_penalty(at_hand.session(path), tried, probes, compute_loss) for path in thefts
            ]

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
        overrides = RecipeOverrides(**{**_fields(arm.overrides), "seed": seed})
        simulated = [path for name, path in steal(bed, simulated=True) if name in arm.survived] if arm.survived else []
        began = time.monotonic()
        with surviving(simulated):
            made = onnxfp.generate(
                bed.path,
                n_examples=bed.n_examples,
                overrides=overrides,
                avoid=[bed.references[name] for name in arm.avoided if name != bed.name],
                key=key,
                execution=Execution("cpu", limits=None),
            )
        seconds = (time.monotonic() - began) / bed.n_examples
        print(f"{bed.name}: {arm.name}, seed {seed}, {seconds:.2f} s each", file=sys.stderr, flush=True)
        beside = path.with_suffix(".new.npz")
        np.savez(beside, inputs=made.model_input(), labels=made.labels, seconds=seconds)
        beside.replace(path)
    # Written by this script into a git-ignored folder.
    with np.load(path, allow_pickle=False) as stored:  # noqa: TID251
        return stored["inputs"], stored["labels"], float(stored["seconds"])


def _fields(overrides: RecipeOverrides) -> dict[str, Any]:
    return {name: getattr(overrides, name) for name in overrides.__dataclass_fields__}


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
        for query in list_input_transforms("standard"):
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
        if bed.truth is None and self.useful[name][0] < MIN_LEFT and name not in bed.references:
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


def is_useful(bed: Bed, answers: Answers, name: str) -> bool:
    """Whether a theft is still worth something."""
    left, lost = answers.useful[name]
    return left >= comparison.MIN_AGREEMENT if bed.truth is None else lost <= MAX_LOSS
