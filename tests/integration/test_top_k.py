"""Top-k evidence from one end to the other, on the trained models: what a suspect's scores show beside its labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import onnxfp as package
from onnxfp.evidence.top_k import CAVEAT, NO_SCORES

Run = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "base-1.fp.npz"


def labels_only(model: Path, path: Path) -> Path:
    """Write a copy of a model that gives the label of its largest score, and nothing else."""
    proto = onnx.load(model)
    (scores,) = proto.graph.output
    proto.graph.node.append(helper.make_node("ArgMax", [scores.name], ["label"], axis=1, keepdims=0))
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]))
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def pruned_as_labels(models: Path, tmp_path: Path) -> Path:
    return labels_only(models / "stolen" / "pruned.onnx", tmp_path / "labels.onnx")


def test_copies_lean_towards_the_base_and_others_do_not(models: Path) -> None:
    copy, other = (
        package.verify(models / name, GOLDEN) for name in ("stolen/pruned.onnx", "independent/vgg_seed2.onnx")
    )
    assert [grade.k for grade in copy.top_k] == [grade.k for grade in other.top_k] == [5]
    assert copy.top_k[0].p_value < 1e-3
    assert other.top_k[0].p_value > 0.05
    assert copy.top_k[0].rate >= copy.match_rate
    assert copy.median_rank == 1.0
    assert other.median_rank is not None
    assert other.median_rank > 1.0


def test_scores_change_nothing_of_the_verdict(models: Path, pruned_as_labels: Path) -> None:
    by_scores, by_labels = (package.verify(path, GOLDEN) for path in (models / "stolen/pruned.onnx", pruned_as_labels))
    assert by_labels.decision == by_scores.decision
    assert by_labels.null == by_scores.null
    assert by_scores.top_k
    assert (by_labels.top_k, by_labels.median_rank) == ((), None)


def test_references_raise_the_top_k_null_where_they_give_scores(models: Path, tmp_path: Path) -> None:
    # A reference that is none raises every null.
    suspect, reference = models / "stolen" / "pruned.onnx", models / "stolen" / "int8.onnx"
    silent = labels_only(reference, tmp_path / "silent.onnx")
    alone, beside, beside_silent = (
        package.verify(suspect, GOLDEN, references=pool) for pool in ((), (reference,), (silent,))
    )
    assert beside.top_k[0].p_value > alone.top_k[0].p_value
    assert "your one reference" in beside.top_k[0].null.source
    # Its labels count in the verdict's null as before, and no rank of it in the grades'.
    assert beside_silent.top_k == alone.top_k
    assert beside_silent.decision == beside.decision
    assert beside.decision.p_value > alone.decision.p_value


def test_verify_shows_and_explains_top_k_evidence(onnxfp: Run, models: Path) -> None:
    suspect = models / "independent" / "vgg_seed2.onnx"
    record = json.loads(onnxfp("verify", suspect, GOLDEN, "--json").out)
    grade, median = record["top_k"][0], record["median_rank"]
    seen = onnxfp("verify", suspect, GOLDEN, "--explain")
    row = f"top k        top 5: {grade['rate']:.1%}, p {grade['p_value']:.2g}; median rank {median:g} of 10\n"
    assert f"\n{row}             no part of the verdict\n" in seen.out
    words = " ".join(seen.out.split())
    assert CAVEAT in words
    assert f"top 5 {grade['n_within']} of 200 recorded labels" in words
    assert f"median rank {median:g} of 10, where 1 is the largest score" in words


def test_labels_alone_have_no_top_k_evidence(onnxfp: Run, pruned_as_labels: Path) -> None:
    seen = onnxfp("verify", pruned_as_labels, GOLDEN, "--explain")
    assert (seen.code, seen.err) == (0, "")
    assert "\ntop k        none: the suspect gives labels only\n" in seen.out
    assert f"Top-k evidence:\n\n{NO_SCORES}\n" in seen.out
