"""Models without a hidden non-linearity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

from onnxfp.model.linearity import is_linear
from tests.builders import build_model, declare

node = helper.make_node
FLAT = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], ["z"])]
SOFTMAX = node("Softmax", ["z"], ["y"])


def model_of(nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    return build_model(nodes, [declare("x")], [declare("y")], {"w": np.ones((12, 3), np.float32)}, opset=None)


def with_function(*body: onnx.NodeProto) -> onnx.ModelProto:
    model = model_of([*FLAT, node("Last", ["z"], ["y"], domain="own")])
    model.functions.append(helper.make_function("own", "Last", ["z"], ["y"], list(body), [helper.make_opsetid("", 20)]))
    return model


LINEAR: dict[str, Callable[[], onnx.ModelProto]] = {
    "logits": lambda: model_of(FLAT),
    "probabilities": lambda: model_of([*FLAT, SOFTMAX]),
    "normalised inputs": lambda: model_of(
        [node("Sub", ["x", "w"], ["a"]), node("Div", ["a", "w"], ["f"]), node("Gemm", ["f", "w"], ["z"]), SOFTMAX]
    ),
    "two layers without anything between": lambda: model_of(
        [node("Conv", ["x", "w"], ["f"]), node("MatMul", ["f", "w"], ["z"]), SOFTMAX]
    ),
    "scikit-learn's": lambda: model_of(
        [
            node("Scaler", ["x"], ["f"], domain="ai.onnx.ml"),
            node("LinearClassifier", ["f"], ["l", "z"], domain="ai.onnx.ml"),
            node("Normalizer", ["z"], ["y"], domain="ai.onnx.ml"),
        ]
    ),
    "a softmax in a function": lambda: with_function(node("Softmax", ["z"], ["y"])),
}
OTHER: dict[str, Callable[[], onnx.ModelProto]] = {
    "a hidden layer": lambda: model_of(
        [*FLAT, node("Relu", ["z"], ["r"]), node("Gemm", ["r", "w"], ["z2"]), node("Softmax", ["z2"], ["y"])]
    ),
    "a hidden sigmoid": lambda: model_of([*FLAT, node("Sigmoid", ["z"], ["r"]), node("Gemm", ["r", "w"], ["y"])]),
    "attention": lambda: model_of(
        [node("MatMul", ["x", "w"], ["z"]), node("Softmax", ["z"], ["a"]), node("MatMul", ["a", "x"], ["y"])]
    ),
    "trees": lambda: model_of([node("TreeEnsembleClassifier", ["x"], ["l", "y"], domain="ai.onnx.ml")]),
    "a layer in a function": lambda: with_function(node("Relu", ["z"], ["r"]), node("Gemm", ["r", "z"], ["y"])),
    "more nodes than it looks at": lambda: model_of([node("Identity", ["x"], ["y"])] * 10_001),
}


@pytest.mark.parametrize("name", LINEAR)
def test_it_is_linear(name: str) -> None:
    assert is_linear(LINEAR[name]())


@pytest.mark.parametrize("name", OTHER)
def test_it_is_not(name: str) -> None:
    assert not is_linear(OTHER[name]())


def test_functions_that_double_do_not_keep_it_busy() -> None:
    model = model_of([node("F0", ["x"], ["y"], domain="own")])
    for level in range(40):
        body = [node(f"F{level + 1}", ["z"], [name], domain="own") for name in ("a", "out")]
        model.functions.append(helper.make_function("own", f"F{level}", ["z"], ["out"], body, []))
    model.functions.append(helper.make_function("own", "F40", ["z"], ["out"], [node("Identity", ["z"], ["out"])], []))
    assert not is_linear(model)
