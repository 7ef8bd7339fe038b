"""Weights of a graph: found wherever an exporter left them, and only where they are weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxfp.errors import ModelError
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.variants import pruning
from onnxfp.variants.weights import find_weights, normalise
from tests.builders import build_model, declare

RNG = np.random.default_rng(9)
X = RNG.random((6, 3, 8, 8), np.float32)

Array = NDArray[Any]


def normal(*dims: int, dtype: type = np.float32) -> Array:
    return (RNG.normal(size=dims) / 3).astype(dtype)


def model_of(nodes: list[onnx.NodeProto], **stored: Array) -> onnx.ModelProto:
    image, logits = declare("image", ["N", 3, 8, 8]), declare("logits", ["N", 5])
    return build_model(nodes, [image], [logits], stored, domains={"com.microsoft": 1})


def scores(model: onnx.ModelProto) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    return np.asarray(session.run(None, {"image": X})[0])


def computed() -> onnx.ModelProto:
    """Weights behind a node each, one of them taken by two layers."""
    kernel = numpy_helper.from_array(normal(6, 6, 3, 3))
    node = helper.make_node
    nodes = [
        node("Identity", ["w1"], ["w1_same"]),
        node("Identity", ["b1"], ["b1_same"]),
        node("Conv", ["image", "w1_same", "b1_same"], ["c1"], pads=[1, 1, 1, 1]),
        node("Cast", ["w2"], ["w2_wide"], to=TensorProto.FLOAT),
        node("Conv", ["c1", "w2_wide"], ["c2"], pads=[1, 1, 1, 1]),
        node("Constant", [], ["kernel"], value=kernel),
        node("Identity", ["kernel"], ["kernel_same"]),
        node("Conv", ["c2", "kernel"], ["c3"]),
        node("Conv", ["c3", "kernel_same"], ["c4"]),
        node("GlobalAveragePool", ["c4"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Transpose", ["w3"], ["w3_turned"]),
        node("MatMul", ["flat", "w3_turned"], ["hidden"]),
        node("MatMul", ["down", "up"], ["low_rank"]),
        node("Add", ["w4", "low_rank"], ["w4_adapted"]),
        node("Gemm", ["hidden", "w4_adapted"], ["logits"], transB=1),
    ]
    stored = {"w1": normal(6, 3, 3, 3), "b1": normal(6), "w2": normal(6, 6, 3, 3, dtype=np.float16)}
    return model_of(nodes, **stored, w3=normal(7, 6), down=normal(5, 2), up=normal(2, 7), w4=normal(5, 7))


def test_weights_are_found_behind_what_computes_them() -> None:
    model = computed()
    before = model.SerializeToString(deterministic=True)
    normal_form = normalise(model)
    assert model.SerializeToString(deterministic=True) == before, "the base was modified"
    assert np.allclose(scores(normal_form), scores(model), atol=1e-5)
    found = {weight.name: weight.values.shape for weight in find_weights(normal_form)}
    assert found == {
        "w1": (6, 3, 3, 3),
        "w2_wide": (6, 6, 3, 3),
        "kernel": (6, 6, 3, 3),
        "w3_turned": (6, 7),
        "w4_adapted": (5, 7),
    }
    stored = {tensor.name for tensor in normal_form.graph.initializer}
    assert stored == {*found, "b1_same"}
    for weight in find_weights(pruning.prune_layers(model, 0.5)):
        assert (weight.values == 0).sum() == round(0.5 * weight.values.size)


def test_a_graph_in_its_form_stays_as_it_is() -> None:
    once = normalise(computed())
    assert normalise(once).SerializeToString(deterministic=True) == once.SerializeToString(deterministic=True)


@pytest.mark.parametrize("way", ["scale", "palette", "cast"])
def test_quantised_weights_stay_quantised(way: str) -> None:
    node = helper.make_node
    integers = RNG.integers(-9, 9, (192, 5)).astype(np.int8)
    steps = {
        "scale": [node("DequantizeLinear", ["w", "s"], ["w_read"])],
        "palette": [node("Gather", ["s", "w"], ["w_read"])],
        "cast": [node("Cast", ["w"], ["w_wide"], to=TensorProto.FLOAT), node("Mul", ["w_wide", "s"], ["w_read"])],
    }[way]
    nodes = [node("Flatten", ["image"], ["flat"]), *steps, node("MatMul", ["flat", "w_read"], ["logits"])]
    stored = {
        "w": integers.astype(np.int64) + 9 if way == "palette" else integers,
        "s": normal(18) if way == "palette" else np.array(0.1, np.float32),
    }
    model = model_of(nodes, **stored)
    assert np.isfinite(scores(model)).all()
    assert normalise(model).SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)
    with pytest.raises(ModelError, match="no floating-point weights"):
        pruning.prune_globally(model, 0.5)


def test_what_expands_to_a_large_tensor_stays_computed() -> None:
    node = helper.make_node
    nodes = [
        node("Flatten", ["image"], ["flat"]),
        node("Expand", ["row", "shape"], ["large"]),
        node("MatMul", ["flat", "large"], ["wide"]),
        node("MatMul", ["wide", "w"], ["logits"]),
    ]
    model = model_of(nodes, row=normal(1, 1000), shape=np.array([192, 1000]), w=normal(1000, 5))
    normal_form = normalise(model)
    assert normal_form.ByteSize() == model.ByteSize()
    assert [weight.name for weight in find_weights(normal_form)] == ["w"]


@pytest.mark.parametrize(
    ("equation", "shapes", "axes"),
    [
        ("nd,dk->nk", ("flat", (192, 5)), {"w1": 1}),
        ("kd,nd -> nk", ((5, 192), "flat"), {"w0": 0}),
        ("nd,dk", ("flat", (192, 5)), {"w1": 1}),
        ("...d,dk->...k", ("flat", (192, 5)), {"w1": 1}),
        ("nd,dr,rk->nk", ("flat", (192, 2), (2, 5)), {"w1": None, "w2": 1}),
        ("nd,dhk->nhk", ("flat", (192, 1, 5)), {"w1": None}),
    ],
)
def test_operands_of_einsum_are_weights(
    equation: str, shapes: tuple[str | tuple[int, ...], ...], axes: dict[str, int | None]
) -> None:
    names = [shape if isinstance(shape, str) else f"w{i}" for i, shape in enumerate(shapes)]
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Einsum", names, ["summed"], equation=equation),
        helper.make_node("Reshape", ["summed", "shape"], ["logits"]),
    ]
    stored = {f"w{i}": normal(*shape) for i, shape in enumerate(shapes) if not isinstance(shape, str)}
    model = model_of(nodes, **stored, shape=np.array([-1, 5]))
    assert {weight.name: weight.channel_axis for weight in find_weights(normalise(model))} == axes
    pruned = pruning.prune_globally(model, 0.5)
    assert sum(int((weight.values == 0).sum()) for weight in find_weights(pruned)) > 0
    assert np.isfinite(scores(pruned)).all()
    assert set(build_torch_copy(model).weights()) == set(axes)


def test_the_weight_of_onnxruntimes_attention_is_one() -> None:
    nodes = [
        helper.make_node("Reshape", ["image", "tokens"], ["sequence"]),
        helper.make_node("Attention", ["sequence", "w", "b"], ["mixed"], domain="com.microsoft", num_heads=2),
        helper.make_node("ReduceMean", ["mixed"], ["pooled"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    model = model_of(nodes, tokens=np.array([-1, 8, 24]), w=normal(24, 72), b=normal(72), head=normal(24, 5))
    assert {weight.name: weight.channel_axis for weight in find_weights(normalise(model))} == {"w": 1, "head": 1}
    assert set(build_torch_copy(model).weights()) == {"w", "b", "head"}
    pruned = pruning.prune_channels(model, 0.25)
    weight, bias = (numpy_helper.to_array(t) for name in "wb" for t in pruned.graph.initializer if t.name == name)
    assert (weight == 0).all(axis=0).sum() == 18
    assert np.array_equal((weight == 0).all(axis=0), bias == 0)
    assert np.isfinite(scores(pruned)).all()


def test_a_pruned_channel_is_zero_behind_its_batch_normalisation_and_its_added_bias() -> None:
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"]),
        node("Conv", ["n1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        node("Add", ["by_column", "c2"], ["along_the_width"]),
        node("Add", ["along_the_width", "unrelated"], ["shifted"]),
        node("Conv", ["shifted", "w3"], ["c3"]),
        node("Add", ["by_channel", "c3"], ["a3"]),
        node("GlobalAveragePool", ["a3"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "w4"], ["hidden"]),
        node("Add", ["hidden", "b4"], ["a4"]),
        node("Gemm", ["a4", "w5"], ["h5"]),
        node("BatchNormalization", ["h5", "shared", "shared", "mean", "variance"], ["n5"]),
        node("MatMul", ["n5", "head"], ["logits"]),
    ]
    statistics = {"mean": normal(8), "variance": np.full(8, 0.5, np.float32)}
    model = model_of(
        nodes,
        w1=normal(8, 3, 3, 3),
        b1=normal(8),
        scale=normal(8),
        shift=normal(8),
        **statistics,
        w2=normal(8, 8, 3, 3),
        by_column=normal(8),
        unrelated=normal(1, 8, 1, 1),
        w3=normal(8, 8, 1, 1),
        by_channel=normal(1, 8, 1, 1),
        w4=normal(8, 8),
        b4=normal(1, 8),
        w5=normal(8, 8),
        shared=normal(8),
        head=normal(8, 5),
    )
    pruned = pruning.prune_channels(model, 0.25)
    after = {tensor.name: numpy_helper.to_array(tensor) for tensor in pruned.graph.initializer}
    gone = {name for name, values in after.items() if (values == 0).sum() in (2, 2 * 8, 2 * 8 * 9, 2 * 3 * 9)}
    assert gone == {"w1", "b1", "scale", "shift", "w2", "w3", "by_channel", "w4", "b4", "w5"}
    for value, axis in (("n1", 1), ("a3", 1), ("a4", 1)):
        shown = onnx.ModelProto.FromString(pruned.SerializeToString())
        shown.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
        session = onnxruntime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
        found = session.run([value], {"image": X})[0]
        others = tuple(a for a in range(found.ndim) if a != axis)
        assert (found == 0).all(axis=others).sum() == 2, value
