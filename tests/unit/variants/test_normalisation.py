"""Channel statistics: what is measured, what is given, and that a repaired copy stays pruned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxfp.errors import ModelError
from onnxfp.types import InputSpec, OutputSpec
from onnxfp.variants import normalisation, precision, pruning
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.catalogue import list_variants
from onnxfp.variants.weights import find_weights, normalise
from tests.builders import build_model, declare

Array = NDArray[np.float32]
RNG = np.random.default_rng(5)
X = RNG.random((64, 3, 8, 8), np.float32)
C = 6


def network(*, opset: int = 18) -> onnx.ModelProto:
    """A convolution with batch normalisation, a depthwise one without a bias, and a pooled head."""

    def stored(name: str, *dims: int) -> onnx.TensorProto:
        return numpy_helper.from_array(RNG.normal(size=dims).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"], epsilon=1e-5),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], group=C),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["logits"], transB=1),
    ]
    # Channels that a Relu leaves alive: a dead one has no deviation that could be scaled.
    shift = numpy_helper.from_array(np.full(C, 2, np.float32), "b")
    variance = numpy_helper.from_array(RNG.random(C).astype(np.float32) + 0.5, "v")
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])],
        [
            *(stored("w1", C, 3, 3, 3), stored("b1", C), stored("g", C), shift, stored("m", C), variance),
            *(stored("w2", C, 1, 3, 3), stored("w3", 5, C), stored("b3", 5)),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def values(model: onnx.ModelProto, *names: str, inputs: Array = X) -> list[Array]:
    """Return values inside a graph."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    return [np.asarray(value) for value in session.run(list(names), {"image": inputs})]


def statistics(channels: Array) -> tuple[Array, Array]:
    return channels.mean((0, 2, 3)), channels.var((0, 2, 3))


@pytest.mark.parametrize("opset", [13, 18])
def test_measured_statistics_are_those_of_the_values(opset: int) -> None:
    model = network(opset=opset)
    found = normalisation.measure_channels(normalise(model), [{"image": X}])
    for name, channels in zip(("c1", "c2"), values(model, "c1", "c2"), strict=True):
        mean, variance = statistics(channels)
        assert np.allclose(found[name].mean, mean, atol=1e-5)
        assert np.allclose(found[name].variance, variance, rtol=1e-4)
    assert set(found) == {"c1", "c2"}


def test_a_copy_has_the_statistics_that_it_is_given() -> None:
    model = network()
    targets = {
        name: normalisation.Statistics(RNG.normal(size=C).astype(np.float32), RNG.random(C).astype(np.float32) + 0.1)
        for name in ("c1", "c2")
    }
    changed = normalisation.give_statistics(model, [{"image": X}], targets)
    for name, channels in zip(targets, values(changed, *targets), strict=True):
        mean, variance = statistics(channels)
        assert np.allclose(mean, targets[name].mean, atol=1e-4)
        assert np.allclose(variance, targets[name].variance, rtol=1e-3)


def test_re_estimated_normalisation_is_that_of_a_network_in_training() -> None:
    model = network()
    stored = normalisation.stored_statistics(normalise(model))
    changed = normalisation.give_statistics(model, [{"image": X}], stored)
    ((before,), (after,)) = values(model, "c1"), values(changed, "n1")
    mean, variance = (part.reshape(1, -1, 1, 1) for part in statistics(before))
    scale, shift = (
        numpy_helper.to_array(tensor).reshape(1, -1, 1, 1)
        for name in ("g", "b")
        for tensor in model.graph.initializer
        if tensor.name == name
    )
    assert np.allclose(after, (before - mean) / np.sqrt(variance + 1e-5) * scale + shift, atol=1e-4)
    assert set(stored) == {"c1"}, "what is not normalised stays as it is"


def test_statistics_of_its_own_leave_a_model_as_it_is() -> None:
    model = network()
    own = normalisation.measure_channels(normalise(model), [{"image": X}])
    changed = normalisation.give_statistics(model, [{"image": X}], own)
    ((before,), (after,)) = values(model, "logits"), values(changed, "logits")
    assert np.allclose(before, after, atol=1e-4)


def test_layers_that_share_their_weights_are_each_measured_and_repaired() -> None:
    model = network()
    position = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "r2")
    model.graph.node[position].input[0] = "c3"
    model.graph.node.insert(position, helper.make_node("Conv", ["r", "w2"], ["c3"], group=C))
    model.graph.node.insert(position, helper.make_node("Relu", ["c2"], ["r"]))
    own = normalisation.measure_channels(normalise(model), [{"image": X}])
    assert set(own) == {"c1", "c2", "c3"}
    repaired = normalisation.give_statistics(pruning.prune_layers(model, 0.3), [{"image": X}], own)
    for name, channels in zip(own, values(repaired, *own), strict=True):
        assert np.allclose(statistics(channels)[0], own[name].mean, atol=1e-3)


def test_a_computed_bias_is_repaired_and_one_of_the_input_is_said() -> None:
    model = network()
    model.graph.node.insert(0, helper.make_node("Identity", ["b1"], ["same"]))
    model.graph.node[1].input[2] = "same"
    own = normalisation.measure_channels(normalise(model), [{"image": X}])
    changed = normalisation.give_statistics(model, [{"image": X}], own)
    assert np.allclose(values(model, "logits")[0], values(changed, "logits")[0], atol=1e-4)
    first = helper.make_node("ReduceMean", ["image"], ["level"], keepdims=0)
    model.graph.node[0].CopyFrom(helper.make_node("Add", ["b1", "level"], ["same"]))
    model.graph.node.insert(0, first)
    with pytest.raises(ModelError, match="bias of the convolution that makes 'c1' is no stored tensor: 'same'"):
        normalisation.measure_channels(normalise(model), [{"image": X}])


def test_half_precision_stays_half() -> None:
    half = precision.to_half(network())
    feeds = [{"image": X.astype(np.float16)}]
    found = normalisation.measure_channels(normalise(half), feeds)
    changed = normalisation.give_statistics(half, feeds, found)
    types = {t.name: t.data_type for t in changed.graph.initializer if t.name.endswith(("_weight", "_bias"))}
    assert types
    assert set(types.values()) == {TensorProto.FLOAT16}
    session = onnxruntime.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    assert np.isfinite(session.run(None, feeds[0])[0]).all()


def material(model: onnx.ModelProto) -> BaseAssets:
    spec = InputSpec("image", (3, 8, 8), "float32", "NCHW", None)
    return BaseAssets(model, spec, OutputSpec("logits", "scores", 5), X)


def test_a_repaired_copy_stays_pruned_and_is_nearer_to_the_base() -> None:
    model = network()
    made = {v.name: v for v in list_variants("standard", has_labels=False)}["prune-repair-0.5"].make(material(model))
    pruned = pruning.prune_adaptively(model, 0.5)
    n_zeros = [sum(int((w.values == 0).sum()) for w in find_weights(m)) for m in (made, pruned)]
    assert n_zeros[0] == n_zeros[1] > 0
    base, repaired, damaged = (values(m, "c2")[0] for m in (model, made, pruned))
    assert (
        np.abs(statistics(repaired)[0] - statistics(base)[0]).max()
        < 0.1 * np.abs(statistics(damaged)[0] - statistics(base)[0]).max()
    )


def test_fewer_inputs_change_a_copy_more() -> None:
    model = network()
    makers = {v.name: v for v in list_variants("standard", has_labels=False)}
    far = {}
    for n in (16, 64):
        made = makers[f"bn-reestimated-{n}"].make(material(model))
        targets = material(model).channels | normalisation.stored_statistics(normalise(model))
        found = normalisation.measure_channels(normalise(made), [{"image": X[:32]}, {"image": X[32:]}])
        far[n] = np.abs(found["c1"].mean - targets["c1"].mean).max()
    # 64 inputs are all there are: their means are met, up to rounding.
    assert far[64] < 1e-3 < far[16]


def test_a_graph_for_single_inputs_is_measured_in_batches(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    spec = InputSpec("image", (3, 8, 8), "float32", "NCHW", 1)
    single, free = (
        BaseAssets(make_classifier(batch=batch), replace(spec, batch=fixed), OutputSpec("logits", "scores", 5), X)
        for batch, fixed in ((1, 1), ("N", None))
    )
    assert all(next(iter(m.statistics_batches()))["image"].shape[0] == 32 for m in (single, free))
    found, expected = single.channels, free.channels
    assert found.keys() == expected.keys() != set()
    for name, own in found.items():
        assert np.array_equal(own.mean, expected[name].mean)
        assert np.array_equal(own.variance, expected[name].variance)
    # A quantiser runs the graph as it is.
    assert next(iter(single.calibration_batches()))["image"].shape[0] == 1


def test_what_has_no_channels_or_too_few_inputs_is_said() -> None:
    model = network()
    few = replace(material(model), inputs=X[:7])
    with pytest.raises(ModelError, match="at least one batch of 8 inputs"):
        _ = few.channels
    with pytest.raises(ModelError, match="at least one batch"):
        normalisation.measure_channels(normalise(model), [])
    weight = {"w": np.eye(3, dtype=np.float32)}
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"])
    linear = build_model([gemm], [declare("x", ["N", 3])], [declare("y", ["N", 3])], weight, opset=18)
    with pytest.raises(ModelError, match="no convolutions"):
        normalisation.measure_channels(linear, [{"x": X[:, :, 0, 0]}])
