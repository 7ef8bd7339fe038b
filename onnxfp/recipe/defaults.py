"""Hyper-parameters that suit a model when the owner names none.

Two regimes pull in opposite directions (figures in README.md, "How the defaults were chosen"):

* *Few classes* (at most 100): nearly everything an owner could wish survives theft, but independent models of the same
  task agree with the base far too often. A small ball and a high-pass filter (LTRC) keep them apart.
* *Many classes*: independent models hardly ever agree, but fragile examples die with the first modification. A larger
  ball and a gradient under input transformations (EOT) keep them alive.

Seeds are coarse in both: what is as fine as a pixel dies with the first compression, and what is as broad as a natural
image transfers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from onnxfp.recipe.recipe import Gradient, Recipe
from onnxfp.types import InputGrid, Kind, Spectrum

FEW_CLASSES: Final = 100
A_HANDFUL: Final = 5
N_IMAGE_AXES: Final = 2
ESTIMATE_DIRECTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class RecipeOverrides:
    """What the owner asked for; ``None`` leaves a value to :func:`choose_recipe`.

    Attributes:
        kind: See :class:`~onnxfp.recipe.recipe.Recipe`, as for the other fields.
        spectrum: Spectrum of the seeds.
        epsilon: Largest distance from the seed, in units of the bounds.
        n_steps: Gradient steps.
        step_size: Length of one step, in units of the bounds.
        noise: Relative weight noise delta.
        n_draws: Weight noise draws q.
        cutoff: Side k of the removed DCT block.
        gradient: Where gradients come from.
        seed: The owner's number.
    """

    kind: Kind | None = None
    spectrum: Spectrum | None = None
    epsilon: float | None = None
    n_steps: int | None = None
    step_size: float | None = None
    noise: float | None = None
    n_draws: int | None = None
    cutoff: int | None = None
    gradient: Gradient = "copy"
    seed: int = 0


def choose_n_examples(n_classes: int) -> int:
    """Return how many examples a fingerprint has: more where independent models match many of them.

    With a handful of classes luck adds to what transfers, and half as many examples could convict nobody.
    """
    return 400 if n_classes < A_HANDFUL else 300 if n_classes <= FEW_CLASSES else 100


def choose_recipe(
    overrides: RecipeOverrides, grid: InputGrid, shape: tuple[int, ...], spatial_axes: tuple[int, ...], n_classes: int
) -> Recipe:
    """Return the recipe: the owner's overrides, completed for this model.

    Args:
        overrides: What the owner asked for.
        grid: Grid of the inputs.
        shape: Shape of one example.
        spatial_axes: Axes along which neighbours are alike.
        n_classes: Number of classes.

    Raises:
        ParameterError: A choice lies outside its range, or contradicts the kind.
    """
    span = grid.bounds.upper - grid.bounds.lower
    few = n_classes <= FEW_CLASSES
    # The high-pass filter needs axes with frequencies: without them, ltrc would be rc under another name.
    # Neither have input transformations a meaning but for images.
    is_image = len(spatial_axes) == N_IMAGE_AXES
    by_axes: Kind = "rc" if not spatial_axes else "eot" if is_image and not few else "ltrc"
    kind: Kind = overrides.kind or ("c" if overrides.gradient == "estimate" else by_axes)
    epsilon = overrides.epsilon if overrides.epsilon is not None else span * (16 if few else 32) / 255
    epsilon_levels = grid.epsilon_in_levels(epsilon)
    side = min((shape[axis] for axis in spatial_axes), default=0)
    cutoff = overrides.cutoff if overrides.cutoff is not None else (side // 8 if kind in ("ltrc", "eot") else 0)
    n_draws = ESTIMATE_DIRECTIONS if overrides.gradient == "estimate" else 2 if kind == "eot" and not few else 1
    return Recipe(
        kind=kind,
        spectrum=overrides.spectrum or ("coarse" if spatial_axes else "white"),
        epsilon_levels=epsilon_levels,
        n_steps=50 if overrides.n_steps is None else overrides.n_steps,
        step_size=epsilon / 8 if overrides.step_size is None else overrides.step_size,
        noise=(0.0 if kind == "c" else 0.05) if overrides.noise is None else overrides.noise,
        n_draws=n_draws if overrides.n_draws is None else overrides.n_draws,
        cutoff=cutoff,
        filtered="perturbation" if cutoff else "none",
        gradient=overrides.gradient,
        seed=overrides.seed,
    )
