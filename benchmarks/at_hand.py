"""The independent models that the benchmarks of evidence share, as ONNX files, and fingerprints of them.

*Siblings* have one architecture (``vgg`` in models/networks.py), one set of training images and different seeds: the
unassociated models that match most. *Others* are of other architectures. What models/ holds is used as it is; further
siblings come from models/.cache, and are trained where they are not there (minutes each).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import onnxfp
from models import build, onnx_files
from onnxfp import Execution
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import OnnxfpError
from onnxfp.evidence.statistics import count_matches
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides, choose_recipe
from onnxfp.runtime.session import ModelSession
from onnxfp.trust.keys import generate_key_pair
from onnxfp.types import Labels, Levels, ModelInput

HERE = Path(__file__).parent
MODELS = HERE.parent / "models"
CACHE = HERE.parent / ".cache"

# In the order in which they are taken.
SEEDS = (2, 3, 21, 22, 23, 24, 26, 27, 28, 25, *range(29, 38))
SIBLINGS = ("base", *(f"vgg_seed{seed}" for seed in SEEDS))
OTHERS = ("resnet", "mobilenet", "wide_vgg")


def siblings(n: int | None = None, *, trains: bool = True) -> dict[str, Path]:
    """Return the first ``n`` siblings, or those that need no training.

    Args:
        n: How many; ``None`` for all that are at hand.
        trains: Whether those that are not at hand are trained.
    """
    names = SIBLINGS[:n]
    if n is None or not trains:
        names = tuple(name for name in names if _committed(name).exists() or _trained(name).exists())
    return {name: cifar_model(name) for name in names}


def others() -> dict[str, Path]:
    """Return the independent models of other architectures."""
    return {name: cifar_model(name) for name in OTHERS}


def cifar_model(name: str) -> Path:
    """Return the ONNX file of one network: the committed one, or one exported from its cached or new weights."""
    if _committed(name).exists():
        return _committed(name)
    path = CACHE / "siblings" / f"{name}.onnx"
    if not path.exists() or (_trained(name).exists() and path.stat().st_mtime < _trained(name).stat().st_mtime):
        onnx_files.export(build.scratch(name), path)
    return path


def images(n: int) -> tuple[NDArray[np.uint8], Labels]:
    """Return the first ``n`` test images of CIFAR-10, ``(n, 3, 32, 32)``, and their true labels."""
    pixels, truth = build.data("test")
    return pixels[:n].numpy(), truth[:n].numpy()


def session(path: Path) -> ModelSession:
    """Return a model of our own, opened in this process."""
    return ModelSession(read_onnx(path), execution=Execution("cpu", None))


def fingerprint_of(path: Path, beside: Path, n_examples: int, overrides: RecipeOverrides) -> Fingerprint:
    """Return a fingerprint, kept in ``beside``: an interrupted benchmark goes on with what it has.

    One that was made of another file, with another recipe or of another size is made again.

    Args:
        path: The base.
        beside: Where the bundle is kept.
        n_examples: Number of examples.
        overrides: Kind and hyper-parameters.
    """
    if beside.exists():
        try:
            kept = onnxfp.load(beside)
        except OnnxfpError:
            kept = None
        if kept is not None:
            base, grid = kept.manifest.base, kept.manifest.grid
            recipe = choose_recipe(overrides, grid, base.input.shape, base.spatial_axes, base.n_classes)
            is_same = (base.digest, kept.manifest.recipe) == (read_onnx(path).digest, recipe)
            if is_same and kept.n_examples == n_examples:
                return kept
    key = CACHE / "benchmark-key.pem"
    if not key.exists():
        key.parent.mkdir(exist_ok=True)
        generate_key_pair(key)
    beside.parent.mkdir(parents=True, exist_ok=True)
    return onnxfp.generate(
        path,
        output=beside,
        overwrite=True,
        n_examples=n_examples,
        overrides=overrides,
        key=key,
        execution=Execution("cpu", limits=None),
    )


def count(asked: ModelSession, inputs: ModelInput | Levels, labels: Labels) -> int:
    """Return how many of the inputs a model gives the recorded label."""
    return count_matches(labels, asked.answer(np.asarray(inputs, np.float32)).labels)


def _committed(name: str) -> Path:
    return MODELS / "base.onnx" if name == "base" else MODELS / "independent" / f"{name}.onnx"


def _trained(name: str) -> Path:
    return build.CACHE / f"{name}.pt"
