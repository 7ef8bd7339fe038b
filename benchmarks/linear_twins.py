"""Linear models that owe each other nothing, and match: why no prior speaks for them (calibration.py).

Two softmax regressions with their own random starts, each trained on its half of CIFAR-10's training images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import onnxfp
from benchmarks import at_hand
from models import build, onnx_files
from onnxfp import Execution
from onnxfp.evidence.null import estimate_null
from onnxfp.evidence.priors import Conditions, find_prior
from onnxfp.evidence.verdict import Policy
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples

FOLDER = at_hand.CACHE / "linear"
DECAYS = (1e-3, 1e-2)
SEEDS = (0, 1, 2)
RECIPES = (RecipeOverrides(kind="c", spectrum="white"), RecipeOverrides())
N_CLASSES, EPSILON = 10, 16 / 255
N_EXAMPLES = choose_n_examples(N_CLASSES)
_SIDE = 32


class Linear(nn.Module):
    """A softmax regression on images in [0, 1]."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        n_classes, n_values = weight.shape
        self.layer = nn.Linear(n_values, n_classes)
        self.layer.weight.data, self.layer.bias.data = weight, bias

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 10)`` scores of ``(n, 3, 32, 32)`` images."""
        scores: Tensor = self.layer(image.flatten(1))
        return scores


def train(half: int, decay: float) -> Linear:
    """Return the regression of one half of the training images, with a penalty on the squares of its weights."""
    images, labels = build.data("train")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))
    chosen = order[half * len(order) // 2 : (half + 1) * len(order) // 2]
    x, y = images[chosen].float().div(255).flatten(1), labels[chosen]
    mean = x.mean()
    generator = torch.Generator().manual_seed(100 + half)
    weight = (torch.randn(N_CLASSES, x.shape[1], generator=generator) * 0.02).requires_grad_()
    bias = torch.zeros(N_CLASSES, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(x - mean, weight, bias), y) + decay * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return Linear(weight.detach(), (bias - mean * weight.sum(1)).detach())


def twins(decay: float) -> tuple[Path, Path]:
    """Return the files of both halves' regressions, trained unless they are kept."""
    paths = [FOLDER / f"{decay:g}-{half}.onnx" for half in range(2)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for half, path in enumerate(paths):
        if not path.exists():
            onnx_files.export(train(half, decay), path, shape=(3, _SIDE, _SIDE))
    return paths[0], paths[1]


def rows() -> Sequence[str]:
    """Return table rows: what one twin matches of the other's fingerprints, and what the prior would demand."""
    found = []
    for decay in DECAYS:
        base, twin = twins(decay)
        for choices in RECIPES:
            reports = []
            for seed in SEEDS:
                recipe = RecipeOverrides(kind=choices.kind, spectrum=choices.spectrum, seed=seed)
                name = f"{choices.kind or 'default'}-{choices.spectrum or 'default'}"
                beside = FOLDER / f"{decay:g}-{name}-{seed}.fp.npz"
                fingerprint = at_hand.fingerprint_of(base, beside, N_EXAMPLES, recipe)
                reports.append(
                    (fingerprint.manifest, onnxfp.verify(twin, fingerprint, execution=Execution("cpu", None)))
                )
            made = reports[0][0].recipe
            # As if the prior spoke for linear models.
            prior = find_prior(Conditions(made.spectrum, EPSILON, N_CLASSES, (_SIDE, _SIDE)))
            needed = [
                estimate_null((), (), prior, n_classes=N_CLASSES, n_candidates=manifest.n_candidates).min_matches(
                    Policy().alpha
                )
                for manifest, _ in reports
            ]
            matches = ", ".join(str(report.counts.n_matches) for _, report in reports)
            shown = ", ".join("none is enough" if least is None else str(least) for least in needed)
            verdicts = ", ".join(sorted({report.verdict.value for _, report in reports}))
            found.append(
                f"| {decay:g} | {made.kind}, {made.spectrum} | {matches} of {N_EXAMPLES} | {shown} | {verdicts} |"
            )
    return found
