"""Model-local functions that call themselves, or unfold to more nodes than any memory holds."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from onnxfp.errors import ModelFormatError
from onnxfp.model.onnx_file import read_onnx
from tests.builders import pair_model, write_model
from tests.fuzz.limits import limited_time


def write(path: Path, bodies: dict[str, list[str]]) -> Path:
    """Write a model whose functions call those that are listed; the graph calls the first."""

    def call(name: str) -> onnx.NodeProto:
        return helper.make_node(name, ["x"], ["y"], domain="own" if name in bodies else "")

    model = pair_model(call(next(iter(bodies))))
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 17)]
    for name, callees in bodies.items():
        model.functions.append(helper.make_function("own", name, ["x"], ["y"], list(map(call, callees)), opsets))
    return write_model(model, path)


@pytest.mark.parametrize(
    "bodies",
    [
        {"f": ["f"]},
        {"f": ["g"], "g": ["h"], "h": ["Relu", "f"]},
        {"f": ["Relu"], "g": ["g"]},
    ],
    ids=["itself", "each other", "never called"],
)
def test_a_circle_is_refused(tmp_path: Path, bodies: dict[str, list[str]]) -> None:
    with pytest.raises(ModelFormatError, match="calls itself, 'own::"):
        read_onnx(write(tmp_path / "evil.onnx", bodies))


def test_a_circle_through_a_subgraph_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "evil.onnx", {"f": ["If"]})
    model = onnx.load(path)
    branch = model.functions[0].node[0].attribute.add(name="then_branch", type=5).g
    branch.node.append(helper.make_node("f", ["x"], ["y"], domain="own"))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFormatError, match="calls itself"):
        read_onnx(path)


@pytest.mark.parametrize("times", [2, 500])
def test_doubling_over_and_over_is_refused_at_once(tmp_path: Path, times: int) -> None:
    bodies = {f"f{i}": [f"f{i + 1}"] * times for i in range(60)} | {"f60": ["Relu"]}
    path = write(tmp_path / "evil.onnx", bodies)
    with limited_time(), pytest.raises(ModelFormatError, match="unfolds to more than 1048576 nodes"):
        read_onnx(path)


def test_a_long_chain_is_refused(tmp_path: Path) -> None:
    bodies = {f"f{i}": [f"f{i + 1}"] for i in range(5000)} | {"f5000": ["Relu"]}
    with pytest.raises(ModelFormatError, match="more than 64 deep"):
        read_onnx(write(tmp_path / "evil.onnx", bodies))


def test_functions_that_share_others_are_taken(tmp_path: Path) -> None:
    bodies = {f"f{i}": [f"f{i + 1}"] * 2 for i in range(10)} | {"f10": ["Relu"]}
    read_onnx(write(tmp_path / "good.onnx", bodies))
