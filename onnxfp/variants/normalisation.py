"""Channel statistics of convolutions: re-estimated on other inputs, or restored in a copy that was pruned.

Batch normalisation gives every channel of a convolution the mean and deviation that training fixed. A thief who adapts
a model to a domain of his own estimates them anew on his inputs; one who pruned it gives its channels back what they
had before, which repairs much of the damage without a label. An exported graph has mostly folded its normalisation into
the convolutions, and both are then done on their weights and biases.

References:
    Statistics of another domain: Li et al., arXiv:1603.04779. Repair by the statistics of the original: Jordan et al.,
    arXiv:2211.08403. That the statistics before folding are those on given inputs is this project's own choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxfp.errors import ModelError
from onnxfp.model.traversal import used_names
from onnxfp.runtime.local import LocalRuntime, RefusedError
from onnxfp.variants.quantisation import Feeds
from onnxfp.variants.weights import normalise

Array = NDArray[np.float32]

# As batch normalisation keeps a channel that hardly varies from being divided by nothing.
_EPSILON = 1e-5

MIN_BATCH = 8
"""Smallest batch that is of use: fewer inputs give a deep layer of few pixels no statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What the channels of one convolution do over inputs.

    Attributes:
        mean: ``(channels,)`` means.
        variance: ``(channels,)`` variances.
    """

    mean: Array
    variance: Array


def measure_channels(model: onnx.ModelProto, batches: Iterable[Feeds]) -> dict[str, Statistics]:
    """Return the statistics of every convolution's output, by the output's name.

    Args:
        model: A model in the form of :func:`~onnxfp.variants.weights.normalise`.
        batches: Inputs; statistics are the means of those of each batch.

    Raises:
        ModelError: The model has no convolutions with stored weights, the bias of one is not stored, there is no batch,
            or onnxruntime refuses it.
    """
    return _run(model, batches, {})


def stored_statistics(model: onnx.ModelProto) -> dict[str, Statistics]:
    """Return the statistics that batch normalisation holds, by name of the value that it normalises.

    Args:
        model: A model in the form of :func:`~onnxfp.variants.weights.normalise`.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and {*node.input[3:5]} <= stored.keys():
            mean, variance = (numpy_helper.to_array(stored[name]).astype(np.float32) for name in node.input[3:5])
            found[node.input[0]] = Statistics(mean, variance)
    return found


def give_statistics(
    model: onnx.ModelProto, batches: Iterable[Feeds], targets: Mapping[str, Statistics]
) -> onnx.ModelProto:
    """Return a copy whose convolutions have given statistics over given inputs.

    Layer by layer, each measured behind the layers that were changed before it, as a network does in training.

    Args:
        model: The model.
        batches: The inputs.
        targets: Statistics by name of the convolution's output; one that has none is left as it is.

    Raises:
        ModelError: See :func:`measure_channels`.
    """
    model = normalise(model)
    found = _run(model, batches, targets)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in changed.graph.node:
        name = node.output[0] if node.output else ""
        if name not in found or name not in targets:
            continue
        own, target = found[name], targets[name]
        gain = np.sqrt((target.variance + _EPSILON) / (own.variance + _EPSILON))
        weight = numpy_helper.to_array(stored[node.input[1]])
        has_bias = len(node.input) > 2 and node.input[2]
        bias = numpy_helper.to_array(stored[node.input[2]]) if has_bias else np.zeros(len(weight), weight.dtype)
        scaled = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
        moved = (bias - own.mean) * gain + target.mean
        # Names of their own: two layers may share their weights, and have statistics of their own.
        names = [f"{name}_{role}" for role in ("weight", "bias")]
        for own_name, array in zip(names, (scaled, moved), strict=True):
            changed.graph.initializer.append(numpy_helper.from_array(array.astype(weight.dtype), own_name))
        node.input[:] = [node.input[0], *names]
    used = set(used_names(changed.graph))
    kept = [tensor for tensor in changed.graph.initializer if tensor.name in used]
    del changed.graph.initializer[:]
    changed.graph.initializer.extend(kept)
    return changed


def _run(model: onnx.ModelProto, batches: Iterable[Feeds], targets: Mapping[str, Statistics]) -> dict[str, Statistics]:
    """Measure every convolution; behind one that has a target go its channels with the target's statistics."""
    measuring, names = _with_measurements(model, targets)
    sums: list[NDArray[np.float64]] = []
    n_batches = 0
    try:
        runtime = LocalRuntime(measuring.SerializeToString(), "cpu", optimise=True)
        wanted = [f"{name}:{what}" for name in names for what in ("mean", "variance")]
        for feeds in batches:
            seen = [np.asarray(array, np.float64).ravel() for array in runtime.run(wanted, feeds)]
            sums = [total + array for total, array in zip(sums, seen, strict=True)] if sums else seen
            n_batches += 1
    except (RefusedError, ValueError) as error:
        raise ModelError(f"onnxruntime does not measure the channels of the model: {error}") from error
    if not n_batches:
        raise ModelError(f"channel statistics take at least one batch of {MIN_BATCH} inputs")
    means = [(total / n_batches).astype(np.float32) for total in sums]
    return {
        name: Statistics(mean, variance) for name, mean, variance in zip(names, means[::2], means[1::2], strict=True)
    }


def _with_measurements(model: onnx.ModelProto, targets: Mapping[str, Statistics]) -> tuple[onnx.ModelProto, list[str]]:
    """Return a graph that gives the mean and variance of each convolution's channels, and the convolutions' outputs."""
    weights = _convolutions(model)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    del graph.node[:]
    del graph.value_info[:]
    # What follows the last convolution is not computed: there a graph for single inputs often names its batch again.
    del graph.output[:]
    stored_names = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name not in stored_names and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "onnxfp_batch"
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 18)

    def store(name: str, array: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def mean(of: str, to: str, axes: list[int]) -> onnx.NodeProto:
        if opset >= 18:
            return helper.make_node("ReduceMean", [of, store(f"{to}:axes", np.array(axes))], [to], keepdims=1)
        return helper.make_node("ReduceMean", [of], [to], axes=axes, keepdims=1)

    for node in model.graph.node:
        name = node.output[0] if node.output else ""
        if name not in weights:
            graph.node.append(node)
            continue
        n_axes, dtype = len(weights[name].dims), weights[name].data_type
        axes = [axis for axis in range(n_axes) if axis != 1]
        measured = onnx.NodeProto()
        measured.CopyFrom(node)
        target = targets.get(name)
        # What follows takes the old name: the channels as they are, or with the target's statistics.
        raw = f"{name}:raw" if target is not None else name
        measured.output[0] = raw
        part = {what: f"{name}:{what}" for what in ("wide", "mean", "centred", "squared", "variance")}
        graph.node.extend(
            [
                measured,
                helper.make_node("Cast", [raw], [part["wide"]], to=TensorProto.FLOAT),
                mean(part["wide"], part["mean"], axes),
                helper.make_node("Sub", [part["wide"], part["mean"]], [part["centred"]]),
                helper.make_node("Mul", [part["centred"], part["centred"]], [part["squared"]]),
                mean(part["squared"], part["variance"], axes),
            ]
        )
        if target is not None:
            shape = (1, -1, *[1] * (n_axes - 2))
            deviation = np.sqrt(target.variance + _EPSILON).astype(np.float32)
            epsilon = store(f"{name}:epsilon", np.array(_EPSILON, np.float32))
            scale, shift = (
                store(f"{name}:{what}", array.reshape(shape))
                for what, array in (("scale", deviation), ("shift", target.mean))
            )
            steps = [f"{name}:step{i}" for i in range(5)]
            graph.node.extend(
                [
                    helper.make_node("Add", [part["variance"], epsilon], [steps[0]]),
                    helper.make_node("Sqrt", [steps[0]], [steps[1]]),
                    helper.make_node("Div", [part["centred"], steps[1]], [steps[2]]),
                    helper.make_node("Mul", [steps[2], scale], [steps[3]]),
                    helper.make_node("Add", [steps[3], shift], [steps[4]]),
                    helper.make_node("Cast", [steps[4]], [name], to=dtype),
                ]
            )
        for what in ("mean", "variance"):
            graph.output.append(helper.make_tensor_value_info(part[what], TensorProto.FLOAT, None))
    return changed, list(weights)


def _convolutions(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Return the stored weight of every convolution, by name of its output; two may share theirs."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in stored:
            continue
        bias = node.input[2] if len(node.input) > 2 else ""
        if bias and bias not in stored:
            raise ModelError(f"the bias of the convolution that makes {node.output[0]!r} is no stored tensor: {bias!r}")
        found[node.output[0]] = stored[node.input[1]]
    if not found:
        raise ModelError("the model has no convolutions whose channels could be measured")
    return found
