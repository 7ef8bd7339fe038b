"""The torch copy: frozen, movable, complete in what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from onnxfp.crafting.weight_noise import WeightNoise
from onnxfp.errors import ConversionError
from onnxfp.torch_copy.copy import build_torch_copy
from tests.builders import build_model, declare


def model_of(nodes: list[onnx.NodeProto], *initializers: onnx.TensorProto, opset: int = 17) -> onnx.ModelProto:
    return build_model(nodes, [declare("x", ["N", 4])], [declare("y")], initializers, opset=opset)


def test_weights_are_named_as_in_the_model_and_frozen(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    copy = build_torch_copy(make_classifier())
    assert set(copy.weights()) == {"w1", "w2", "b2"}
    assert not copy.training
    assert not any(p.requires_grad for p in copy.parameters())


def test_only_the_input_gets_a_gradient(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    copy = build_torch_copy(make_classifier())
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    copy(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert all(p.grad is None for p in copy.parameters())


def test_everything_that_cannot_be_converted_is_named_at_once() -> None:
    nodes = [
        helper.make_node("StringNormalizer", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="fine"),
        helper.make_node("Multinomial", ["b"], ["y"], name="second"),
    ]
    with pytest.raises(ConversionError) as raised:
        build_torch_copy(model_of(nodes))
    assert "'first' (StringNormalizer)" in str(raised.value)
    assert "'second' (Multinomial)" in str(raised.value)
    assert "fine" not in str(raised.value)
    assert raised.value.hint


def test_a_node_that_nobody_needs_may_be_anything() -> None:
    nodes = [helper.make_node("StringNormalizer", ["x"], ["a"]), helper.make_node("Relu", ["x"], ["y"])]
    assert build_torch_copy(model_of(nodes))(torch.tensor([[-1.0, 2.0, 0.0, 3.0]])).tolist() == [[0, 2, 0, 3]]


def test_a_node_that_fails_is_named() -> None:
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [5, 7])
    copy = build_torch_copy(model_of([helper.make_node("Reshape", ["x", "s"], ["y"], name="bend")], shape))
    with pytest.raises(ConversionError, match="'bend'"):
        copy(torch.zeros(2, 4))


def test_unusable_attributes_are_named() -> None:
    with pytest.raises(ConversionError, match="'pool'"):
        build_torch_copy(model_of([helper.make_node("MaxPool", ["x"], ["y"], name="pool")]))


def test_an_operator_version_of_the_future_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxfp.torch_copy.graph.schema_version", lambda *_: 99)
    with pytest.raises(ConversionError, match="version 99"):
        build_torch_copy(model_of([helper.make_node("Relu", ["x"], ["y"])]))


def test_constants_are_folded_and_forgotten(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    a = helper.make_tensor("a", 1, [4], [1.0, 2.0, 3.0, 4.0])
    nodes = [
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Neg", ["b"], ["c"]),
        helper.make_node("Mul", ["x", "c"], ["y"]),
    ]
    copy = build_torch_copy(model_of(nodes, a))
    assert [step.node.op_type for step in copy._graph.steps] == ["Mul"]
    assert set(copy._graph.constants) == {"c"}
    np.testing.assert_allclose(copy(torch.ones(1, 4)).numpy(), [-np.exp([1, 2, 3, 4])], rtol=1e-6)


def test_model_local_functions_are_inlined() -> None:
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="local")], "g", [declare("x", ["N", 2])], [declare("y")]
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=8)
    assert build_torch_copy(model)(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_one_input_remains() -> None:
    nodes = [helper.make_node("Mul", ["x", "t"], ["y"])]
    model = model_of(nodes)
    model.graph.input.append(declare("t", [1]))
    with pytest.raises(ConversionError, match="one input is needed"):
        build_torch_copy(model)
    copy = build_torch_copy(model, fixed={"t": np.array([3.0], np.float32)})
    assert copy(torch.ones(1, 4)).tolist() == [[3.0] * 4]


def test_a_model_in_half_precision_stays_as_it_is(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    model = make_classifier(element=TensorProto.FLOAT16)
    before = model.SerializeToString(deterministic=True)
    assert build_torch_copy(model).computes_in_float32
    assert model.SerializeToString(deterministic=True) == before


def test_a_model_without_halves_is_not_copied(
    monkeypatch: pytest.MonkeyPatch, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    # Twice the memory of a large model.
    monkeypatch.delattr("onnxfp.torch_copy.copy._with_wide_halves")
    assert not build_torch_copy(make_classifier()).computes_in_float32


def normalised(output: str) -> onnx.ModelProto:
    """Return a model with a node whose second output the torch copy does not compute."""
    scale = helper.make_tensor("scale", 1, [4], [1.0] * 4)
    node = helper.make_node(
        "SimplifiedLayerNormalization",
        ["x", "scale"],
        ["n", "inverse"],
        name="norm",
        domain="com.microsoft",
        epsilon=0.0,
    )
    model = model_of([node, helper.make_node("Relu", [output], ["y"])], scale)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def test_an_output_that_nobody_uses_may_be_named() -> None:
    assert build_torch_copy(normalised("n"))(torch.tensor([[2.0, -2.0, 2.0, 2.0]])).tolist() == [[1, 0, 1, 1]]


def test_an_output_that_is_used_and_not_computed_is_named() -> None:
    copy = build_torch_copy(normalised("inverse"))
    with pytest.raises(ConversionError, match=r"'norm' \(.*SimplifiedLayerNormalization\): .* output 'inverse'"):
        copy(torch.zeros(1, 4))


def test_batch_normalisation_that_names_its_outputs_of_training_is_refused() -> None:
    vectors = [helper.make_tensor(name, 1, [4], [1.0] * 4) for name in "sbmv"]
    node = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y", *"cdef"], name="norm")
    with pytest.raises(ConversionError, match=r"'norm' .* exported for training"):
        build_torch_copy(model_of([node], *vectors, opset=9))


def scanned() -> onnx.ModelProto:
    """Return a model whose body of a loop stores a weight, and which makes a matrix from the shape of its input."""
    weight = helper.make_tensor("w", 1, [4, 4], np.eye(4).ravel())
    body = helper.make_graph(
        [helper.make_node("MatMul", ["row", "w"], ["out"])],
        "b",
        [declare("row", [4])],
        [declare("out", [4])],
        [weight],
    )
    shape = [helper.make_tensor(n, TensorProto.INT64, [], [v]) for n, v in (("zero", 0), ("one", 1))]
    nodes = [
        helper.make_node("Scan", ["x"], ["s"], body=body, num_scan_inputs=1),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["c"], value=helper.make_tensor("v", 1, [1], [2.0])),
        helper.make_node("Transpose", ["c"], ["t"]),
        helper.make_node("MatMul", ["s", "t"], ["m"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Range", ["zero", "n", "one"], ["r"]),
        helper.make_node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["m", "f"], ["y"]),
    ]
    return model_of(nodes, *shape)


def test_everything_moves_with_the_copy() -> None:
    copy, x = build_torch_copy(scanned()), torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
    assert copy(x).tolist() == [20.0, 2.0]
    y = copy.double()(x.double())
    assert (y.dtype, y.tolist()) == (torch.float64, [20.0, 2.0])
    assert copy.float()(x).dtype == torch.float32
    # The meta device stands for any other than the CPU.
    copy.to("meta")
    assert copy.device.type == "meta"
    assert copy(x.to("meta")).device.type == "meta"


def branching(**stored: list[float]) -> onnx.ModelProto:
    """Return a model whose branches multiply by weights: one from outside, and in each branch one of its own."""

    def branch(name: str, weight: str) -> onnx.GraphProto:
        own = helper.make_tensor(weight, 1, [4, 4], stored[name])
        nodes = [
            helper.make_node("MatMul", ["x", weight], [f"{name}_m"]),
            helper.make_node("MatMul", [f"{name}_m", "shared"], [name]),
        ]
        return helper.make_graph(nodes, name, [], [declare(name)], [own])

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["is_positive"]),
        helper.make_node("If", ["is_positive"], ["y"], then_branch=branch("a", "w"), else_branch=branch("b", "w")),
    ]
    shared = helper.make_tensor("shared", 1, [4, 2], [1.0] * 8)
    return model_of(nodes, shared, helper.make_tensor("zero", 1, [], [0.0]))


def test_weights_of_subgraphs_are_weights() -> None:
    copy = build_torch_copy(branching(a=[1.0] * 16, b=[2.0] * 16))
    weights = copy.weights()
    assert {name: float(weight[0, 0]) for name, weight in weights.items()} == {"shared": 1.0, "w": 2.0, "w#2": 1.0}
    x = torch.ones(1, 4)
    assert [copy(x).tolist(), copy(-x).tolist()] == [[[16.0, 16.0]], [[-32.0, -32.0]]]
    with WeightNoise(weights.values(), 0.1, torch.Generator().manual_seed(0)).perturbed():
        assert 0 < abs(float(copy(x)[0, 0]) - 16) < 4
    assert copy(x).tolist() == [[16.0, 16.0]]


def test_weights_in_attributes_are_weights() -> None:
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "y"],
        domain="ai.onnx.ml",
        coefficients=[1.0] * 12,
        intercepts=[0.5] * 3,
        classlabels_ints=[0, 1, 2],
    )
    model = model_of([node])
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    copy = build_torch_copy(model)
    assert set(copy.weights()) == {"label.coefficients", "label.intercepts"}
    with torch.no_grad():
        copy.weights()["label.coefficients"][-4:] *= 2
    assert copy(torch.ones(1, 4)).tolist() == [[4.5, 4.5, 8.5]]
    assert copy.double()(torch.ones(1, 4).double()).dtype == torch.float64


def quantised(layer: str) -> onnx.ModelProto:
    """Return a model with a dense layer of integers."""
    tensors = [
        helper.make_tensor("w", TensorProto.UINT8, [4, 2], [130, 100, 131, 101, 132, 102, 133, 103]),
        helper.make_tensor("w_zero", TensorProto.UINT8, [2], [128, 100]),
        helper.make_tensor("scale", 1, [], [0.125]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [8]),
    ]
    if layer == "MatMulInteger":
        nodes = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "q_scale", "q_zero"]),
            helper.make_node("MatMulInteger", ["q", "w", "q_zero", "w_zero"], ["i"]),
            helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["f", "q_scale"], ["y"]),
        ]
    else:
        tensors.append(helper.make_tensor("w_scale", 1, [2], [0.125, 0.25]))
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("QLinearMatMul", ["q", "scale", "zero", "w", "w_scale", "w_zero", "scale", "zero"], ["i"]),
            helper.make_node("DequantizeLinear", ["i", "scale", "zero"], ["y"]),
        ]
    return model_of(nodes, *tensors, opset=13)


@pytest.mark.parametrize("layer", ["MatMulInteger", "QLinearMatMul"])
def test_weights_of_quantised_layers_are_levels_less_their_zero_point(layer: str) -> None:
    model = quantised(layer)
    copy = build_torch_copy(model)
    assert copy.levels == set(copy.weights()) == {"w.levels"}
    assert copy.weights()["w.levels"].tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    with torch.no_grad():
        np.testing.assert_allclose(copy(torch.from_numpy(x)), session.run(["y"], {"x": x})[0], atol=1e-5)
    point = torch.from_numpy(x).requires_grad_(True)
    before = copy(point).detach()
    with WeightNoise(copy.weights().values(), 0.3, torch.Generator().manual_seed(0)).perturbed():
        assert not torch.equal(copy(point).detach(), before)
