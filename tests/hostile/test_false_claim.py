"""A false claim (arXiv:2304.06607): parameters of a bundle chosen so that an unassociated model would be convicted.

Crafting for transfer itself is measured in benchmarks/false_claim.py. Here: whatever an accuser writes into a well
signed, well derived bundle, not even a model that matches *everything* is convicted by measurements made for others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onnxfp
from onnxfp.bundle.manifest import Manifest
from onnxfp.errors import DerivationError
from onnxfp.evidence.null import ENOUGH_REFERENCES, Null, ReferenceCount, estimate_null
from onnxfp.evidence.priors import find_bundle_prior
from onnxfp.evidence.statistics import binomial_tails
from onnxfp.types import Bounds, InputGrid, InputSpec

ALPHA = 1e-6
FEATURES = InputSpec("x", (48,), "float32", "NC", None)
SMALL, MEASURED, LARGE = (InputSpec("image", (3, side, side), "float32", "NCHW", None) for side in (8, 32, 224))
DEFAULT = {
    "recipe.kind": "ltrc",
    "recipe.spectrum": "coarse",
    "recipe.epsilon_levels": 16,
    "n": 200,
    "base.input": MEASURED,
}


def claimed(manifest: Manifest, changes: dict[str, Any]) -> Manifest:
    """Return a manifest of the default recipe with some changes, as a strict reader accepts it."""
    for path, value in {**DEFAULT, **changes}.items():
        part, _, name = path.rpartition(".")
        if path == "n":
            manifest = replace(manifest, n_examples=value, n_candidates=value)
        elif path == "base.n_classes":
            output = replace(manifest.base.output, n_classes=value)
            manifest = replace(manifest, base=replace(manifest.base, n_classes=value, output=output))
        elif part:
            manifest = replace(manifest, **{part: replace(getattr(manifest, part), **{name: value})})
        else:
            manifest = replace(manifest, **{name: value})
    return Manifest.from_json(manifest.to_json())


def null_of(manifest: Manifest, n_references: int = 0) -> Null:
    """Return the null of ``onnxfp.verify``, with so many references of the verifier that match nothing."""
    n_classes, n_examples = manifest.base.n_classes, manifest.n_examples
    prior = find_bundle_prior(manifest)
    own = [ReferenceCount(f"sha256:{i:064x}", 0, n_examples) for i in range(n_references)]
    return estimate_null((), own, prior, n_classes=n_classes, n_candidates=manifest.n_candidates)


def test_the_default_recipe_can_convict(forge: Any) -> None:
    # What the cases below take away one by one.
    assert null_of(claimed(forge.manifest(), {})).min_matches(ALPHA) is not None


@pytest.mark.parametrize(
    "changes",
    [
        # A ball in which every sibling can be led anywhere: larger by one level, half the range, all of it.
        {"recipe.epsilon_levels": 17},
        {"recipe.epsilon_levels": 128},
        {"recipe.epsilon_levels": 255},
        # Bounds so tight that a small epsilon covers the whole box; the share of the range counts, not the value.
        {"grid": InputGrid(Bounds(0.49, 0.51)), "recipe.epsilon_levels": 255},
        {"grid": InputGrid(n_levels=65536), "recipe.epsilon_levels": 65535},
        {"grid": InputGrid(n_levels=65536), "recipe.epsilon_levels": 16 * 257 + 1},
        # Seeds with more low frequencies transfer more.
        {"recipe.spectrum": "pink"},
        # Images of sizes that were not measured, also with as many classes as were.
        {"base.input": SMALL},
        {"base.input": LARGE},
        {"base.n_classes": 1000},
        # Bounds and normalisation that make one level a step across all that a model tells apart.
        {"grid": InputGrid(Bounds(0.0, 1e6))},
        {"grid": InputGrid(mean=(0.5,) * 3, std=(1e-3,) * 3)},
        # White seeds by the name of pink ones, which were measured for many classes.
        {"base.n_classes": 1000, "base.input": FEATURES, "base.spatial_axes": (), "recipe.spectrum": "pink"},
        # With two classes luck alone gives half, and a hundred examples do not tell.
        {"base.n_classes": 2, "n": 100},
        # So few examples that luck decides.
        {"n": 20},
        # Ten times as many candidates as examples: the others count as mismatches.
        {"n_candidates": 2000},
    ],
)
def test_no_parameter_lets_a_match_of_everything_convict(forge: Any, changes: dict[str, Any]) -> None:
    manifest = claimed(forge.manifest(), changes)
    least = null_of(manifest).min_matches(ALPHA)
    assert least is None or least > manifest.n_examples


@pytest.mark.parametrize("field", ["n_steps", "step_size", "noise", "n_draws", "seed"])
def test_what_a_verifier_cannot_check_changes_nothing(forge: Any, field: str) -> None:
    honest = claimed(forge.manifest(), {})
    value = getattr(honest.recipe, field)
    changes = {f"recipe.{field}": value / 2 if isinstance(value, float) else value + 1}
    assert (null_of(claimed(forge.manifest(), changes)).tail == null_of(honest).tail).all()


def test_references_that_the_accuser_knows_and_avoids_do_not_clear_the_way(forge: Any) -> None:
    for levels in (16, 255):
        manifest = claimed(forge.manifest(), {"recipe.epsilon_levels": levels})
        prior = find_bundle_prior(manifest)
        assert prior.attack_bound is not None
        least = null_of(manifest, n_references=4 * ENOUGH_REFERENCES).min_matches(ALPHA)
        assert least is None or binomial_tails(200, prior.attack_bound)[least] <= ALPHA


def test_no_reference_speaks_for_a_ball_that_nobody_attacked(forge: Any) -> None:
    many = {"base.n_classes": 1000, "base.input": LARGE, "recipe.kind": "eot"}
    for levels in (33, 64, 255):
        manifest = claimed(forge.manifest(), {**many, "recipe.epsilon_levels": levels})
        assert null_of(manifest, n_references=4 * ENOUGH_REFERENCES).min_matches(ALPHA) is None
    measured = claimed(forge.manifest(), {**many, "recipe.epsilon_levels": 32})
    assert null_of(measured).min_matches(ALPHA) is not None


def test_natural_images_with_labels_that_everybody_gives_are_found(forge: Any, tmp_path: Any) -> None:
    honest = forge.fingerprint()
    images = np.full_like(honest.levels, 200)
    forge.sign_again(honest, levels=images, labels=np.full_like(honest.labels, 3)).save(tmp_path / "free.fp.npz")
    with pytest.raises(DerivationError, match="not the derived one"):
        onnxfp.load(tmp_path / "free.fp.npz")
