"""The kind of the examples is the accuser's word: to claim the one that matches least saves no match."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnxfp.bundle.manifest import Manifest
from onnxfp.evidence.null import estimate_null
from onnxfp.evidence.priors import Conditions, find_prior
from onnxfp.types import Kind, Spectrum
from tests.conftest import Forge

KINDS: tuple[Kind, ...] = ("c", "rc", "ltrc", "eot")


def needed(manifest: Manifest, kind: Kind) -> int | None:
    recipe = manifest.recipe
    cutoff = 4 if kind in ("ltrc", "eot") else 0
    recipe = replace(
        recipe,
        kind=kind,
        noise=0.0 if kind == "c" else 0.05,
        cutoff=cutoff,
        filtered="perturbation" if cutoff else "none",
    )
    manifest = Manifest.from_json(replace(manifest, recipe=recipe).to_json())
    prior = find_prior(Conditions.of_bundle(manifest))
    return estimate_null((), (), prior, n_classes=10, n_candidates=200).min_matches(1e-6)


@pytest.mark.parametrize(("spectrum", "expected"), [("coarse", 197), ("white", 192)])
def test_every_claim_needs_as_many_matches(forge: Forge, spectrum: Spectrum, expected: int) -> None:
    manifest = forge.manifest(n_examples=200, n_candidates=200, shape=(3, 32, 32))
    manifest = replace(manifest, recipe=replace(manifest.recipe, spectrum=spectrum))
    assert [needed(manifest, kind) for kind in KINDS] == [expected] * 4
