"""Bounds by which a small step of the grid crosses the whole range that a suspect tells apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

import onnxfp
from onnxfp import Verdict
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.model_io import ModelIO
from onnxfp.types import Bounds, InputGrid
from tests.builders import declare, memorise, take_bytes, write_model
from tests.conftest import Forge

EXECUTION = onnxfp.Execution(limits=None)
BYTES = InputGrid(Bounds(0, 255))


def accuse(forge: Forge, grid: InputGrid, dtype: str = "float32") -> Fingerprint:
    manifest = forge.manifest(n_examples=200, n_candidates=200, shape=(3, 16, 16))
    base = replace(manifest.base, input=replace(manifest.base.input, dtype=dtype))
    recipe = replace(manifest.recipe, spectrum="coarse")
    return forge.fingerprint(replace(manifest, grid=grid, base=base, recipe=recipe))


def memorise_fed(fingerprint: Fingerprint, path: Path, *, clip: bool, takes_bytes: bool = False) -> Path:
    """Write a model that gives every recorded label to what it is fed."""
    fed: NDArray[np.float32] = fingerprint.manifest.grid.to_model_input(fingerprint.levels)
    if takes_bytes:
        fed = (np.clip(np.rint(fed), 0, 255) / 255).astype(np.float32)
    model = memorise(fed, fingerprint.labels, 10, clip=clip)
    return write_model(take_bytes(model) if takes_bytes else model, path)


def test_the_usual_bounds_can_convict(forge: Forge, tmp_path: Path) -> None:
    # What the cases below take away one by one.
    for grid, dtype in ((InputGrid(), "float32"), (BYTES, "float32"), (BYTES, "uint8")):
        accused = accuse(forge, grid, dtype)
        suspect = memorise_fed(accused, tmp_path / "a.onnx", clip=False, takes_bytes=dtype == "uint8")
        report = onnxfp.verify(suspect, accused, execution=EXECUTION)
        assert (report.verdict, report.match_rate) == (Verdict.MATCH, 1.0)


@pytest.mark.parametrize(
    "grid",
    [
        InputGrid(Bounds(-4080, 255)),
        InputGrid(Bounds(0, 4335)),
        InputGrid(Bounds(0, 1)),
        InputGrid(Bounds(0, 255), n_levels=65536),
        InputGrid(Bounds(0, 255), mean=(127.5,), std=(32.0,)),
    ],
)
def test_bytes_take_one_grid(forge: Forge, tmp_path: Path, grid: InputGrid) -> None:
    accused = accuse(forge, grid, "uint8")
    suspect = memorise_fed(accused, tmp_path / "a.onnx", clip=False, takes_bytes=True)
    report = onnxfp.verify(suspect, accused, execution=EXECUTION)
    assert report.verdict is not Verdict.MATCH
    assert report.decision.min_matches is None


@pytest.mark.parametrize(
    "grid",
    [
        InputGrid(Bounds(-16, 1)),
        InputGrid(Bounds(0.49, 0.51)),
        InputGrid(mean=(0.5,), std=(0.01,)),
        InputGrid(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.1)),
        InputGrid(mean=(0.5, 0.5, 1.5), std=(0.25, 0.25, 0.25)),
        # One channel spans eight times the range of another.
        InputGrid(mean=(0.5, 0.5, 0.5), std=(0.125, 0.5, 1.0)),
        InputGrid(mean=(0.0, 0.5, 1.0), std=(0.25, 0.25, 0.25)),
    ],
)
def test_an_unusual_map_of_floats_was_never_measured(forge: Forge, tmp_path: Path, grid: InputGrid) -> None:
    accused = accuse(forge, grid)
    suspect = memorise_fed(accused, tmp_path / "a.onnx", clip=False)
    report = onnxfp.verify(suspect, accused, execution=EXECUTION)
    assert report.match_rate == 1.0
    assert report.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("grid", [BYTES, InputGrid(Bounds(-1, 1))])
def test_a_suspect_that_clips_to_a_part_of_the_range_is_not_convicted(
    forge: Forge, tmp_path: Path, grid: InputGrid
) -> None:
    # Made for [0, 1]: of [0, 255] it sees one step, of [-1, 1] the half.
    accused = accuse(forge, grid)
    suspect = memorise_fed(accused, tmp_path / "a.onnx", clip=True)
    report = onnxfp.verify(suspect, accused, execution=EXECUTION)
    assert report.verdict is not Verdict.MATCH
    if report.match_rate == 1.0:
        assert report.probes is not None
        assert report.probes.window is not None
        assert report.probes.window <= 0.5


def test_a_suspect_that_clips_and_gives_labels_only_is_not_convicted(forge: Forge, tmp_path: Path) -> None:
    accused = accuse(forge, InputGrid(Bounds(-1, 1)))
    fed = accused.manifest.grid.to_model_input(accused.levels)
    for clip, verdict in ((False, Verdict.MATCH), (True, Verdict.INCONCLUSIVE)):
        model = memorise(fed, accused.labels, 10, clip=clip)
        model.graph.node.append(helper.make_node("ArgMax", ["scores"], ["labels"], axis=1, keepdims=0))
        del model.graph.output[:]
        model.graph.output.append(declare("labels", ["N"], TensorProto.INT64))
        report = onnxfp.verify(write_model(model, tmp_path / "a.onnx"), accused, execution=EXECUTION)
        assert report.match_rate == 1.0
        assert report.verdict is verdict


def test_the_verifiers_own_bounds_are_no_way_around(forge: Forge, tmp_path: Path) -> None:
    accused = accuse(forge, InputGrid())
    suspect = memorise_fed(accused, tmp_path / "a.onnx", clip=False)
    unusual = ModelIO(grid=InputGrid(Bounds(0, 1.0001)))
    report = onnxfp.verify(suspect, accused, io=unusual, execution=EXECUTION)
    assert report.match_rate == 1.0
    assert report.verdict is Verdict.INCONCLUSIVE
