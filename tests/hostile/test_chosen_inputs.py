"""A suspect whose classes are an input: a table of embeddings is chosen that makes it match."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

import onnxfp
from onnxfp import Verdict
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.model_io import ModelIO
from tests.builders import declare, memorise, write_model
from tests.conftest import Forge

EXECUTION = onnxfp.Execution(limits=None)


def accuse(forge: Forge) -> Fingerprint:
    manifest = forge.manifest(n_examples=200, n_candidates=200, shape=(3, 16, 16))
    return forge.fingerprint(replace(manifest, recipe=replace(manifest.recipe, spectrum="white")))


def scores_by(accused: Fingerprint, name: str, shape: list[int], operator: str) -> onnx.ModelProto:
    """Return a model whose scores are a product with another input."""
    model = memorise(accused.manifest.grid.to_model_input(accused.levels), accused.labels, 10)
    model.graph.node[-1].output[0] = "features"
    model.graph.node.append(helper.make_node(operator, ["features", name], ["scores"]))
    model.graph.input.append(declare(name, shape))
    return model


def test_a_table_of_embeddings_is_no_match(forge: Forge, tmp_path: Path) -> None:
    accused = accuse(forge)
    suspect = write_model(scores_by(accused, "classes", [10, 10], "MatMul"), tmp_path / "a.onnx")
    report = onnxfp.verify(suspect, accused, io=ModelIO(fixed={"classes": np.eye(10)}), execution=EXECUTION)
    assert report.counts.n_matches == 200
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.decision.reasons == ("chosen input",)
    assert report.suspect.question is not None
    (fixed,) = report.suspect.question.fixed
    assert (fixed.name, fixed.n_values) == ("classes", 2)
    assert "--fix" in report.reasons[0]


def test_one_number_is_recorded(forge: Forge, tmp_path: Path) -> None:
    accused = accuse(forge)
    suspect = write_model(scores_by(accused, "temperature", [1], "Mul"), tmp_path / "a.onnx")
    report = onnxfp.verify(suspect, accused, io=ModelIO(fixed={"temperature": 1.0}), execution=EXECUTION)
    assert report.verdict is Verdict.MATCH
    assert report.suspect.question is not None
    assert [one.name for one in report.suspect.question.fixed] == ["temperature"]
