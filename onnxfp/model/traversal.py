"""Everything in a parsed ONNX model, wherever it hides: graphs, nodes, tensors, and what its functions unfold to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from onnxfp.errors import ModelFormatError
from onnxfp.text import quote_text

if TYPE_CHECKING:
    import onnx

MAX_NODES = 2**20
"""Most nodes of a graph once its model-local functions are unfolded."""

MAX_CALLS = 64
"""Deepest chain of functions that call functions."""

FunctionName = tuple[str, str, str]
"""Domain, name and overload of a model-local function."""


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node: of the graph, of functions, of what belongs to training, and of subgraphs of all these."""
    yield from _nodes_below(model.graph.node)
    for function in model.functions:
        yield from _nodes_below(function.node)
    for training in model.training_info:
        yield from _nodes_below(training.initialization.node)
        yield from _nodes_below(training.algorithm.node)


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor: initializers and attributes, dense or sparse, in whatever :func:`all_nodes` looks through."""
    for training in model.training_info:
        yield from _initializers(training.initialization)
        yield from _initializers(training.algorithm)
    yield from _initializers(model.graph)
    for function in model.functions:
        for attribute in function.attribute_proto:
            yield from _list_tensors(attribute)
            for graph in _subgraphs_in(attribute):
                yield from _initializers(graph)
                for node in _nodes_below(graph.node):
                    yield from _tensors_at(node)
    for node in all_nodes(model):
        yield from _tensors_at(node)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node has in its attributes."""
    for attribute in node.attribute:
        yield from _subgraphs_in(attribute)


def graphs_below(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and every subgraph in it, outer ones first."""
    pending = [graph]
    for outer in pending:
        yield outer
        pending += [inner for node in outer.node for inner in subgraphs(node)]


def taken_names(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the name of every value that a node takes, or that something in its subgraphs does."""
    yield from node.input
    for graph in subgraphs(node):
        yield from used_names(graph)


def used_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the name of every value that a node of the graph or of its subgraphs takes, and of every output."""
    for node in graph.node:
        yield from taken_names(node)
    yield from (value.name for value in graph.output)


def weight_name(node: onnx.NodeProto, attribute: str) -> str:
    """Return the name by which a weight that a node has in an attribute is known."""
    return f"{node.output[0]}.{attribute}" if node.output else ""


def check_functions(model: onnx.ModelProto) -> None:
    """Check that the model-local functions end, and what they unfold to.

    Every runtime copies a function's nodes to where it is called. One that calls itself never ends, and thirty that
    each call the next one twice become a billion nodes.

    Raises:
        ModelFormatError: They never end, nest too deep, or unfold to too many nodes. The message begins with a verb,
            for the caller to put the file before it.
    """
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    if not functions:
        return
    calls = {name: list(_calls(function.node, functions)) for name, function in functions.items()}
    sizes: dict[FunctionName, int] = {}
    for name in functions:
        _measure(name, functions, calls, sizes)
    n_nodes = sum(1 for _ in _nodes_below(model.graph.node)) + sum(
        sizes[callee] for callee in _calls(model.graph.node, functions)
    )
    if n_nodes > MAX_NODES:
        raise ModelFormatError(f"unfolds to more than {MAX_NODES} nodes, by functions that call functions", hint=_HINT)


def _measure(
    start: FunctionName,
    functions: dict[FunctionName, onnx.FunctionProto],
    calls: dict[FunctionName, list[FunctionName]],
    sizes: dict[FunctionName, int],
) -> None:
    """Put into ``sizes`` how many nodes a function, and those that it calls, unfold to."""
    chain, pending = [start], [iter(calls[start])]
    while chain:
        callee = next(pending[-1], None)
        if callee is None:
            name = chain.pop()
            pending.pop()
            sizes[name] = sum(1 for _ in _nodes_below(functions[name].node)) + sum(sizes[c] for c in calls[name])
        elif callee in chain:
            raise ModelFormatError(
                f"has a function that calls itself, {quote_text(f'{callee[0]}::{callee[1]}')}", hint=_HINT
            )
        elif callee not in sizes:
            if len(chain) == MAX_CALLS:
                raise ModelFormatError(f"has functions that call functions more than {MAX_CALLS} deep", hint=_HINT)
            chain.append(callee)
            pending.append(iter(calls[callee]))


def _calls(
    nodes: Iterator[onnx.NodeProto], functions: dict[FunctionName, onnx.FunctionProto]
) -> Iterator[FunctionName]:
    for node in _nodes_below(nodes):
        name = (node.domain, node.op_type, node.overload)
        if name in functions:
            yield name


def _nodes_below(nodes: Iterator[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield these nodes and those of their subgraphs."""
    pending = [nodes]
    while pending:
        for node in pending.pop():
            yield node
            pending += [graph.node for graph in subgraphs(node)]


def _subgraphs_in(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _tensors_at(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from _list_tensors(attribute)
        for graph in _subgraphs_in(attribute):
            yield from _initializers(graph)


def _list_tensors(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    if attribute.HasField("sparse_tensor"):
        yield from _parts(attribute.sparse_tensor)
    for sparse in attribute.sparse_tensors:
        yield from _parts(sparse)


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from _parts(sparse)


def _parts(sparse: onnx.SparseTensorProto) -> Iterator[onnx.TensorProto]:
    yield sparse.values
    yield sparse.indices


_HINT = "export the model again; functions of its own can be unfolded with onnx.inliner"
