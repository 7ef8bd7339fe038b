"""Single operators against onnxruntime, where it and ONNX's own node tests do not cover the same ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from onnxfp.base.torch_copy import build_torch_copy

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> NDArray[np.float32]:
    return RANDOM.normal(size=shape).astype(np.float32)


def model_of(
    nodes: list[onnx.NodeProto], x: NDArray[Any], constants: dict[str, NDArray[Any]] | None = None, *, opset: int = 17
) -> onnx.ModelProto:
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, x.shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in (("", opset), ("ai.onnx.ml", 1))]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def answer(model: onnx.ModelProto, x: NDArray[Any]) -> NDArray[Any]:
    """Return onnxruntime's output ``y``."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected: NDArray[Any] = session.run(["y"], {"x": x})[0]
    return expected


def agrees(model: onnx.ModelProto, x: NDArray[Any], *, atol: float = 1e-5) -> None:
    """Compare the torch copy with onnxruntime."""
    expected = answer(model, x)
    with torch.no_grad():
        found = build_torch_copy(model)(torch.from_numpy(x)).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ("op_type", "activations", "alpha", "beta"),
    [
        ("GRU", ["Sigmoid", "LeakyRelu"], [0.3], []),
        ("GRU", ["HardSigmoid", "Tanh", "HardSigmoid", "Tanh"], [0.15, 0.25], [0.4, 0.6]),
        ("LSTM", ["Sigmoid", "ScaledTanh", "Elu"], [1.5, 0.7], [0.8]),
        ("LSTM", ["HardSigmoid", "Affine", "Tanh"], [0.15, 0.7], [0.4, 0.1]),
        ("RNN", ["Relu", "ThresholdedRelu"], [0.2], []),
    ],
)
def test_activations_take_their_parameters_in_turn(
    op_type: str, activations: list[str], alpha: list[float], beta: list[float]
) -> None:
    n_gates, per_direction = {"GRU": (3, 2), "LSTM": (4, 3), "RNN": (1, 1)}[op_type]
    n = len(activations) // per_direction
    weights = {"w": normal(n, 5 * n_gates, 4), "r": normal(n, 5 * n_gates, 5)}
    parameters: dict[str, Any] = {"activation_alpha": alpha, "activation_beta": beta}
    node = helper.make_node(
        op_type,
        ["x", "w", "r"],
        ["", "y"],
        hidden_size=5,
        activations=activations,
        direction="bidirectional" if n == 2 else "forward",
        **{name: values for name, values in parameters.items() if values},
    )
    x = normal(6, 3, 4)
    agrees(model_of([node], x, weights), x)
