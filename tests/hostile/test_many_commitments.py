"""An owner who commits to many bundles, and shows the one that fits a suspect best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp import Verdict


def ask(path: Path, models: Path, n_bundles: int | None) -> Any:
    opening = path.with_name("opening.json")
    onnxfp.commit(path, output=opening, n_bundles=n_bundles)
    evidence = onnxfp.TimeEvidence(commitment=opening)
    return onnxfp.verify(models / "stolen/pruned.onnx", path, time_evidence=evidence)


@pytest.fixture
def bundle(repository: Path, tmp_path: Path) -> Path:
    path = tmp_path / "base.fp.npz"
    path.write_bytes((repository / "tests/golden/base-1.fp.npz").read_bytes())
    return path


def test_one_bundle_convicts_and_nothing_is_left_open(bundle: Path, models: Path) -> None:
    report = ask(bundle, models, 1)
    assert report.verdict is Verdict.MATCH
    assert "other commitments" not in report.not_tested


def test_an_opening_that_states_nothing_is_named_as_such(bundle: Path, models: Path) -> None:
    report = ask(bundle, models, None)
    assert report.verdict is Verdict.MATCH
    assert "other commitments" in report.not_tested


def test_each_further_bundle_costs_significance(bundle: Path, models: Path) -> None:
    one = onnxfp.verify(models / "stolen/pruned.onnx", bundle)
    many = ask(bundle, models, 10**6)
    assert many.decision.p_value == pytest.approx(min(1.0, one.decision.p_value * 10**6))
    assert many.verdict is not Verdict.MATCH
