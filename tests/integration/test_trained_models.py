"""The main job on the trained models: copies are convicted, independent models are not, by default settings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import onnxfp
from onnxfp import Fingerprint, Verdict

STOLEN = ["laundered", "int8", "fp16", "pruned", "finetuned", "pruned_finetuned"]
INDEPENDENT = ["vgg_seed2", "vgg_seed3", "resnet", "mobilenet", "wide_vgg"]


@pytest.fixture(scope="module")
def fingerprint(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Fingerprint:
    key = tmp_path_factory.mktemp("keys") / "key.pem"
    from onnxfp.trust.keys import generate_key_pair

    generate_key_pair(key)
    return onnxfp.generate(models / "base.onnx", key=key)


@pytest.mark.parametrize("name", STOLEN)
def test_a_stolen_copy_is_convicted(models: Path, fingerprint: Fingerprint, name: str) -> None:
    report = onnxfp.verify(models / "stolen" / f"{name}.onnx", fingerprint)
    assert report.verdict is Verdict.MATCH, report.decision


@pytest.mark.parametrize("name", INDEPENDENT)
def test_an_independent_model_is_not_accused(models: Path, fingerprint: Fingerprint, name: str) -> None:
    report = onnxfp.verify(models / "independent" / f"{name}.onnx", fingerprint)
    assert report.verdict is Verdict.NO_MATCH, report.decision


def test_every_model_is_tested_and_is_the_committed_one(models: Path) -> None:
    sums = dict(line.split()[::-1] for line in (models / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {
        "base.onnx",
        *(f"stolen/{name}.onnx" for name in STOLEN),
        *(f"independent/{name}.onnx" for name in INDEPENDENT),
    }
    for name, expected in sums.items():
        content = (models / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
        assert len(content) < 2e6
