"""What a graph computes from its stored tensors alone, and storing it in place of its computation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxfp.errors import ModelError
from onnxfp.model.op_traits import find_traits
from onnxfp.model.traversal import subgraphs, taken_names, used_names
from onnxfp.runtime.local import LocalRuntime, RefusedError


def use_counts(model: onnx.ModelProto) -> Counter[str]:
    """Return how often each value of the main graph is used."""
    return Counter(used_names(model.graph))


def constant_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes of the main graph that depend on stored tensors alone, in order; none with subgraphs."""
    known = {"", *(tensor.name for tensor in model.graph.initializer)}
    found = []
    for node in model.graph.node:
        is_pure = not find_traits(node.domain, node.op_type).is_random and next(subgraphs(node), None) is None
        if is_pure and node.output and known.issuperset(node.input):
            found.append(node)
            known.update(node.output)
    return found


def nodes_behind(nodes: Sequence[onnx.NodeProto], names: Collection[str]) -> list[onnx.NodeProto]:
    """Return those of some nodes that compute the values of these names, or something that they are computed from.

    Args:
        nodes: Nodes in the order of the graph, which is kept.
        names: Names of values.
    """
    wanted, found = set(names), []
    for node in reversed(nodes):
        if not wanted.isdisjoint(filter(None, node.output)):
            found.append(node)
            wanted.update(taken_names(node))
    return found[::-1]


def compute_constants(model: onnx.ModelProto, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Return values that the graph computes from stored tensors alone.

    Args:
        model: The model.
        names: Names of the values; those that are not so computed are left out.

    Raises:
        ModelError: onnxruntime does not compute them.
    """
    nodes = nodes_behind(constant_nodes(model), names)
    made = {name for node in nodes for name in node.output}
    wanted = sorted(made.intersection(names))
    if not wanted:
        return {}
    taken = {name for node in nodes for name in node.input}
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "constants"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in taken)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    try:
        runtime = LocalRuntime(part.SerializeToString(), "cpu", optimise=True)
        return dict(zip(wanted, runtime.run(wanted, {}), strict=True))
    except (RefusedError, ValueError, EncodeError) as error:
        raise ModelError(f"onnxruntime does not compute the model's constants: {error}") from error


def store_constants(model: onnx.ModelProto, values: Mapping[str, NDArray[Any]]) -> None:
    """Store values in a model, in place of their computation.

    A node that also computes something else goes on doing so; constants that nobody needs go, computed or stored.

    Args:
        model: The model, which is changed.
        values: What is stored, by the names of values that the graph computes; not what nobody takes then.
    """
    graph = model.graph
    constants = {"", *values, *(name for node in constant_nodes(model) for name in node.output)}
    used = {value.name for value in graph.output}
    kept, freed = [], set[str]()
    for node in reversed(graph.node):
        if constants.issuperset(node.output) and used.isdisjoint({*node.output} - {"", *values}):
            freed.update(node.input)
            continue
        copied = onnx.NodeProto.FromString(node.SerializeToString())
        copied.output[:] = [f"{name}:computed" if name in values else name for name in node.output]
        kept.append(copied)
        used.update(taken_names(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    freed -= used | {value.name for value in graph.input}
    for position in reversed(range(len(graph.initializer))):
        if graph.initializer[position].name in freed:
            del graph.initializer[position]
    arrays = ((np.asarray(array, order="C"), name) for name, array in values.items() if name in used)
    graph.initializer.extend(numpy_helper.from_array(array, name) for array, name in arrays)
