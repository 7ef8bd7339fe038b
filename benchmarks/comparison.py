"""The kinds of characteristic examples against the fingerprints of the literature. Writes COMPARISON.md.

    make benchmark-comparison

On CIFAR-10 (models/base.onnx, its stolen copies and the independent models of models/) and on ImageNet (MobileNetV2,
with three EfficientNet-Lites as unassociated models; imagenet.py). Every arm makes examples on the base, each modified
copy is made once (onnxfp.variants) and asked the examples of all arms. Examples and answers are kept in
.cache/comparison as they come, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import onnxfp
from benchmarks import baselines
from benchmarks.baselines import LEVELS, Examples
from onnxfp import Execution
from onnxfp.errors import OnnxfpError
from onnxfp.evidence.statistics import Estimate
from onnxfp.evidence.uniqueness import Comparison, compare
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides, choose_recipe
from onnxfp.report.evaluation import MAX_LOSS
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.trust.keys import generate_key_pair
from onnxfp.types import InputGrid, Kind, ModelInput
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.catalogue import list_input_transforms, list_variants

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "comparison"
MODELS = HERE.parent / "models"

Change = Callable[[ModelInput], ModelInput]

CIFAR, IMAGENET = "CIFAR-10", "ImageNet"
# Photographs that scikit-image's package carries; each is cropped several times.
PHOTOGRAPHS = (
    *("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "retina", "hubble_deep_field", "coins", "camera"),
    *("horse", "grass", "brick"),
)
N_CROPS = 20
N_IMAGES = 1000
TEXT = """\
# Characteristic examples against the fingerprints of the literature

Written by `make benchmark-comparison` ({versions}); seeds {seeds}, {threads} threads.

Match rates in percent, the mean over seeds. *Useful* is what the modified copy is still worth: its agreement with the
base on {n_cifar} CIFAR-10 test images, or on {n_photos} crops of photographs. A copy that lost more than 15 points, of
the photographs more than half, is set in brackets and counts in no summary. (No labelled photographs are at hand, and
on crops that show none of its classes plainly a network changes its answer long before it loses accuracy.)

C, RC, LTRC and EOT are `onnxfp generate --kind` with its defaults, made without data; the others need natural images
and are written in benchmarks/baselines.py: *boundary* (IPGuard, arXiv:1910.12903, margin {margin}), *targeted* and
*untargeted* adversarial examples of natural images, as far from the image as the default recipe's from their seeds, and
*AKH* (arXiv:2412.13021), natural images that the base gets wrong (on ImageNet there are no labelled images here, and so
no AKH). Intervals: 95 %, bootstrap over models. *Worst* is over models that count. Seconds are those of this machine,
for one example.

"""
MARGIN = 5.0
# Least agreement on photographs of a copy that counts.
MIN_AGREEMENT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Bed:
    """One base with everything that is asked.

    Attributes:
        name: Data set.
        base: The base's file.
        references: Unassociated models.
        stolen: Copies that were really trained.
        images: ``(n, 3, height, width)`` float32 natural images in [0, 1].
        truth: Their labels, or ``None``.
        n_examples: Examples of each arm.
        seeds: Seeds of the arms that are drawn.
    """

    name: str
    base: Path
    references: tuple[Path, ...]
    stolen: tuple[Path, ...]
    images: torch.Tensor
    truth: torch.Tensor | None
    n_examples: int
    seeds: tuple[int, ...]

    def is_useful(self, row: Mapping[str, Any]) -> bool:
        """Whether a modified copy is still worth something."""
        return bool(row["useful"] >= (MIN_AGREEMENT if self.truth is None else 1 - MAX_LOSS))


def cifar_bed() -> Bed:
    """Return the bed of few classes."""
    from models import build

    images, truth = build.data("test")
    independent = tuple(sorted((MODELS / "independent").glob("*.onnx")))
    stolen = tuple(MODELS / "stolen" / f"{name}.onnx" for name in ("finetuned", "pruned_finetuned"))
    return Bed(CIFAR, MODELS / "base.onnx", independent, stolen, images.float() / 255, truth, 100, (0, 1, 2))


def imagenet_bed() -> Bed:
    """Return the bed of many classes."""
    from benchmarks import imagenet

    images = torch.from_numpy(crop_photographs(PHOTOGRAPHS, N_CROPS))
    base, *references = map(imagenet.build, imagenet.NAMES)
    return Bed(IMAGENET, base, tuple(references), (), images, None, 50, (0,))


def crop_photographs(names: Sequence[str], n_crops: int) -> NDArray[np.float32]:
    """Return crops of photographs in random order, ``(n, 3, height, width)`` in ``[0, 1]``.

    Args:
        names: Photographs that scikit-image carries.
        n_crops: Number of crops of each.
    """
    import skimage
    from PIL import Image

    from benchmarks import imagenet

    rng, crops = np.random.default_rng(0), []
    for name in names:
        (path,) = (Path(skimage.__file__).parent / "data").glob(f"{name}.*")
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        for _ in range(n_crops):
            side = int(min(photo.size) * rng.uniform(0.6, 1.0))
            left, top = (int(rng.integers(0, length - side + 1)) for length in photo.size)
            crop = photo.crop((left, top, left + side, top + side)).resize((imagenet.SIDE, imagenet.SIDE))
            crops.append(np.asarray(crop, np.float32).transpose(2, 0, 1) / 255)
    return np.stack([crops[i] for i in rng.permutation(len(crops))])


def arms(bed: Bed, seed: int) -> dict[str, Callable[[], Examples]]:
    """Return how the examples of each arm are made."""
    file = read_onnx(bed.base)
    base = ModelSession(file, execution=Execution("cpu", limits=None))
    copy = build_torch_copy(file.load_proto())
    n_classes = base.output.n_classes or 0
    recipe = choose_recipe(RecipeOverrides(), InputGrid(), base.input.shape, (1, 2), n_classes)
    epsilon = recipe.epsilon_levels / LEVELS
    order = torch.randperm(len(bed.images), generator=torch.Generator().manual_seed(seed))
    images, n = bed.images[order], bed.n_examples

    def characteristic(kind: Kind) -> Examples:
        with tempfile.TemporaryDirectory() as folder:
            key = Path(folder) / "key.pem"
            generate_key_pair(key)
            made = onnxfp.generate(
                bed.base,
                n_examples=n,
                overrides=RecipeOverrides(kind=kind, seed=seed),
                key=key,
                execution=Execution("cpu", limits=None),
            )
        return Examples(made.model_input(), made.labels)

    makers: dict[str, Callable[[], Examples]] = {kind.upper(): partial(characteristic, kind) for kind in get_args(Kind)}
    makers["boundary"] = lambda: baselines.boundary(copy.score, base, images, n, margin=MARGIN)
    makers["targeted"] = lambda: baselines.targeted(copy.score, base, images, n, epsilon=epsilon, seed=seed)
    makers["untargeted"] = lambda: baselines.untargeted(copy.score, base, images, n, epsilon=epsilon)
    if bed.truth is not None:
        truth = bed.truth[order]
        makers["AKH"] = lambda: baselines.misclassified(base, images, truth, n)
    return makers


class Store:
    """What was measured so far: examples of arms, and answers of models to them.

    Args:
        bed: The bed.
    """

    def __init__(self, bed: Bed) -> None:
        self._folder = CACHE / bed.name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._answers = self._folder / "answers.jsonl"
        lines = self._answers.read_text("utf-8").splitlines() if self._answers.exists() else []
        self.rows: dict[str, dict[str, Any]] = {row["name"]: row for row in map(json.loads, lines)}

    def add(self, row: dict[str, Any]) -> None:
        """Keep one model's answers."""
        self.rows[row["name"]] = row
        with self._answers.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def examples(self, bed: Bed) -> dict[tuple[str, int], tuple[Examples, float]]:
        """Return every arm's examples with the seconds that one took, made where they are missing."""
        found = {}
        for seed in bed.seeds:
            for name, make in arms(bed, seed).items():
                path = self._folder / f"{name}-{seed}.npz"
                if not path.exists():
                    began = time.monotonic()
                    made = make()
                    seconds = (time.monotonic() - began) / max(1, len(made.labels))
                    print(f"{bed.name} {name} seed {seed}: {len(made.labels)}, {seconds:.2f} s each", file=sys.stderr)
                    np.savez(path, inputs=made.inputs, labels=made.labels, seconds=seconds)
                # Written by this script into a git-ignored folder.
                with np.load(path, allow_pickle=False) as stored:  # noqa: TID251
                    examples = Examples(stored["inputs"], stored["labels"])
                    found[name, seed] = examples, float(stored["seconds"])
        return found


def measure(bed: Bed, store: Store) -> dict[tuple[str, int], tuple[Examples, float]]:
    """Ask every model what is not in the store."""
    examples = store.examples(bed)
    inputs = np.concatenate([made.inputs for made, _ in examples.values()])
    recorded = np.concatenate([made.labels for made, _ in examples.values()])
    ends = np.cumsum([len(made.labels) for made, _ in examples.values()])
    held_out = bed.images[-N_IMAGES:].numpy()
    file = read_onnx(bed.base)
    base = ModelSession(file, execution=Execution("cpu", limits=None))
    own = base.answer(held_out).labels
    assets = BaseAssets(file.load_proto(), base.input, base.output, bed.images[:256].numpy())

    def ask(name: str, family: str, role: str, session: ModelSession, change: Change = lambda images: images) -> None:
        matches = recorded == session.answer(change(inputs)).labels
        counts = [int(part.sum()) for part in np.split(matches, ends[:-1])]
        useful = float((session.answer(change(held_out)).labels == own).mean())
        store.add({"name": name, "family": family, "role": role, "useful": useful, "counts": counts})
        print(f"{bed.name} {name}: {useful:.0%} useful, {counts}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for variant in list_variants("standard", has_labels=False):
            if variant.name in store.rows:
                continue
            path = Path(folder) / f"{variant.name}.onnx"
            try:
                path.write_bytes(variant.make(assets).SerializeToString())
                ask(
                    variant.name,
                    variant.family,
                    "variant",
                    ModelSession(read_onnx(path), execution=Execution("cpu", limits=None)),
                )
            except OnnxfpError as error:
                store.add({"name": variant.name, "family": variant.family, "role": "failed", "why": str(error)[:200]})
            path.unlink(missing_ok=True)
    for path, role in ((p, r) for paths, r in ((bed.stolen, "variant"), (bed.references, "reference")) for p in paths):
        if path.stem not in store.rows:
            ask(path.stem, role, role, ModelSession(read_onnx(path), execution=Execution("cpu", limits=None)))
    for query in list_input_transforms("standard"):
        if query.name not in store.rows:
            ask(query.name, query.family, "variant", base, query.transform)
    return examples


def describe(bed: Bed, store: Store, examples: dict[tuple[str, int], tuple[Examples, float]]) -> Iterator[str]:
    """Yield the lines of one bed's table."""
    names = list(dict.fromkeys(name for name, _ in examples))
    keys = list(examples)

    def rates(row: dict[str, Any], name: str) -> list[float]:
        # An arm that found no example has no rate.
        return [
            row["counts"][i] / len(examples[key][0].labels)
            for i, key in enumerate(keys)
            if key[0] == name and len(examples[key][0].labels)
        ]

    rows = [row for row in store.rows.values() if row["role"] != "failed"]
    variants = [row for row in rows if row["role"] == "variant"]
    kept = [row for row in variants if bed.is_useful(row)]
    references = [row for row in rows if row["role"] == "reference"]
    yield f"## {bed.name}: {bed.base.stem}, {len(kept)} useful copies, {len(references)} unassociated models"
    yield ""
    yield "| model | useful | " + " | ".join(names) + " |"
    yield "|---" * (2 + len(names)) + "|"
    order = {id(row): number for number, row in enumerate(rows)}
    for row in sorted(rows, key=lambda row: (row["role"] == "reference", order[id(row)])):
        cells = [f"{100 * np.mean(rates(row, name)):.0f}" if rates(row, name) else "" for name in names]
        is_broken = row["role"] == "variant" and not bed.is_useful(row)
        label = f"**{row['name']}**" if row["role"] == "reference" else row["name"]
        yield (
            f"| {label} | " + " | ".join(f"({c})" if is_broken else c for c in [f"{row['useful']:.0%}", *cells]) + " |"
        )
    yield ""
    found: dict[str, Comparison] = {}
    for name in names:
        sides = [[float(np.mean(rates(row, name))) for row in side if rates(row, name)] for side in (kept, references)]
        found[name] = compare(*sides)
    yield from statistics(found)
    counts = {name: np.mean([len(examples[key][0].labels) for key in keys if key[0] == name]) for name in names}
    seconds = {name: np.mean([examples[key][1] for key in keys if key[0] == name]) for name in names}
    yield "| examples | " + " | ".join(f"{counts[name]:.0f}" for name in names) + " |"
    yield "| seconds an example | " + " | ".join(f"{seconds[name]:.2f}" for name in names) + " |"
    yield ""
    yield "The paper's ordering here: " + "; ".join(_ordering(found)) + "."
    yield ""
    failed = [row for row in store.rows.values() if row["role"] == "failed"]
    if failed:
        yield "Not made: " + "; ".join(f"{row['name']} ({row['why']})" for row in failed) + "."
        yield ""


def statistics(found: Mapping[str, Comparison]) -> Iterator[str]:
    """Yield the head of a table with a column an arm, and a row a statistic."""
    yield "| | " + " | ".join(found) + " |"
    yield "|---" * (1 + len(found)) + "|"
    for title, field in (
        ("robustness, mean", "robustness"),
        ("robustness, worst", "worst_robustness"),
        ("transferability, mean", "transferability"),
        ("transferability, worst", "worst_transferability"),
        ("**uniqueness score, mean**", "uniqueness_score"),
        ("**uniqueness score, worst**", "worst_uniqueness_score"),
        ("AUC", "auc"),
        ("ARUC", "aruc"),
    ):
        yield f"| {title} | " + " | ".join(_shown(getattr(comparison, field)) for comparison in found.values()) + " |"


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:.2f} ({estimate.interval.lower:.2f} to {estimate.interval.upper:.2f})"


def _ordering(found: dict[str, Comparison]) -> Iterator[str]:
    """Yield whether each claim of the paper's abstract holds on the means."""
    for claim, left, right, field in (
        ("RC more robust than C", "RC", "C", "robustness"),
        ("LTRC transfers less than RC", "RC", "LTRC", "transferability"),
        ("LTRC has a higher uniqueness score than C", "LTRC", "C", "uniqueness_score"),
        ("LTRC has a higher uniqueness score than RC", "LTRC", "RC", "uniqueness_score"),
    ):
        one, two = (getattr(found[name], field).value for name in (left, right))
        relation = "holds" if one > two + 0.005 else "no difference" if abs(one - two) <= 0.005 else "does not hold"
        yield f"{claim}: {relation} ({one:.3f} and {two:.3f})"


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description="Compare the kinds with the literature's fingerprints.")
    parser.add_argument("--bed", choices=("cifar10", "imagenet"), action="append", help="only this one")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chosen = arguments.bed or ["cifar10", "imagenet"]
    beds = [make() for name, make in (("cifar10", cifar_bed), ("imagenet", imagenet_bed)) if name in chosen]
    lines: list[str] = []
    for bed in beds:
        store = Store(bed)
        lines += describe(bed, store, measure(bed, store))
    versions = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    head = TEXT.format(
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        seeds=", ".join(f"{len(bed.seeds)} on {bed.name}" for bed in beds),
        threads=arguments.threads,
        n_cifar=N_IMAGES,
        n_photos=len(PHOTOGRAPHS) * N_CROPS,
        margin=MARGIN,
    )
    (HERE / "COMPARISON.md").write_text(head + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
