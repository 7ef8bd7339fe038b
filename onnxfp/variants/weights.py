"""The trained weights of an ONNX graph: where they are, along which axis their output channels lie, and new values.

Graphs are first brought into one form (:func:`normalise`): model-local functions inlined, constants as initializers,
and so what layers take, where the graph computes it from constants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxfp.errors import ModelError
from onnxfp.model.op_traits import find_traits
from onnxfp.model.traversal import graphs_below, weight_name
from onnxfp.variants.constants import compute_constants, constant_nodes, nodes_behind, store_constants

Array = NDArray[np.float32]

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)

_AXES_OF_MATRIX = 2
# A computed tensor may have as many values as all that it is computed from, and at least so many: a graph that expands
# a number to a large tensor keeps its size.
_MAX_COMPUTED_VALUES = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """One weight tensor of a layer.

    Attributes:
        name: Name of its initializer.
        values: Its values, float32, whatever the graph stores.
        node: The layer.
        channel_axis: Axis of ``values`` along which output channels lie, or ``None`` where there is no such axis.
    """

    name: str
    values: Array
    node: onnx.NodeProto
    channel_axis: int | None


def normalise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without model-local functions, in which constants of the main graph are initializers.

    So is what its layers take, where that is computed from floating-point constants: weights that an exporter left
    behind a ``Transpose``, a ``Cast`` or an ``Identity``, or that are the product of others. Weights that are computed
    from integers stay computed.

    Raises:
        ModelError: onnxruntime does not compute what the layers take.
    """
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    kept = []
    for node in copied.graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
            continue
        tensor = copied.graph.initializer.add()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
    if len(kept) < len(copied.graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del copied.graph.node[:]
        copied.graph.node.extend(nodes)
    _store_operands(copied)
    return copied


def find_weights(model: onnx.ModelProto) -> list[Weight]:
    """Return the weight tensors of convolutions, linear and recurrent layers, in the order of their layers.

    Args:
        model: A model in the form of :func:`normalise`.

    Raises:
        ModelError: There are none in floating point: a quantised model, or none of layers.
    """
    tensors = {t.name: t for t in model.graph.initializer if t.data_type in _FLOATS and len(t.dims) >= 2}
    found: dict[str, Weight] = {}
    for node in model.graph.node:
        for position in find_traits(node.domain, node.op_type).matrix_inputs:
            name = node.input[position] if position < len(node.input) else ""
            if name in tensors and name not in found:
                values = numpy_helper.to_array(tensors[name]).astype(np.float32)
                found[name] = Weight(name, values, node, _channel_axis(node, position, values.ndim))
    if not found:
        raise ModelError(
            "the model has no floating-point weights to modify", hint="evaluate the model before it is quantised"
        )
    return list(found.values())


def with_weights(model: onnx.ModelProto, values: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    """Return a copy of a model in which some stored tensors have other values.

    A tensor that a graph computes from constants is stored in place of its computation. Tensors of subgraphs have new
    values as well, and so have attributes, under the names of
    :meth:`~onnxfp.torch_copy.copy.TorchCopy.weights`.

    Args:
        model: A model in the form of :func:`normalise`.
        values: New values by name, in the old shape; stored in the old element type.

    Raises:
        ModelError: The model has no tensor of some name, two of its graphs have one each, or onnxruntime does not
            compute what is computed, whose element type would be known then.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graphs = list(graphs_below(changed.graph))
    stored = Counter(_store(changed.graph, values))
    for graph in graphs[:0:-1]:
        # Inner ones first: a graph whose nodes change holds copies of them afterwards.
        stored.update(_store(graph, values))
        stored.update(_store_computed(graph, values))
    left = {name for name in values if not stored[name]}
    computed = compute_constants(changed, left) if left else {}
    stored.update(computed.keys())
    wrong = [name for name in values if stored[name] != 1]
    if wrong:
        raise ModelError(f"the model stores the weight {wrong[0]!r} {stored[wrong[0]]} times; once was expected")
    store_constants(changed, {name: values[name].astype(array.dtype) for name, array in computed.items()})
    return changed


def _store(graph: onnx.GraphProto, values: dict[str, NDArray[Any]]) -> Iterator[str]:
    """Give stored tensors of a graph, its subgraphs left out, their new values, and yield the names of those it has."""
    for tensor in graph.initializer:
        if tensor.name in values:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            array = np.ascontiguousarray(values[tensor.name]).astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            yield tensor.name
    for node in graph.node:
        for attribute in node.attribute:
            name = weight_name(node, attribute.name)
            if name in values:
                attribute.floats[:] = values[name].reshape(-1).tolist()
                yield name


def _store_computed(graph: onnx.GraphProto, values: dict[str, NDArray[Any]]) -> list[str]:
    """Store new values in the place of the nodes of a subgraph that compute them; return their names."""
    computed = [name for node in graph.node for name in node.output if name in values]
    if computed:
        kept = [node for node in graph.node if not set(node.output) & set(computed)]
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(nodes)
        arrays = ((np.ascontiguousarray(values[name]), name) for name in computed)
        graph.initializer.extend(numpy_helper.from_array(array, name) for array, name in arrays)
    return computed


def change_weights(model: onnx.ModelProto, change: Callable[[Weight], Array]) -> onnx.ModelProto:
    """Return a copy of a model in which every weight tensor is what ``change`` makes of it."""
    model = normalise(model)
    return with_weights(model, {weight.name: change(weight) for weight in find_weights(model)})


def _store_operands(model: onnx.ModelProto) -> None:
    """Store what the layers of a model take, in the model itself, where it is computed from constants."""
    nodes = constant_nodes(model)
    makers = {name: node for node in nodes for name in node.output if name}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    most: dict[str, int] = {}
    for node in model.graph.node:
        # What batch normalisation takes is stored as well: statistics are read from it, and channels permuted in it.
        is_layer = find_traits(node.domain, node.op_type).matrix_inputs or node.op_type == "BatchNormalization"
        if not is_layer or not makers.keys().isdisjoint(node.output):
            continue
        for position, name in enumerate(node.input):
            source = name
            while source in makers and makers[source].op_type == "Identity":
                source = makers[source].input[0]
            if source != name and source in stored and len(stored[source].dims) > 1:
                # By its own name, so that layers that share a weight go on doing so.
                node.input[position] = source
            elif name in makers and name not in most:
                behind = nodes_behind(nodes, [name])
                sources = [stored[taken] for maker in behind for taken in maker.input if taken in stored]
                if not _is_quantised(behind, sources):
                    most[name] = max(_MAX_COMPUTED_VALUES, sum(prod(tensor.dims) for tensor in sources))
    values = compute_constants(model, most)
    store_constants(model, {name: array for name, array in values.items() if array.size <= most[name]})


def _is_quantised(nodes: list[onnx.NodeProto], sources: list[onnx.TensorProto]) -> bool:
    # Shapes, axes and the like are integers too, but of one axis.
    has_integers = any(tensor.data_type not in _FLOATS and len(tensor.dims) > 1 for tensor in sources)
    return has_integers or any(node.op_type == "DequantizeLinear" for node in nodes)


def _channel_axis(node: onnx.NodeProto, position: int, n_axes: int) -> int | None:
    layer = find_traits(node.domain, node.op_type).layer
    if layer == "convolution":
        return 0
    if layer == "transposed convolution":
        return 1
    if position == 1 and layer == "affine":
        is_transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return 0 if is_transposed else 1
    if position == 1 and layer == "product":
        is_transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return n_axes - 2 if is_transposed else n_axes - 1
    # Of the two operators of this name, onnxruntime's own takes a weight; ONNX's may take stored keys, of more axes.
    if node.op_type == "Attention" and n_axes == _AXES_OF_MATRIX:
        return 1
    return _einsum_axis(node, position) if node.op_type == "Einsum" else None


def _einsum_axis(node: onnx.NodeProto, position: int) -> int | None:
    """Return the one axis of an operand that the result has from it alone; ``None`` for none, and for several."""
    equation = next(a.s for a in node.attribute if a.name == "equation").decode().replace(" ", "")
    operands, arrow, result = equation.partition("->")
    own = operands.split(",")[position]
    # Without an arrow, the result has the labels that occur once.
    axes = [i for i, label in enumerate(own) if operands.count(label) == 1 and (label in result or not arrow)]
    return axes[0] if len(axes) == 1 and "." not in own else None
