"""Operators that only a library of the model's own could run: never loaded, wherever they hide."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from onnxfp.errors import UnsafeModelError
from onnxfp.model.onnx_file import read_onnx
from tests.builders import declare, pair_model

EVIL = helper.make_node("Evil", ["x"], ["y"], domain="com.evil")


def function(domain: str, name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function(domain, name, ["x"], ["y"], list(nodes), [helper.make_opsetid("", 17)])


def in_graph() -> onnx.ModelProto:
    return pair_model(EVIL)


def in_subgraph() -> onnx.ModelProto:
    branch = helper.make_graph([EVIL], "b", [], [declare("y", [1, 2])])
    return pair_model(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def in_function() -> onnx.ModelProto:
    evil = pair_model(helper.make_node("f", ["x"], ["y"], domain="own"))
    evil.functions.append(function("own", "f", EVIL))
    return evil


def beside_a_function_of_its_domain() -> onnx.ModelProto:
    evil = pair_model(EVIL)
    evil.functions.append(function("com.evil", "Good", helper.make_node("Relu", ["x"], ["y"])))
    return evil


def in_training() -> onnx.ModelProto:
    evil = pair_model(helper.make_node("Relu", ["x"], ["y"]))
    evil.training_info.add().algorithm.node.append(EVIL)
    return evil


@pytest.mark.parametrize(
    "make", [in_graph, in_subgraph, in_function, beside_a_function_of_its_domain, in_training], ids=lambda f: f.__name__
)
def test_such_an_operator_is_refused_by_name(make: object, tmp_path: Path) -> None:
    assert callable(make)
    path = tmp_path / "evil.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(UnsafeModelError, match=r"com\.evil::Evil.*custom library") as raised:
        read_onnx(path)
    assert raised.value.hint


def test_a_function_that_the_model_brings_is_none(tmp_path: Path) -> None:
    good = pair_model(helper.make_node("f", ["x"], ["y"], domain="own"))
    good.functions.append(function("own", "f", helper.make_node("Relu", ["x"], ["y"])))
    (tmp_path / "good.onnx").write_bytes(good.SerializeToString())
    read_onnx(tmp_path / "good.onnx")
