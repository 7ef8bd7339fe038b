"""Single operators against onnxruntime, where it and ONNX's own node tests do not cover the same ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper

from onnxfp.errors import ConversionError
from onnxfp.torch_copy.copy import build_torch_copy
from tests.builders import build_model, declare

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> NDArray[np.float32]:
    return RANDOM.normal(size=shape).astype(np.float32)


def model_of(
    nodes: list[onnx.NodeProto], x: NDArray[Any], constants: dict[str, NDArray[Any]] | None = None, *, opset: int = 17
) -> onnx.ModelProto:
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    y = onnx.ValueInfoProto(name="y")
    return build_model(
        nodes, [declare("x", x.shape, element)], [y], constants or {}, opset=opset, domains={"ai.onnx.ml": 1}
    )


def answer(model: onnx.ModelProto, x: NDArray[Any]) -> NDArray[Any]:
    """Return onnxruntime's output ``y``."""
    options = onnxruntime.SessionOptions()  # noqa: TID251
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])  # noqa: TID251
    expected: NDArray[Any] = session.run(["y"], {"x": x})[0]
    return expected


def agrees(model: onnx.ModelProto, x: NDArray[Any], *, atol: float = 1e-5) -> torch.Tensor:
    """Compare the torch copy with onnxruntime and with itself, and return the gradient of its sum."""
    expected, copy = answer(model, x), build_torch_copy(model)
    point = torch.from_numpy(x.astype(np.float32)).requires_grad_(True)
    with torch.no_grad():
        found = copy(point.detach())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=atol)
    with_gradient = copy(point)
    torch.testing.assert_close(with_gradient.detach(), found, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(with_gradient.sum(), point)
    return gradient


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


INTEGER_GRAPHS: dict[str, tuple[list[onnx.NodeProto], dict[str, NDArray[Any]], float]] = {
    "division": ([helper.make_node("Div", ["i", "c"], ["j"])], {"c": np.array(16, np.int32)}, 1 / 16),
    "remainder": ([helper.make_node("Mod", ["i", "c"], ["j"])], {"c": np.array(16, np.int32)}, 1.0),
    "and": ([helper.make_node("BitwiseAnd", ["i", "c"], ["j"])], {"c": np.array(0xF0, np.int32)}, 1.0),
    "or": ([helper.make_node("BitwiseOr", ["c", "i"], ["j"])], {"c": np.array(0x0F, np.int32)}, 1.0),
    "exclusive or": ([helper.make_node("BitwiseXor", ["i", "c"], ["j"])], {"c": np.array(0x80, np.int32)}, 1.0),
    "not": ([helper.make_node("BitwiseNot", ["i"], ["j"])], {}, -1.0),
    "sum that wraps": (
        [
            helper.make_node("Cast", ["i"], ["b"], to=onnx.TensorProto.UINT8),
            helper.make_node("Add", ["b", "c"], ["j"]),
        ],
        {"c": np.array(100, np.uint8)},
        1.0,
    ),
    "shift": (
        [
            helper.make_node("Cast", ["i"], ["b"], to=onnx.TensorProto.UINT8),
            helper.make_node("BitShift", ["b", "n"], ["s"], direction="RIGHT"),
            helper.make_node("BitShift", ["s", "m"], ["j"], direction="LEFT"),
        ],
        {"n": np.array(5, np.uint8), "m": np.array(4, np.uint8)},
        0.5,
    ),
}


@pytest.mark.parametrize("name", INTEGER_GRAPHS)
def test_integers_are_computed_the_same_with_a_gradient(name: str) -> None:
    middle, constants, slope = INTEGER_GRAPHS[name]
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=onnx.TensorProto.INT32),
        *middle,
        helper.make_node("Transpose", ["j"], ["t"]),
        helper.make_node("Cast", ["t"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    x = RANDOM.uniform(0, 255, (3, 4)).astype(np.float32)
    gradient = agrees(model_of(nodes, x, constants, opset=18), x)
    torch.testing.assert_close(gradient, torch.full((3, 4), slope))


def test_an_integer_input_is_computed_on_as_integers() -> None:
    nodes = [
        helper.make_node("Sub", ["x", "c"], ["d"]),
        helper.make_node("Cast", ["d"], ["f"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "w"], ["y"]),
    ]
    x = RANDOM.integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
    constants: dict[str, NDArray[Any]] = {"c": np.array(128, np.uint8), "w": np.ones((1, 3, 1, 1), np.float32)}
    gradient = agrees(model_of(nodes, x, constants), x)
    torch.testing.assert_close(gradient, torch.ones(2, 3, 4, 4))


def test_root_mean_square_normalisation_as_onnxruntimes_optimiser_writes_it(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Pow", ["x", "two"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["mean"], axes=[-1]),
        helper.make_node("Add", ["mean", "epsilon"], ["safe"]),
        helper.make_node("Sqrt", ["safe"], ["root"]),
        helper.make_node("Div", ["x", "root"], ["normal"]),
        helper.make_node("Mul", ["normal", "scale"], ["y"]),
    ]
    x = normal(3, 8)
    constants = {"epsilon": np.array(1e-5, np.float32), "two": np.array(2, np.float32), "scale": normal(8)}
    options = onnxruntime.SessionOptions()  # noqa: TID251
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "m.onnx")
    onnxruntime.InferenceSession(model_of(nodes, x, constants).SerializeToString(), options)  # noqa: TID251
    optimised = onnx.load(tmp_path / "m.onnx")
    assert [(node.domain, node.op_type) for node in optimised.graph.node] == [("", "SimplifiedLayerNormalization")]
    agrees(optimised, x)
    assert set(build_torch_copy(optimised).weights()) == {"scale"}


def linear(n_rows: int, n_classes: int, transform: str) -> onnx.NodeProto:
    # Small positive scores, so that PROBIT is defined for them.
    return helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "y"],
        domain="ai.onnx.ml",
        coefficients=[float(v) for v in normal(6 * n_rows) / 20],
        intercepts=[float(v) for v in np.linspace(0.3, 0.6, n_rows)],
        classlabels_ints=list(range(n_classes)),
        post_transform=transform,
    )


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"])
@pytest.mark.parametrize(("n_rows", "n_classes"), [(1, 2), (2, 2), (3, 3)])
def test_linear_classifiers(n_rows: int, n_classes: int, transform: str) -> None:
    x = normal(7, 6)
    model = model_of([linear(n_rows, n_classes, transform)], x)
    if (n_rows, transform) == (1, "PROBIT"):
        # onnxruntime leaves half of the scores unwritten.
        with pytest.raises(ConversionError, match="PROBIT"):
            build_torch_copy(model)
        return
    # onnxruntime approximates the inverse of the error function by a formula that is right to three digits.
    agrees(model, x, atol=1e-3 if transform == "PROBIT" else 1e-5)


def test_one_row_decides_by_the_sign_of_its_score() -> None:
    node = linear(1, 2, "NONE")
    node.output[:] = ["l", "s"]
    x = np.linspace(-60, 60, 7 * 6, dtype=np.float32).reshape(7, 6)
    model = model_of([node, helper.make_node("Cast", ["l"], ["y"], to=onnx.TensorProto.FLOAT)], x)
    expected = answer(model, x)
    assert set(expected) == {0, 1}
    assert build_torch_copy(model)(torch.from_numpy(x)).tolist() == expected.tolist()


RESIZED = [
    # Lengths that do not divide evenly, and positions that lie between two values by rounding alone.
    {"mode": mode, "coordinate_transformation_mode": "align_corners"}
    for mode in ("linear", "cubic", "nearest")
] + [{"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}]


@pytest.mark.parametrize("scale", [0.4, 0.75, 1.5, 2.7])
@pytest.mark.parametrize("how", RESIZED, ids=lambda how: f"{how['mode']} {how['coordinate_transformation_mode']}")
def test_resizing_by_fractions(how: dict[str, str], scale: float) -> None:
    x = normal(1, 2, 5, 8)
    scales = np.array([1, 1, scale, max(scale, 1)], np.float32)
    agrees(model_of([helper.make_node("Resize", ["x", "", "s"], ["y"], **how)], x, {"s": scales}), x, atol=1e-4)


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("antialias", [0, 1])
def test_resizing_of_bytes(mode: str, antialias: int) -> None:
    x = RANDOM.integers(0, 256, (2, 3, 16, 16)).astype(np.uint8)
    nodes = [
        helper.make_node(
            "Resize", ["x", "", "s"], ["r"], mode="linear", coordinate_transformation_mode=mode, antialias=antialias
        ),
        helper.make_node("Cast", ["r"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    model = model_of(nodes, x, {"s": np.array([1, 1, 1.7, 0.6], np.float32)}, opset=18)
    expected, copy = answer(model, x), build_torch_copy(model)
    point = torch.from_numpy(x).float().requires_grad_(True)
    found = copy(point)
    difference = np.abs(found.detach().numpy() - expected)
    # Another order of summation ends on the other side of an integer now and then.
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 0.05 * difference.size
    with torch.no_grad():
        assert torch.equal(copy(point), found)
    assert float(torch.autograd.grad(found.sum(), point)[0].abs().max()) > 0


@pytest.mark.parametrize("n_examples", [1, 3])
def test_instance_normalisation_of_a_single_value(n_examples: int) -> None:
    x = normal(n_examples, 4, 1, 1)
    node = helper.make_node("InstanceNormalization", ["x", "scale", "bias"], ["y"])
    gradient = agrees(model_of([node], x, {"scale": normal(4), "bias": normal(4)}), x)
    assert not gradient.any()


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_shape": [1, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [1, 3], "auto_pad": "SAME_LOWER", "strides": [3, 2]},
        {"kernel_shape": [2, 3], "output_shape": [16, 12], "strides": [3, 2]},
        {"kernel_shape": [2, 3], "output_shape": [13, 14], "strides": [3, 2]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 1], "output_padding": [1, 0]},
    ],
)
def test_transposed_convolutions_of_given_size(options: dict[str, Any]) -> None:
    x = normal(2, 4, 5, 6)
    constants = {"w": normal(4, 3, *options["kernel_shape"]), "b": normal(3)}
    agrees(model_of([helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **options)], x, constants), x, atol=1e-4)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(
    ("op_type", "kernel", "stride", "dilation", "ceil_mode"),
    [
        ("MaxPool", 3, 2, 2, 0),
        ("MaxPool", 2, 3, 2, 1),
        ("AveragePool", 3, 2, 2, 0),
        ("AveragePool", 2, 3, 2, 1),
        ("AveragePool", 1, 3, 1, 0),
        ("LpPool", 1, 3, 1, 0),
    ],
)
def test_pooling_with_padding_by_the_runtime(
    op_type: str, kernel: int, stride: int, dilation: int, ceil_mode: int, auto_pad: str
) -> None:
    x = normal(2, 3, 9)
    node = helper.make_node(
        op_type,
        ["x"],
        ["y"],
        kernel_shape=[kernel],
        strides=[stride],
        dilations=[dilation],
        ceil_mode=ceil_mode,
        auto_pad=auto_pad,
    )
    agrees(model_of([node], x, opset=19), x)
