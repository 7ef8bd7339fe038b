"""A bundle that names a base which it was not made of: no digest, or a stranger's model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import onnxfp
from onnxfp import Verdict
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import BaseContradictionError, ParameterError
from onnxfp.model.onnx_file import read_onnx
from tests.conftest import Forge


def name_base(forge: Forge, digest: str) -> Fingerprint:
    manifest = forge.manifest(n_examples=200, n_candidates=200, shape=(3, 32, 32))
    return forge.fingerprint(replace(manifest, base=replace(manifest.base, digest=digest)))


def test_a_digest_of_no_model_is_left_open(forge: Forge, models: Path) -> None:
    accused = name_base(forge, "sha256:" + "0" * 64)
    report = onnxfp.verify(models / "base.onnx", accused)
    assert report.verdict is not Verdict.MATCH
    assert "base" in report.not_tested
    with pytest.raises(ParameterError, match="not the model that the bundle names"):
        onnxfp.verify(models / "independent/resnet.onnx", accused, base=models / "base.onnx")


def test_a_strangers_model_as_the_base_is_untrue(forge: Forge, models: Path) -> None:
    stranger = models / "independent/vgg_seed2.onnx"
    accused = name_base(forge, read_onnx(stranger).digest)
    with pytest.raises(BaseContradictionError) as asked:
        onnxfp.verify(models / "base.onnx", accused, base=stranger)
    assert asked.value.exit_code == 5
    with pytest.raises(BaseContradictionError, match="the suspect"):
        onnxfp.verify(stranger, accused)


def test_the_true_base_is_recorded(models: Path, repository: Path) -> None:
    bundle = repository / "tests/golden/base-1.fp.npz"
    report = onnxfp.verify(models / "stolen/pruned.onnx", bundle, base=models / "base.onnx")
    assert report.base_check is not None
    assert report.base_check.n_matches >= 196
    assert "base" not in report.not_tested
    assert onnxfp.verify(models / "base.onnx", bundle).verdict is Verdict.MATCH
