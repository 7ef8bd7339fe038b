"""Recipes: what contradicts itself is refused, what is left out suits the model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnxfp.errors import ParameterError
from onnxfp.recipe.defaults import RecipeOverrides, choose_recipe
from onnxfp.recipe.recipe import Recipe
from onnxfp.types import Bounds, InputGrid

GOOD = Recipe("ltrc", "white", 16, 50, 0.01, 0.05, 1, 4, "perturbation", "copy", 0)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "watermark"},
        {"spectrum": "blue"},
        {"filtered": "model"},
        {"epsilon_levels": 0},
        {"n_steps": 0},
        {"n_draws": 0},
        {"seed": -1},
        {"cutoff": -1},
        {"n_steps": 10**6 + 1},
        {"n_draws": 10**4 + 1},
        {"seed": 2**63},
        {"cutoff": 2**31},
        {"step_size": 1e300},
        {"step_size": 0.0},
        {"step_size": float("nan")},
        {"noise": -0.1},
        {"noise": 1.0},
        {"kind": "c"},
        {"kind": "rc"},
        {"cutoff": 0},
        {"filtered": "none"},
    ],
)
def test_contradictions_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        replace(GOOD, **change)  # type: ignore[arg-type]


def choose(
    choices: RecipeOverrides,
    *,
    n_classes: int = 10,
    shape: tuple[int, ...] = (3, 32, 32),
    grid: InputGrid | None = None,
) -> Recipe:
    axes = (1, 2) if len(shape) == 3 else ()
    return choose_recipe(choices, grid or InputGrid(), shape, axes, n_classes)


def test_the_number_of_classes_decides_about_seeds_and_ball() -> None:
    few, many = choose(RecipeOverrides()), choose(RecipeOverrides(), n_classes=1000, shape=(3, 224, 224))
    assert (few.kind, few.spectrum, few.epsilon_levels) == ("ltrc", "coarse", 16)
    assert (many.kind, many.spectrum, many.epsilon_levels) == ("eot", "coarse", 32)


def test_features_have_no_frequencies() -> None:
    recipe = choose(RecipeOverrides(), shape=(20,), grid=InputGrid(Bounds(-3, 3), 65536))
    assert (recipe.kind, recipe.spectrum, recipe.cutoff) == ("rc", "white", 0)


def test_signals_have_frequencies_and_no_input_transformations() -> None:
    recipe = choose_recipe(RecipeOverrides(), InputGrid(Bounds(-1, 1), 65536), (2, 64), (1,), 10)
    assert (recipe.kind, recipe.spectrum, recipe.cutoff) == ("ltrc", "coarse", 8)


@pytest.mark.parametrize("kind", ["c", "rc", "ltrc", "eot"])
def test_every_kind_can_be_asked_for(kind: str) -> None:
    recipe = choose(RecipeOverrides(kind=kind))  # type: ignore[arg-type]
    assert recipe.kind == kind
    assert (recipe.noise > 0) == (kind != "c")
    assert (recipe.cutoff > 0) == (kind in ("ltrc", "eot"))


def test_what_is_asked_for_is_kept() -> None:
    choices = RecipeOverrides("ltrc", "pink", 0.1, 7, 0.02, 0.3, 4, 9, "copy", 5)
    assert choose(choices) == Recipe("ltrc", "pink", 25, 7, 0.02, 0.3, 4, 9, "perturbation", "copy", 5)


def test_epsilon_is_in_units_of_the_bounds() -> None:
    assert choose(RecipeOverrides(epsilon=16), grid=InputGrid(Bounds(0, 255))).epsilon_levels == 16
    for epsilon in (0.0, -1.0, 1e-4, float("nan")):
        with pytest.raises(ParameterError, match="epsilon"):
            choose(RecipeOverrides(epsilon=epsilon))
