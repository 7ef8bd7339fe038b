"""Variants that are made on the graph: exact shares, exact grids, equal functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxfp.errors import ModelError, ParameterError
from onnxfp.variants import channels, laundering, precision, pruning, quantisation
from onnxfp.variants.weights import find_weights, normalise, with_weights
from tests.builders import build_model, declare

X = np.random.default_rng(3).random((16, 3, 8, 8), np.float32)

Make = Callable[..., onnx.ModelProto]
Array = NDArray[Any]


def scores(model: onnx.ModelProto, inputs: Array = X) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    (source,) = session.get_inputs()
    dtype = np.float16 if "16" in source.type else np.float32
    return np.asarray(session.run(None, {source.name: inputs.astype(dtype)})[0], np.float32)


def tensors(model: onnx.ModelProto) -> dict[str, Array]:
    return {weight.name: weight.values for weight in find_weights(normalise(model))}


def network(seed: int = 0, *, n_channels: int = 8) -> onnx.ModelProto:
    """A residual network with a depthwise convolution, batch normalisation, a constant node and a pooled head."""
    rng = np.random.default_rng(seed)

    def stored(name: str, *dims: int, positive: bool = False) -> onnx.TensorProto:
        values = rng.normal(size=dims) / np.sqrt(np.prod(dims[1:]) or 1)
        return numpy_helper.from_array((np.abs(values) + 0.5 if positive else values).astype(np.float32), name)

    c = n_channels
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    nodes = [
        helper.make_node("Constant", [], ["half"], value=scale),
        helper.make_node("Mul", ["image", "half"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"]),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1], group=c),
        helper.make_node("Clip", ["c2", "zero"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3"], ["c3"]),
        helper.make_node("Add", ["r1", "c3"], ["a1"]),
        helper.make_node("Relu", ["a1"], ["r3"]),
        helper.make_node("ReduceMean", ["r3", "axes"], ["p1"], keepdims=0),
        helper.make_node("Gemm", ["p1", "w4", "b4"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 7])],
        [
            *(stored("w1", c, 3, 3, 3), stored("b1", c), stored("g", c), stored("b", c), stored("m", c)),
            *(stored("v", c, positive=True), stored("w2", c, 1, 3, 3), stored("w3", c, c, 1, 1)),
            *(stored("w4", 7, c), stored("b4", 7), numpy_helper.from_array(np.array(0.0, np.float32), "zero")),
            numpy_helper.from_array(np.array([2, 3]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.mark.parametrize("prune", [pruning.prune_globally, pruning.prune_adaptively])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_global_share_is_exact(prune: Make, share: float) -> None:
    model = network()
    before, after = tensors(model), tensors(prune(model, share))
    n = sum(values.size for values in before.values())
    assert sum(int((values == 0).sum()) for values in after.values()) == round(share * n)
    for name, values in after.items():
        kept = values != 0
        assert np.array_equal(values[kept], before[name][kept])


def test_global_pruning_takes_the_smallest_weights_of_all() -> None:
    before, after = tensors(network()), tensors(pruning.prune_globally(network(), 0.4))
    gone = np.concatenate([np.abs(before[name][after[name] == 0]) for name in before])
    left = np.concatenate([np.abs(before[name][after[name] != 0]) for name in before])
    assert gone.max() <= left.min()


def test_adaptive_pruning_does_not_depend_on_a_layers_scale() -> None:
    model = network()
    scaled = with_weights(normalise(model), {"w3": tensors(model)["w3"] * 1000})
    one, other = tensors(pruning.prune_adaptively(model, 0.5)), tensors(pruning.prune_adaptively(scaled, 0.5))
    assert all(np.array_equal(one[name] == 0, other[name] == 0) for name in one)
    plain, moved = tensors(pruning.prune_globally(model, 0.5)), tensors(pruning.prune_globally(scaled, 0.5))
    assert not all(np.array_equal(plain[name] == 0, moved[name] == 0) for name in plain)


def test_a_share_of_each_layer_is_exact() -> None:
    for values in tensors(pruning.prune_layers(network(), 0.3)).values():
        assert (values == 0).sum() == round(0.3 * values.size)


def test_whole_channels_go_with_their_biases_and_classes_stay() -> None:
    model = network(n_channels=10)
    pruned = pruning.prune_channels(model, 0.3)
    before, after = tensors(model), tensors(pruned)
    for name in ("w1", "w2", "w3"):
        norms = np.sqrt(np.square(before[name]).reshape(10, -1).sum(1))
        gone = np.flatnonzero((after[name].reshape(10, -1) == 0).all(axis=1))
        assert sorted(gone) == sorted(np.argsort(norms)[:3])
    bias = next(numpy_helper.to_array(t) for t in pruned.graph.initializer if t.name == "b1")
    assert np.array_equal(bias == 0, (after["w1"].reshape(10, -1) == 0).all(axis=1))
    assert np.array_equal(after["w4"], before["w4"])


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
@pytest.mark.parametrize("prune", [pruning.prune_globally, pruning.prune_layers, pruning.prune_channels])
def test_a_share_out_of_range_is_refused(prune: Make, share: float) -> None:
    with pytest.raises(ParameterError, match=r"lies in \(0, 1\)"):
        prune(network(), share)


def test_too_few_channels_and_no_weights_are_said() -> None:
    with pytest.raises(ModelError, match="channels enough"):
        pruning.prune_channels(network(n_channels=4), 0.1)
    with pytest.raises(ModelError, match="no floating-point weights"):
        pruning.prune_globally(quantisation.quantise_statically(network(), [{"image": X}]), 0.5)


def test_weight_noise_has_the_scale_that_is_asked_for() -> None:
    model = network(n_channels=64)
    before, after = tensors(model)["w3"], tensors(precision.add_noise(model, 0.1, seed=1))["w3"]
    relative = (after - before).std() / np.sqrt(np.square(before).mean())
    # 4,096 weights: the standard error of a standard deviation is 1.1 %; five of them, p < 1e-6.
    assert relative == pytest.approx(0.1, rel=0.055)
    assert np.array_equal(after, tensors(precision.add_noise(model, 0.1, seed=1))["w3"])
    with pytest.raises(ParameterError, match="positive"):
        precision.add_noise(model, 0.0, seed=1)


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("per_channel", [True, False])
def test_rounded_weights_lie_on_a_grid(bits: int, per_channel: bool) -> None:
    model = network()
    before, after = tensors(model)["w1"], tensors(precision.round_weights(model, bits, per_channel=per_channel))["w1"]
    most = 2 ** (bits - 1) - 1
    for old, new in zip(before, after, strict=True) if per_channel else [(before, after)]:
        step = np.abs(old).max() / most
        assert np.allclose(new / step, np.rint(new / step), atol=1e-4)
        assert np.abs(new - old).max() <= step / 2 * 1.001
        assert len(np.unique(np.rint(new / step))) <= 2**bits - 1
    with pytest.raises(ParameterError, match="2 to 16 bits"):
        precision.round_weights(model, 1, per_channel=True)


def test_half_precision_reaches_from_input_to_output() -> None:
    model = network()
    half = precision.to_half(model)
    assert half.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    assert np.allclose(scores(half), scores(model), atol=2e-2)
    assert all(t.data_type != TensorProto.FLOAT16 for t in model.graph.initializer), "the base was modified"


def test_int8_copies_run_and_stay_close() -> None:
    model = network(n_channels=16)
    for copy in (
        quantisation.quantise_dynamically(model),
        quantisation.quantise_statically(model, [{"image": X[:8]}, {"image": X[8:]}]),
    ):
        assert any(t.data_type in (TensorProto.INT8, TensorProto.UINT8) for t in copy.graph.initializer)
        assert 0 < np.abs(scores(copy) - scores(model)).max() < 0.1 * np.abs(scores(model)).max()


def test_what_cannot_be_quantised_is_said() -> None:
    node = helper.make_node("Flatten", ["image"], ["logits"])
    model = build_model([node], [declare("image", ["N", 3])], [declare("logits", ["N", 3])])
    with pytest.raises(ModelError, match="finds nothing to quantise"):
        quantisation.quantise_dynamically(model)


LAUNDERINGS: dict[str, Make] = {
    "basic": lambda model: laundering.optimise(model, "basic"),
    "extended": lambda model: laundering.optimise(model, "extended"),
    "folded": laundering.fold_constants,
    "opset": lambda model: laundering.change_opset(model)[0],
    "renamed": lambda model: laundering.rename(model, seed=1),
    "permuted": lambda model: channels.permute_channels(model, seed=1),
}


@pytest.mark.parametrize("name", LAUNDERINGS)
def test_a_laundered_graph_computes_the_same(name: str) -> None:
    model = network()
    before = model.SerializeToString(deterministic=True)
    laundered = LAUNDERINGS[name](model)
    assert np.allclose(scores(laundered), scores(model), atol=1e-5)
    assert model.SerializeToString(deterministic=True) == before, "the base was modified"
    assert laundered.SerializeToString(deterministic=True) != before


def test_optimisation_fuses_and_folding_folds() -> None:
    kinds = [node.op_type for node in laundering.optimise(network(), "basic").graph.node]
    assert "BatchNormalization" not in kinds
    model = network()
    model.graph.node.insert(0, helper.make_node("Exp", ["b1"], ["e1"]))
    model.graph.node.insert(1, helper.make_node("Log", ["e1"], ["l1"]))
    model.graph.node[4].input[2] = "l1"
    folded = laundering.fold_constants(model)
    assert not {"Exp", "Log", "Constant"} & {node.op_type for node in folded.graph.node}
    assert np.allclose(scores(folded), scores(model), atol=1e-5)


def test_another_opset_is_another_opset() -> None:
    converted, opset = laundering.change_opset(network())
    assert converted.opset_import[0].version == opset != 18


def test_renaming_leaves_no_name_and_keeps_what_it_is_told_to_keep() -> None:
    model = network()
    old = {t.name for t in model.graph.initializer} | {name for node in model.graph.node for name in node.output}
    renamed = laundering.rename(model, seed=1, keep={"image"})
    new = {t.name for t in renamed.graph.initializer} | {name for node in renamed.graph.node for name in node.output}
    assert not old & new
    assert [value.name for value in renamed.graph.input] == ["image"]


def test_renaming_follows_names_into_subgraphs() -> None:
    def branch(sign: float, name: str) -> onnx.GraphProto:
        nodes = [
            helper.make_node("Constant", [], [f"k{name}"], value=numpy_helper.from_array(np.array(sign, np.float32)))
        ]
        nodes.append(helper.make_node("Mul", ["flat", f"k{name}"], [f"out{name}"]))
        return helper.make_graph(
            nodes, name, [], [helper.make_tensor_value_info(f"out{name}", TensorProto.FLOAT, None)]
        )

    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("ReduceSum", ["flat"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["is_large"]),
        helper.make_node("If", ["is_large"], ["logits"], then_branch=branch(2, "a"), else_branch=branch(3, "b")),
    ]
    image, logits = declare("image", ["N", 3, 8, 8]), declare("logits", ["N", 192])
    model = build_model(nodes, [image], [logits], {"zero": np.array(0, np.float32)})
    for seed in range(5):
        assert np.array_equal(scores(laundering.rename(model, seed)), scores(model))


def test_permuting_moves_every_hidden_weight_and_respects_what_it_does_not_know() -> None:
    model = network()
    before, after = tensors(model), tensors(channels.permute_channels(model, seed=1))
    assert all(not np.array_equal(before[name], after[name]) for name in before)
    # The same with a node that mixes channels after the addition: that group must stay as it is.
    position = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "r3")
    model.graph.node.insert(position, helper.make_node("Softmax", ["a1"], ["s1"], axis=1))
    model.graph.node[position + 1].input[0] = "s1"
    with pytest.raises(ModelError, match="no hidden channels"):
        channels.permute_channels(model, seed=1)


def test_permuting_goes_through_a_flattened_layer(make_classifier: Make) -> None:
    model = make_classifier(seed=0)
    permuted = channels.permute_channels(model, seed=1)
    assert np.allclose(scores(permuted), scores(model), atol=1e-4)
    before, after = tensors(model), tensors(permuted)
    assert not np.array_equal(before["w2"], after["w2"])
    # A channel's four pixels stay together.
    columns = [before["w2"][:, i : i + 4].tobytes() for i in range(0, 64, 4)]
    assert sorted(columns) == sorted(after["w2"][:, i : i + 4].tobytes() for i in range(0, 64, 4))


@pytest.mark.parametrize("is_first", [True, False])
def test_a_gate_of_one_channel_has_no_part_in_the_order_of_many(is_first: bool) -> None:
    model = network()
    rng = np.random.default_rng(2)
    gate = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("wg", (1, 8, 3, 3)), ("bg", (1,)))
    ]
    model.graph.initializer.extend(gate)
    position = next(i for i, node in enumerate(model.graph.node) if node.op_type == "ReduceMean")
    operands = ["gate", "r3"] if is_first else ["r3", "gate"]
    for node in (
        helper.make_node("Mul", operands, ["gated"]),
        helper.make_node("Sigmoid", ["g1"], ["gate"]),
        helper.make_node("Conv", ["r3", "wg", "bg"], ["g1"], pads=[1, 1, 1, 1]),
    ):
        model.graph.node.insert(position, node)
    next(node for node in model.graph.node if node.op_type == "ReduceMean").input[0] = "gated"
    permuted = channels.permute_channels(model, seed=1)
    assert np.allclose(scores(permuted), scores(model), atol=1e-5)
    before, after = tensors(model), tensors(permuted)
    assert all(not np.array_equal(before[name], after[name]) for name in before)


def test_channels_that_meet_other_axes_stay_as_they_are() -> None:
    model = network()
    model.graph.initializer.append(numpy_helper.from_array(np.eye(8, dtype=np.float32), "we"))
    position = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Add")
    model.graph.node[position].input[1] = "row"
    # Eight features beside each other, which the addition lays along the width of eight channels of eight rows.
    for node in (
        helper.make_node("Gemm", ["pooled", "we"], ["row"]),
        helper.make_node("ReduceMean", ["c3", "axes"], ["pooled"], keepdims=0),
    ):
        model.graph.node.insert(position, node)
    # A mean would be the same in whatever order the width is.
    next(node for node in model.graph.node if node.output[0] == "p1").op_type = "ReduceMax"
    single = X[:1]
    permuted = channels.permute_channels(model, seed=1)
    assert np.allclose(scores(permuted, single), scores(model, single), atol=1e-5)


def test_a_layer_that_takes_other_channels_than_there_are_is_said() -> None:
    model = with_weights(network(), {"w4": np.zeros((7, 9), np.float32)})
    with pytest.raises(ModelError, match="'w4' does not have the 8 channels of 'p1' on axis 1"):
        channels.permute_channels(model, seed=1)


def test_a_weight_that_two_layers_share_is_not_permuted() -> None:
    model = network()
    conv = next(node for node in model.graph.node if node.output[0] == "c3")
    twice = helper.make_node("Conv", ["c3", conv.input[1]], ["c4"])
    position = list(model.graph.node).index(conv) + 1
    model.graph.node.insert(position, twice)
    model.graph.node[position + 1].input[1] = "c4"
    with pytest.raises(ModelError, match="no hidden channels"):
        channels.permute_channels(model, seed=1)


def test_stored_types_and_computed_constants_are_written_back() -> None:
    half = precision.to_half(network())
    pruned = pruning.prune_globally(half, 0.5)
    assert {t.name: t.data_type for t in normalise(half).graph.initializer} == {
        t.name: t.data_type for t in pruned.graph.initializer
    }
    model = network()
    model.graph.node.insert(0, helper.make_node("Neg", ["w4"], ["minus"]))
    next(node for node in model.graph.node if node.op_type == "Gemm").input[1] = "minus"
    stored = with_weights(normalise(model), {"minus": tensors(network())["w4"]})
    assert np.allclose(scores(stored), scores(network()), atol=1e-6)


def test_weights_of_subgraphs_and_in_attributes_are_written_back() -> None:
    def branch(name: str, own: str) -> onnx.GraphProto:
        weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), own)
        nodes = [
            helper.make_node("Constant", [], [f"{name}_c"], value=numpy_helper.from_array(np.ones(4, np.float32))),
            helper.make_node("MatMul", ["x", own], [f"{name}_m"]),
            helper.make_node("Mul", [f"{name}_m", f"{name}_c"], [name]),
        ]
        return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=name)], [weight])

    def model_of(other: str) -> onnx.ModelProto:
        nodes = [
            helper.make_node("If", ["yes"], ["h"], then_branch=branch("a", "w"), else_branch=branch("b", other)),
            helper.make_node(
                "LinearClassifier",
                ["h"],
                ["label", "y"],
                domain="ai.onnx.ml",
                coefficients=[1.0] * 8,
                intercepts=[0.0, 0.0],
                classlabels_ints=[0, 1],
            ),
        ]
        x, y = declare("x", ["N", 4]), declare("y", ["N", 2])
        return build_model(nodes, [x], [y], {"yes": np.array(True)}, domains={"ai.onnx.ml": 1})

    values: dict[str, Array] = {
        "w": np.diag([1.0, 2.0, 3.0, 4.0]),
        "a_c": np.full(4, 10, np.float32),
        "label.coefficients": np.arange(8.0),
    }
    stored = with_weights(model_of("v"), values)
    assert scores(stored, np.ones((1, 4), np.float32)).tolist() == [[200.0, 600.0]]
    with pytest.raises(ModelError, match="stores the weight 'w' 2 times"):
        with_weights(model_of("w"), values)
    with pytest.raises(ModelError, match="stores the weight 'w#2' 0 times"):
        with_weights(model_of("w"), {"w#2": values["w"]})
