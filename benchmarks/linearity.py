"""Where independent trainings begin to become one function: curvature and transfer, from linear to deep.

Two models of each family, trained on disjoint halves of CIFAR-10's training images with their own random starts. One is
fingerprinted, the other is the suspect. Written to LINEARITY.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import at_hand
from benchmarks.at_hand import MODELS
from models import build
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.crafting.gradients import CopyGradient
from onnxfp.crafting.loop import craft_examples
from onnxfp.errors import GenerationError
from onnxfp.evidence.statistics import count_matches
from onnxfp.recipe.defaults import RecipeOverrides, choose_recipe
from onnxfp.recipe.derivation import DerivationContext
from onnxfp.runtime.session import Answers
from onnxfp.suspects.curvature import MIN_CROSSED, MIN_CURVATURE, Curvature, is_nearly_linear
from onnxfp.suspects.curvature_questions import ask_curvature
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.types import InputGrid, Labels, Levels
from onnxfp.versions import versions

TABLE = Path(__file__).with_name("LINEARITY.md")
FOLDER = at_hand.CACHE / "linearity"
# The recipe whose examples regressions share most (CALIBRATION.md), and the default.
RECIPES = {"c, white": RecipeOverrides(kind="c", spectrum="white"), "ltrc, coarse": RecipeOverrides()}
N_EXAMPLES, N_CLASSES, SIDE, BATCH = 200, 10, 8, 250
N_A_HALF = 10_000
MOST_OF_DEEP = 0.51
"""Largest match rate of the networks of the priors for both recipes (onnxfp/evidence/priors.json)."""
N_VALUES = 3 * SIDE**2


class Regression(nn.Module):
    """A softmax regression on fixed features of images in [0, 1]."""

    def __init__(self, features: nn.Module, n_features: int = N_VALUES) -> None:
        super().__init__()
        self.features, self.layer = features, nn.Linear(n_features, N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 10)`` scores."""
        scores: Tensor = self.layer(self.features(image))
        return scores


class Power(nn.Module):
    """Pixels to a power, as a change of gamma."""

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 192)`` features."""
        return image.clamp(1e-4, 1).pow(2.2).flatten(1)


class Steep(nn.Module):
    """Pixels through a steep sigmoid: nearly binary ones."""

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 192)`` features."""
        return torch.sigmoid(10 * (image - 0.5)).flatten(1)


class Residual(nn.Module):
    """A linear layer, and a share of a network with one hidden layer."""

    def __init__(self, share: float, width: int = 256) -> None:
        super().__init__()
        self.share, self.linear, self.hidden = share, nn.Linear(N_VALUES, N_CLASSES), hidden(width)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 10)`` scores."""
        scores: Tensor = self.linear(image.flatten(1) - 0.47) + self.share * self.hidden(image)
        return scores


class Quadratic(nn.Module):
    """A linear layer, and squares of linear features."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.linear, self.inner, self.outer = (
            nn.Linear(N_VALUES, N_CLASSES),
            nn.Linear(N_VALUES, width),
            nn.Linear(width, N_CLASSES),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 10)`` scores."""
        x = image.flatten(1) - 0.47
        scores: Tensor = self.linear(x) + self.outer(self.inner(x).square())
        return scores


class Centre(nn.Module):
    """Images about zero, as vectors."""

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(n, 192)`` values."""
        return image.flatten(1) - 0.47


def hidden(width: int, activation: nn.Module | None = None) -> nn.Module:
    """Return a network with one hidden layer."""
    return nn.Sequential(Centre(), nn.Linear(N_VALUES, width), activation or nn.ReLU(), nn.Linear(width, N_CLASSES))


def convolutional() -> nn.Module:
    """Return a network of two convolutions and a linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (SIDE // 4) ** 2, N_CLASSES),
        ),
    )


def random_features(seed: int) -> nn.Module:
    """Return a random layer of 1,024 ReLU features."""
    torch.manual_seed(seed)
    return nn.Sequential(Centre(), nn.Linear(N_VALUES, 1024), nn.ReLU())


def random_convolution(seed: int) -> nn.Module:
    """Return 32 random 5 x 5 filters, ReLU and pooling to 2 x 2."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten())


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    Attributes:
        make: Makes the model of one half of the data, untrained.
        epochs: Passes of Adam over its half; 0 for a regression, which is solved.
        decay: Penalty on squared weights.
    """

    make: Callable[[int], nn.Module]
    epochs: int = 0
    decay: float = 1e-3


FAMILIES = {
    "regression": Family(lambda _: Regression(Centre())),
    "hidden 256": Family(lambda _: hidden(256), 3),
    "linear + 0.3 x hidden 256": Family(lambda _: Residual(0.3), 3),
    "hidden 16": Family(lambda _: hidden(16), 3),
    "hidden 256, LeakyReLU 0.7": Family(lambda _: hidden(256, nn.LeakyReLU(0.7)), 3),
    "regression of pixels to the power 2.2": Family(lambda _: Regression(Power())),
    "regression of steep sigmoids of pixels": Family(lambda _: Regression(Steep())),
    "regression, the same 1,024 random features": Family(lambda _: Regression(random_features(9), 1024)),
    "regression, other 1,024 random features": Family(lambda half: Regression(random_features(half), 1024)),
    "regression, the same random filters": Family(lambda _: Regression(random_convolution(9), 128)),
    "two convolutions": Family(lambda _: convolutional(), 3),
    "hidden 256, LeakyReLU 0.9": Family(lambda _: hidden(256, nn.LeakyReLU(0.9)), 3),
    "linear + squares of 64": Family(lambda _: Quadratic(), 3),
    "hidden 64": Family(lambda _: hidden(64), 3),
    "hidden 1024": Family(lambda _: hidden(1024), 3),
    "hidden 256, 1 epoch": Family(lambda _: hidden(256), 1),
    "hidden 256, penalty 0.02": Family(lambda _: hidden(256), 3, 2e-2),
    "regression, other random filters": Family(lambda half: Regression(random_convolution(half), 128)),
    "regression, penalty 0.01": Family(lambda _: Regression(Centre()), decay=1e-2),
    "linear + 0.1 x hidden 256": Family(lambda _: Residual(0.1), 3),
    "hidden 4": Family(lambda _: hidden(4), 3),
}


def halves() -> list[tuple[Tensor, Tensor]]:
    """Return both halves of the training images, in [0, 1], with their labels."""
    images, labels = build.data("train")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))[: 2 * N_A_HALF]
    return [(_shrink(images[part]), labels[part]) for part in order.chunk(2)]


def _shrink(images: Tensor) -> Tensor:
    """Return ``(n, 3, SIDE, SIDE)`` float32 images in [0, 1] of uint8 ones."""
    return F.avg_pool2d(images.float().div(255), images.shape[-1] // SIDE)


def train(family: Family, half: int, data: tuple[Tensor, Tensor]) -> nn.Module:
    """Return a trained model."""
    images, labels = data
    torch.manual_seed(100 + half)
    model = family.make(half)
    torch.manual_seed(200 + half)
    if isinstance(model, Regression):
        _solve(model, family.decay, images, labels)
        return model.eval()
    weights = [p for p in model.parameters() if p.ndim > 1]
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(family.epochs):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - epoch / family.epochs)
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            penalty = sum((weight.square().sum() for weight in weights), start=torch.zeros(()))
            loss = F.cross_entropy(model(images[batch]), labels[batch]) + family.decay * penalty / 10
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


def _solve(model: Regression, decay: float, images: Tensor, labels: Tensor) -> None:
    with torch.no_grad():
        features = torch.cat([model.features(part) for part in torch.split(images, 1000)])
    layer = model.layer
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(layer(features), labels) + decay * layer.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)


@dataclass(frozen=True, slots=True, eq=False)
class Crafted:
    """Examples of one recipe on one base.

    Attributes:
        context: What seeds and labels are derived from.
        levels: ``(n, *shape)`` grid levels.
        labels: ``(n,)`` labels that the base gives them.
    """

    context: DerivationContext
    levels: Levels
    labels: Labels


def ask(model: nn.Module, levels: Levels) -> Answers:
    """Return what a model in this process answers to grid levels."""
    with torch.no_grad():
        scores = torch.cat(
            [
                model(torch.from_numpy(np.asarray(part, np.float32) / np.float32(255)))
                for part in np.array_split(levels, 4)
            ]
        )
    return Answers(scores.argmax(1).numpy(), scores.numpy())


def craft(model: nn.Module, overrides: RecipeOverrides) -> Crafted:
    """Return a fingerprint's examples, made by the project's own loop."""
    shape, axes, grid = (3, SIDE, SIDE), (1, 2), InputGrid()
    recipe = choose_recipe(overrides, grid, shape, axes, N_CLASSES)
    context = DerivationContext("00" * 32, f"sha256:{'00' * 32}", shape, axes, N_CLASSES, grid, recipe)
    weights = [] if recipe.kind == "c" else [p for p in model.parameters() if p.ndim > 1]
    gradient = CopyGradient(
        model, weights, torch.ones(()), torch.zeros(()), n_draws=recipe.n_draws, gives_probabilities=False
    )
    states = craft_examples(
        context,
        gradient,
        lambda levels: ask(model, levels).labels,
        n_examples=N_EXAMPLES,
        batch_size=N_EXAMPLES,
        device=torch.device("cpu"),
    )
    made = next(states)
    # Some models give few candidates their label: what there is then counts.
    with suppress(GenerationError, StopIteration):
        while True:
            made = next(states)
    return Crafted(context, made.levels, made.labels)


def measure(crafted: Crafted, answer: Callable[[Levels], Answers]) -> tuple[int, Curvature]:
    """Return a suspect's matches and its curvature."""
    answers = answer(crafted.levels)
    curvature = ask_curvature(
        answer, crafted.levels, answers, crafted.context.spatial_axes, crafted.context.digest().hex()
    )
    return count_matches(crafted.labels, answers.labels), curvature


def cells(crafted: Crafted, answer: Callable[[Levels], Answers]) -> str:
    """Return the part of a table row that one recipe fills."""
    n_matches, curvature = measure(crafted, answer)
    shown = ("-" if value is None else f"{value:.3f}" for value in (curvature.size, curvature.crossed))
    n_examples = len(crafted.labels)
    matches = f"{n_matches} of {n_examples}"
    if n_matches > MOST_OF_DEEP * n_examples:
        matches = f"**{matches}**"
    linear = "yes" if is_nearly_linear(curvature) else "no"
    return f"{matches} | {' | '.join(shown)} | {linear}"


def family_row(name: str, data: list[tuple[Tensor, Tensor]], test: tuple[Tensor, Tensor]) -> str:
    """Return the table row of a family."""
    base, suspect = (train(FAMILIES[name], half, data[half]).requires_grad_(requires_grad=False) for half in range(2))
    images, truth = test
    with torch.no_grad():
        right = float((suspect(images).argmax(1) == truth).float().mean())
    found = [cells(craft(base, overrides), partial(ask, suspect)) for overrides in RECIPES.values()]
    return f"| {name} | {right:.0%} | {' | '.join(found)} |"


def committed_row(name: str, path: Path, fingerprint: Fingerprint) -> str:
    """Return the table row of a committed model, asked the default fingerprint of the committed base."""
    manifest = fingerprint.manifest
    suspect = OnnxSuspect(at_hand.session(path), manifest.base.input, manifest.grid)
    crafted = Crafted(manifest.derivation_context(), fingerprint.levels, fingerprint.labels)
    return f"| {name} | {cells(crafted, suspect.answer)} |"


def family_rows() -> Iterator[str]:
    """Yield the rows of the families."""
    data, (images, truth) = halves(), at_hand.images(2000)
    test = _shrink(torch.from_numpy(images)), torch.from_numpy(truth)
    for name in FAMILIES:
        yield family_row(name, data, test)


def committed_rows() -> Iterator[str]:
    """Yield the rows of the committed networks."""
    fingerprint = at_hand.fingerprint_of(MODELS / "base.onnx", FOLDER / "base.fp.npz", N_EXAMPLES, RecipeOverrides())
    for folder in ("independent", "stolen"):
        for path in sorted((MODELS / folder).glob("*.onnx")):
            yield committed_row(f"{folder}/{path.stem}", path, fingerprint)


def main() -> None:
    """Measure, and write the table."""
    torch.set_num_threads(1)
    write_table(list(_shown(family_rows())), list(_shown(committed_rows())))


def write_table(families: list[str], committed: list[str]) -> None:
    """Write the table of these rows."""
    head = " | ".join(f"{recipe}: matches | curvature | crossed | nearly linear" for recipe in RECIPES)
    used = ", ".join(f"{name} {version}" for name, version in versions())
    TABLE.write_text(
        TEXT.format(
            versions=used,
            n=N_EXAMPLES,
            most=MOST_OF_DEEP,
            n_half=f"{N_A_HALF:,}",
            side=SIDE,
            min_curvature=MIN_CURVATURE,
            min_crossed=MIN_CROSSED,
            families="\n".join([f"| family | accuracy | {head} |", "|---" * 10 + "|", *families]),
            committed="\n".join(
                ["| model | matches | curvature | crossed | nearly linear |", "|---" * 5 + "|", *committed]
            ),
        ),
        encoding="utf-8",
    )


def _shown(rows: Iterator[str]) -> Iterator[str]:
    for row in rows:
        print(row, flush=True)
        yield row


TEXT = """# Linearity

Written by `make benchmark-linearity` ({versions}).

Independent trainings of a linear model converge to one function. Where does that end? Two models of each family were
trained on disjoint halves ({n_half} images each) of CIFAR-10's training images at {side} x {side} pixels, with their
own random starts. {n} examples were made on one, by the project's own loop, and asked of the other. *Matches* are bold
where they are a larger share than that of any deep network of the prior ({most:.0%}). *Curvature* and *crossed* are the
suspect's, by `onnxfp/suspects/curvature.py`: 48 pairs of examples exchange a random half of their cells. A model is
nearly linear with a curvature below {min_curvature} or a share of crossed pairs of classes below {min_crossed}.
Seeds: 5 for the halves, 100 and 101 for the starts, 200 and 201 for the order of images, an all-zero key for the
examples.

{families}

The default fingerprint of `models/base.onnx`, {n} examples at 32 x 32 pixels, asked of the committed networks:

{committed}

## What it does not show

* One task, one size, one pair of models a family: a match rate is one draw, and no interval between models.
* Small inputs: a ball of 16 levels reaches less there, and many candidates are lost. CALIBRATION.md has regressions at
  32 x 32 pixels, which matched 182 to 196 of 200 examples of kind c with white seeds.
* Families on the same fixed non-linear features (the rows *the same*) can be far from linear and still share what they
  compute. They descend from the features, and curvature does not see it: that is common descent.
* The two limits were set on these models, in the gap between the families and the committed networks. No model was
  held out to test them. Curvature alone does not separate them: the family hidden 4 is beyond its limit.
* Networks between the families and the committed ones, and tasks with other numbers of classes.
"""


if __name__ == "__main__":
    main()
