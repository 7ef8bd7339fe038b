"""Whether a graph's output lies between 0 and 1 by what makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxfp.model.output_range import is_within_unit_range

node = helper.make_node
SIGMOID = node("Sigmoid", ["x"], ["s"])
SOFTMAX = node("Softmax", ["x"], ["s"])


def graph_of(
    nodes: Sequence[onnx.NodeProto], stored: dict[str, NDArray[np.generic]] | None = None, name: str = "g"
) -> onnx.GraphProto:
    x, y = (helper.make_tensor_value_info(value, TensorProto.FLOAT, None) for value in "xy")
    tensors = [numpy_helper.from_array(array, key) for key, array in (stored or {}).items()]
    return helper.make_graph(list(nodes), name, [x], [y], tensors)


def model_of(nodes: Sequence[onnx.NodeProto], **stored: float) -> onnx.ModelProto:
    return helper.make_model(graph_of(nodes, {name: np.array(value, np.float32) for name, value in stored.items()}))


def with_function() -> onnx.ModelProto:
    model = model_of([node("Relu", ["x"], ["r"]), node("Gate", ["r"], ["y"], domain="own")])
    opsets = [helper.make_opsetid("", 20)]
    body = [node("Sigmoid", ["z"], ["s"]), node("Identity", ["s"], ["out"])]
    model.functions.append(helper.make_function("own", "Gate", ["z"], ["out"], body, opsets))
    return model


def with_a_function_that_passes_on() -> onnx.ModelProto:
    model = model_of([SIGMOID, node("Same", ["s"], ["y"], domain="own")])
    same = helper.make_function(
        "own", "Same", ["z"], ["out"], [node("Identity", ["z"], ["out"])], [helper.make_opsetid("", 20)]
    )
    model.functions.append(same)
    return model


def with_branches(other: str) -> onnx.ModelProto:
    def branch(kind: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
        return helper.make_graph([node(kind, ["s"], ["b"])], kind, [], [out])

    chosen = node("If", ["c"], ["y"], then_branch=branch("Identity"), else_branch=branch(other))
    return model_of([SIGMOID, node("Constant", [], ["c"], value_int=1), chosen])


WITHIN: dict[str, Callable[[], onnx.ModelProto]] = {
    "a sigmoid": lambda: model_of([node("Sigmoid", ["x"], ["y"])]),
    "and an identity": lambda: model_of([SIGMOID, node("Identity", ["s"], ["y"])]),
    "without its last axis": lambda: model_of([SIGMOID, node("Squeeze", ["s"], ["y"])]),
    "in double precision": lambda: model_of([SIGMOID, node("Cast", ["s"], ["y"], to=TensorProto.DOUBLE)]),
    "through eight bits": lambda: model_of(
        [SIGMOID, node("QuantizeLinear", ["s", "k"], ["q"]), node("DequantizeLinear", ["q", "k"], ["y"])], k=1 / 255
    ),
    "fused": lambda: model_of([node("FusedGemm", ["x", "k"], ["y"], domain="com.microsoft", activation="Sigmoid")]),
    "a column of a softmax": lambda: model_of([SOFTMAX, node("Gather", ["s", "k"], ["y"], axis=1)], k=1),
    "the other class": lambda: model_of([SIGMOID, node("Sub", ["k", "s"], ["y"])], k=1),
    "half of it": lambda: model_of([SIGMOID, node("Mul", ["s", "k"], ["y"])], k=0.5),
    "a mean of two": lambda: model_of([SIGMOID, SOFTMAX, node("Mean", ["s", "s"], ["y"])]),
    "clipped": lambda: model_of([node("Clip", ["x", "low", "k"], ["y"])], low=0, k=1),
    "clipped as before": lambda: model_of([node("Clip", ["x"], ["y"], min=0.0, max=1.0)]),
    "spelled out": lambda: model_of(
        [
            node("Neg", ["x"], ["n"]),
            node("Exp", ["n"], ["e"]),
            node("Add", ["k", "e"], ["a"]),
            node("Div", ["k", "a"], ["y"]),
        ],
        k=1,
    ),
    "in a function": with_function,
    "before a function": with_a_function_that_passes_on,
    "in both branches": lambda: with_branches("Identity"),
}
BEYOND: dict[str, Callable[[], onnx.ModelProto]] = {
    "a linear layer": lambda: model_of([node("Gemm", ["x", "k"], ["y"])], k=1),
    "a sigmoid before one": lambda: model_of([SIGMOID, node("Gemm", ["s", "k"], ["y"])], k=1),
    "a rectified one": lambda: model_of([node("Relu", ["x"], ["y"])]),
    "a sum": lambda: model_of([SIGMOID, node("Add", ["s", "s"], ["y"])]),
    "twice of it": lambda: model_of([SIGMOID, node("Mul", ["s", "k"], ["y"])], k=2),
    "two less it": lambda: model_of([SIGMOID, node("Sub", ["k", "s"], ["y"])], k=2),
    "clipped elsewhere": lambda: model_of([node("Clip", ["x", "low", "k"], ["y"])], low=-1, k=1),
    "clipped on one side": lambda: model_of([node("Clip", ["x", "low"], ["y"])], low=0),
    "in one branch": lambda: with_branches("Neg"),
    "the input": lambda: model_of([node("Identity", ["x"], ["y"])]),
    "no such output": lambda: model_of([SIGMOID]),
    "a chain without end": lambda: model_of(
        [SIGMOID, *(node("Identity", [f"v{i}"], [f"v{i + 1}"]) for i in range(5000)), node("Relu", ["v5000"], ["y"])]
    ),
}


@pytest.mark.parametrize("name", WITHIN)
def test_it_lies_there(name: str) -> None:
    assert is_within_unit_range(WITHIN[name](), "y")


@pytest.mark.parametrize("name", BEYOND)
def test_nobody_says_so(name: str) -> None:
    assert not is_within_unit_range(BEYOND[name](), "y")


def test_a_function_of_a_known_name_is_what_it_does() -> None:
    model = with_function()
    model.functions[0].name = model.graph.node[1].op_type = "Sigmoid"
    model.functions[0].node[0].op_type = "Neg"
    assert not is_within_unit_range(model, "y")


def test_functions_that_double_do_not_keep_it_busy() -> None:
    model = model_of([node("F0", ["x"], ["y"], domain="own")])
    for level in range(40):
        body = [
            node(f"F{level + 1}", ["z"], ["a"], domain="own"),
            node(f"F{level + 1}", ["z"], ["b"], domain="own"),
            node("Max", ["a", "b"], ["out"]),
        ]
        model.functions.append(helper.make_function("own", f"F{level}", ["z"], ["out"], body, []))
    last = [node("Sigmoid", ["z"], ["out"])]
    model.functions.append(helper.make_function("own", "F40", ["z"], ["out"], last, []))
    assert not is_within_unit_range(model, "y")
