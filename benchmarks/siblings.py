"""Measure whether a fingerprint of one tune of a public model accuses the other tunes: siblings by descent.

    python -m benchmarks.siblings

The ancestor is models/base.onnx. Its tunes are trained here (layers, learning rates, disjoint halves of the data), and
each in turn is the base of several fingerprints: plain, with the ancestor avoided, with co-descendants avoided as well.
Every tune, the ancestor, the independent models and what is stolen from the base are asked. Everything is kept in
.cache/siblings, so that an interrupted run goes on where it stopped; ``--tunes``, ``--bases`` and ``--arms`` measure a
part. Writes benchmarks/SIBLINGS.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

import onnxfp
from benchmarks import at_hand
from benchmarks.at_hand import CACHE, MODELS
from benchmarks.strength_bed import surviving
from models import build, onnx_files
from models.networks import Classifier, vgg
from models.training import Schedule, train
from onnxfp import Execution
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import OnnxfpError
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.runtime.session import ModelSession
from onnxfp.trust.keys import generate_key_pair
from onnxfp.types import Kind
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.catalogue import list_variants

FOLDER = CACHE / "siblings-by-descent"
ANCESTOR = MODELS / "base.onnx"
N_STOLEN_WITH, N_MEASURED = 2000, 2000
THEFTS = (
    *("float16", "int8-static", "launder-all", "prune-global-0.1", "prune-global-0.3", "prune-global-0.5"),
    *("prune-finetune-0.5", "ftll-2", "ftal-2"),
)
# Thefts that the owner makes to have examples survive them.
SIMULATED, SIMULATION_SEED = ("prune-global-0.4", "prune-finetune-0.5", "ftal-2"), 7
Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tune:
    """One way to tune the ancestor.

    Attributes:
        name: Stable name; ends with the half of the training images that it sees.
        n_layers: How many of the six layers with weights are trained, counted from the output.
        learning_rate: Peak of the one-cycle schedule.
        epochs: Passes over its half.
        seed: Seeds the order of images and their augmentation.
        n_images: How many images of its half it sees.
    """

    name: str
    n_layers: int
    learning_rate: float
    epochs: int
    seed: int
    n_images: int = 25_000

    @property
    def half(self) -> str:
        """``a`` (even images) or ``b`` (odd images)."""
        return self.name[-1]

    @property
    def path(self) -> Path:
        """Its ONNX file."""
        return FOLDER / "tunes" / f"{self.name}.onnx"


TUNES = (
    Tune("all-a", 6, 0.02, 2, 101),
    Tune("all-b", 6, 0.02, 2, 102),
    Tune("half-a", 3, 0.02, 2, 103),
    Tune("half-b", 3, 0.02, 2, 104),
    Tune("last-a", 1, 0.05, 2, 105),
    Tune("last-b", 1, 0.05, 2, 106),
    Tune("fast-a", 6, 0.015, 1, 107, 10_000),
    Tune("slow-a", 6, 0.005, 1, 109, 10_000),
    Tune("slow-b", 6, 0.005, 1, 110, 10_000),
    Tune("most-a", 4, 0.01, 1, 111, 10_000),
    Tune("most-b", 4, 0.01, 1, 112, 10_000),
)
# Tunes with batch normalisation in training mode, which are in the repository; never a base here.
COMMITTED = {"finetuned": "stolen/finetuned.onnx", "pruned_finetuned": "stolen/pruned_finetuned.onnx"}
# What an owner makes from the ancestor with the own half of the data, to avoid it; in this order, without the base.
OWN_TUNES = ("all", "half", "fast", "last")


@dataclass(frozen=True, slots=True)
class Arm:
    """One fingerprint of a base.

    Attributes:
        name: Stable name.
        kind: Kind of the examples.
        n_examples: Their number.
        avoids_ancestor: Whether the ancestor is avoided.
        n_avoided: How many co-descendants are avoided.
        survives: Whether examples are crafted to be matched by the owner's own :data:`SIMULATED` thefts as well.
    """

    name: str
    kind: Kind
    n_examples: int
    avoids_ancestor: bool = False
    n_avoided: int = 0
    survives: bool = False


ARMS = (
    Arm("ltrc plain", "ltrc", 200),
    Arm("ltrc ancestor", "ltrc", 200, avoids_ancestor=True),
    Arm("ltrc ancestor + 1", "ltrc", 200, avoids_ancestor=True, n_avoided=1),
    Arm("c plain", "c", 100),
    Arm("c ancestor", "c", 100, avoids_ancestor=True),
    Arm("c ancestor + 1", "c", 100, avoids_ancestor=True, n_avoided=1),
    Arm("ltrc ancestor + 3", "ltrc", 200, avoids_ancestor=True, n_avoided=3),
    Arm("ltrc ancestor + 1, surviving", "ltrc", 200, avoids_ancestor=True, n_avoided=1, survives=True),
)


def avoided_tunes(base: Tune, n: int) -> list[Tune]:
    """Return the co-descendants that the owner of a base makes and avoids: tunes on the base's own half."""
    names = [f"{way}-{base.half}" for way in OWN_TUNES if f"{way}-{base.half}" != base.name]
    by_name = {tune.name: tune for tune in TUNES}
    return [by_name[name] for name in names[:n]]


def open_ancestor() -> Classifier:
    """Return the ancestor with trainable weights; batch normalisation is folded, as it is in its file."""
    network = vgg()
    assert isinstance(network.features, nn.Sequential)  # noqa: S101 - the architecture of models/networks.py
    for block in network.features:
        if isinstance(block, nn.Sequential):
            conv = block[0]
            assert isinstance(conv, nn.Conv2d)  # noqa: S101 - the architecture of models/networks.py
            block[0] = nn.Conv2d(conv.in_channels, conv.out_channels, 3, 1, 1)
            block[1] = nn.Identity()
    stored = {
        i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy()) for i in onnx.load(ANCESTOR).graph.initializer
    }
    wanted = network.state_dict()
    state = {
        name: stored[name if name in stored else name.replace(".bias", ".weight_bias")].reshape(value.shape)
        for name, value in wanted.items()
    }
    network.load_state_dict(state)
    return network


def make_tune(tune: Tune) -> Path:
    """Return a tune's file; trained unless it is there."""
    if not tune.path.exists():
        torch.manual_seed(tune.seed)
        network = open_ancestor()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        for layer in layers[: len(layers) - tune.n_layers]:
            layer.requires_grad_(requires_grad=False)
        images, labels = build.data("train")
        part = slice(0 if tune.half == "a" else 1, 2 * tune.n_images, 2)
        schedule = Schedule(tune.epochs, tune.learning_rate, tune.seed)
        train(network, images[part], labels[part], schedule, name=tune.name)
        if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
            sys.exit(f"error: {tune.name} diverged")
        onnx_files.export(network, tune.path)
    return tune.path


def make_fingerprint(base: Tune, arm: Arm) -> Fingerprint:
    """Return the fingerprint of a base; crafted unless it is kept."""
    beside = FOLDER / "fingerprints" / f"{base.name} {arm.name}.fp.npz".replace(" ", "_")
    if beside.exists():
        try:
            kept = onnxfp.load(beside)
        except OnnxfpError:
            kept = None
        if kept is not None and kept.manifest.base.digest == read_onnx(base.path).digest:
            return kept
    key = CACHE / "benchmark-key.pem"
    if not key.exists():
        generate_key_pair(key)
    beside.parent.mkdir(parents=True, exist_ok=True)
    avoided = [ANCESTOR] if arm.avoids_ancestor else []
    avoided += [make_tune(tune) for tune in avoided_tunes(base, arm.n_avoided)]
    survived = [path for _, path in steal(base, simulated=True)] if arm.survives else []
    with surviving(survived):
        return onnxfp.generate(
            base.path,
            output=beside,
            overwrite=True,
            n_examples=arm.n_examples,
            overrides=RecipeOverrides(arm.kind),
            avoid=avoided,
            key=key,
            execution=Execution("cpu", limits=None),
        )


def steal(base: Tune, *, simulated: bool = False) -> Iterator[tuple[str, Path]]:
    """Yield what is stolen from a base, by name.

    Args:
        base: The base.
        simulated: Whether the owner does it, with the last images of the base's own half and another seed, and only
            :data:`SIMULATED`; a thief has the first images of the other half.
    """
    folder = FOLDER / ("simulated" if simulated else "thefts") / base.name
    folder.mkdir(parents=True, exist_ok=True)
    opened = at_hand.session(base.path)
    images, labels = build.data("train")
    part = slice(0 if base.half == "b" else 1, 2 * N_STOLEN_WITH, 2)
    if simulated:
        part = slice(len(images) - 2 * N_STOLEN_WITH + (0 if base.half == "a" else 1), None, 2)
    inputs = images[part].numpy().astype(np.float32) / np.float32(255)
    seed = SIMULATION_SEED if simulated else 0
    assets = BaseAssets(opened.model.load_proto(), opened.input, opened.output, inputs, labels[part].numpy(), seed=seed)
    variants = {variant.name: variant for variant in list_variants("standard", has_labels=True)}
    for name in SIMULATED if simulated else THEFTS:
        path = folder / f"{name}.onnx"
        if not path.exists():
            made = variants[name].make(assets)
            beside = path.with_suffix(".new")
            beside.write_bytes(made.SerializeToString())
            beside.replace(path)
        yield name, path


class Answers:
    """Which examples each model matches and how accurate it is, kept as they come."""

    def __init__(self) -> None:
        self._path = FOLDER / "answers.jsonl"
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.accuracy: dict[str, float] = {}
        self.matches: dict[tuple[str, str, str], Bits] = {}
        self.n_candidates: dict[tuple[str, str], int] = {}
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        for row in map(json.loads, lines):
            if "accuracy" in row:
                self.accuracy[row["model"]] = row["accuracy"]
            else:
                key = row["base"], row["arm"]
                self.n_candidates[key] = row["candidates"]
                self.matches[(*key, row["model"])] = np.array([bit == "1" for bit in row["matches"]])

    def measure(self, base: Tune, arms: Sequence[Arm]) -> None:
        """Ask every model the fingerprints of a base."""
        models = dict(list_models()) | {f"{base.name}/{name}": path for name, path in steal(base)}
        made = {arm.name: make_fingerprint(base, arm) for arm in arms}
        for model, path in models.items():
            missing = [name for name in made if (base.name, name, model) not in self.matches]
            if not missing and model in self.accuracy:
                continue
            asked = at_hand.session(path)
            if model not in self.accuracy:
                pixels, truth = at_hand.images(N_MEASURED)
                found = asked.answer(pixels.astype(np.float32) / np.float32(255)).labels
                self.accuracy[model] = float((found == truth).mean())
                self._write({"model": model, "accuracy": self.accuracy[model]})
            for name in missing:
                self._keep(base.name, name, model, made[name], asked)
        for name, fingerprint in made.items():
            print(base.name, name, fingerprint.manifest.n_candidates, file=sys.stderr, flush=True)

    def ask_across(self, bases: Sequence[Tune], arm: Arm) -> None:
        """Ask what was stolen from each base the fingerprints of the others as well."""
        fingerprints = {base.name: make_fingerprint(base, arm) for base in bases}
        for base in bases:
            for name, path in steal(base):
                model = f"{base.name}/{name}"
                missing = [other for other in fingerprints if (other, arm.name, model) not in self.matches]
                asked = at_hand.session(path) if missing else None
                for other in missing:
                    assert asked is not None  # noqa: S101 - something is missing
                    self._keep(other, arm.name, model, fingerprints[other], asked)

    def _keep(self, base: str, arm: str, model: str, fingerprint: Fingerprint, asked: ModelSession) -> None:
        bits = asked.answer(fingerprint.model_input()).labels == fingerprint.labels
        self.matches[base, arm, model] = bits
        n_candidates = self.n_candidates[base, arm] = fingerprint.manifest.n_candidates
        row = {"base": base, "arm": arm, "model": model, "candidates": n_candidates}
        self._write(row | {"matches": "".join("01"[int(bit)] for bit in bits)})

    def _write(self, row: dict[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def list_models() -> Iterator[tuple[str, Path]]:
    """Yield what every fingerprint is asked of: the ancestor, its tunes, and independent models."""
    yield "ancestor", ANCESTOR
    for tune in TUNES:
        if tune.path.exists():
            yield tune.name, tune.path
    for name, place in COMMITTED.items():
        yield name, MODELS / place
    for path in sorted((MODELS / "independent").glob("*.onnx")):
        yield f"independent/{path.stem}", path


def main() -> None:
    """Make what is asked for, measure it, and write the table."""
    parser = argparse.ArgumentParser(description="Measure siblings by descent.")
    parser.add_argument("--tunes", nargs="*", help="only train these; all without a name")
    parser.add_argument("--bases", nargs="*", help="only fingerprint these, and write no table")
    parser.add_argument("--arms", nargs="*", help="with --bases: only these arms")
    parser.add_argument(
        "--across", nargs="*", help="ask thefts of all bases the other bases' fingerprints of these arms"
    )
    parser.add_argument("--table", action="store_true", help="write the table of what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    by_name = {tune.name: tune for tune in TUNES}
    if arguments.tunes is not None:
        for name in arguments.tunes or by_name:
            make_tune(by_name[name])
        return
    for tune in () if arguments.table or arguments.bases is not None else TUNES:
        make_tune(tune)
    answers = Answers()
    if not arguments.table:
        bases = [by_name[name] for name in arguments.bases or by_name]
        for base in bases:
            answers.measure(base, [arm for arm in ARMS if not arguments.arms or arm.name in arguments.arms])
        for arm in ARMS:
            if arguments.across is None or arm.name in arguments.across:
                answers.ask_across(bases, arm)
    if arguments.table or arguments.bases is None:
        from benchmarks.siblings_table import write_table

        write_table(answers)


if __name__ == "__main__":
    main()
