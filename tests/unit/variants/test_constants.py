"""Values that a graph computes from its stored tensors: what they are, and what is left when they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from onnxfp.errors import ModelError
from onnxfp.variants.constants import compute_constants, constant_nodes, store_constants
from onnxfp.variants.laundering import fold_constants
from onnxfp.variants.weights import with_weights
from tests.builders import build_model, declare

RNG = np.random.default_rng(7)
X = RNG.random((6, 4), np.float32)

Array = NDArray[Any]


def model_of(nodes: list[onnx.NodeProto], **stored: Array) -> onnx.ModelProto:
    model = build_model(nodes, [declare("x", ["N", 4])], [declare("y", ["N", 4])], stored)
    onnx.checker.check_model(model, full_check=True)
    return model


def scores(model: onnx.ModelProto) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    return np.asarray(session.run(None, {"x": X})[0])


def packed() -> onnx.ModelProto:
    """Two weights and a third value that one Split makes of one stored tensor."""
    nodes = [
        helper.make_node("Split", ["packed"], ["w1", "w2", "rest"], axis=0),
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("MatMul", ["a", "w2"], ["b"]),
        helper.make_node("ReduceSum", ["rest"], ["shift"], keepdims=0),
        helper.make_node("Add", ["b", "shift"], ["y"]),
    ]
    return model_of(nodes, packed=RNG.normal(size=(12, 4)).astype(np.float32))


def stored(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_a_node_that_also_computes_something_else_goes_on_doing_so() -> None:
    model = packed()
    w1, w2, rest = np.split(stored(model)["packed"], 3)
    changed = with_weights(model, {"w1": 2 * w1, "w2": w2 + 1})
    onnx.checker.check_model(changed, full_check=True)
    assert np.allclose(scores(changed), X @ (2 * w1) @ (w2 + 1) + rest.sum(), rtol=1e-4)
    assert np.array_equal(scores(with_weights(model, {"w1": w1, "w2": w2})), scores(model))


def test_what_nobody_needs_any_more_goes() -> None:
    model = packed()
    values = compute_constants(model, ["w1", "w2", "shift"])
    store_constants(model, values)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "MatMul", "Add"]
    assert set(stored(model)) == {"w1", "w2", "shift"}
    assert set(stored(fold_constants(packed()))) == {"w1", "w2", "shift"}


def test_what_depends_on_an_input_or_on_chance_is_no_constant() -> None:
    model = packed()
    model.graph.node.append(helper.make_node("RandomNormalLike", ["packed"], ["noise"]))
    assert [node.op_type for node in constant_nodes(model)] == ["Split", "ReduceSum"]
    assert set(compute_constants(model, ["w1", "y", "noise", "packed"])) == {"w1"}


def test_constants_that_cannot_be_computed_are_said() -> None:
    nodes = [helper.make_node("Reshape", ["w", "shape"], ["v"]), helper.make_node("MatMul", ["x", "v"], ["y"])]
    model = model_of(nodes, w=RNG.random((2, 8), np.float32), shape=np.array([4, 4]))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([3, 5]), "shape"))
    with pytest.raises(ModelError, match="does not compute the model's constants"):
        fold_constants(model)
