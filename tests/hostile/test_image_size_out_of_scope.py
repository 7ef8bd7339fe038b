"""An accusation over images of a size on which unassociated models were never measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import onnxfp
from onnxfp import Verdict
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.types import OutputSpec
from tests.builders import memorise, write_model
from tests.conftest import Forge


def accuse(forge: Forge, shape: tuple[int, ...], n_classes: int = 10) -> Fingerprint:
    manifest = forge.manifest(n_examples=200, n_candidates=200, shape=shape)
    recipe = replace(manifest.recipe, spectrum="white")
    base = replace(manifest.base, n_classes=n_classes, output=OutputSpec("logits", "scores", n_classes))
    return forge.fingerprint(replace(manifest, recipe=recipe, base=base))


def verdict_of(fingerprint: Fingerprint, path: Path) -> tuple[Verdict, float]:
    inputs = fingerprint.manifest.grid.to_model_input(fingerprint.levels)
    write_model(memorise(inputs, fingerprint.labels, fingerprint.manifest.base.n_classes), path)
    report = onnxfp.verify(path, fingerprint, execution=onnxfp.Execution(limits=None))
    return report.verdict, report.match_rate


@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 32, 32), (3, 16, 64)])
def test_images_of_a_measured_size_can_convict(forge: Forge, tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert verdict_of(accuse(forge, shape), tmp_path / "suspect.onnx") == (Verdict.MATCH, 1.0)


@pytest.mark.parametrize(
    ("shape", "n_classes"),
    [((3, 8, 8), 10), ((3, 15, 32), 10), ((3, 32, 65), 10), ((3, 96, 96), 10), ((3, 32, 32), 101), ((3, 64, 112), 101)],
)
def test_a_match_of_everything_does_not_convict(
    forge: Forge, tmp_path: Path, shape: tuple[int, ...], n_classes: int
) -> None:
    verdict, rate = verdict_of(accuse(forge, shape, n_classes), tmp_path / "suspect.onnx")
    assert rate == 1.0
    assert verdict is Verdict.INCONCLUSIVE
