"""Whether a value of a graph lies between 0 and 1, by the operators that make it.

Where a model answers with one number for two classes, that decides whether the number is a probability or a logit. The
answers themselves do not tell: logits of a few inputs may all happen to lie there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxfp.model.op_traits import find_traits
from onnxfp.model.traversal import subgraphs

# Far more values than lie between a last activation and an output.
_MAX_VALUES = 1000
_MAX_CONSTANTS = 2**12


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """Where names mean something: the main graph, a branch (which sees what is around it), or the body of a function.

    Attributes:
        nodes: Nodes by the names of their outputs.
        constants: Stored tensors by name.
        outer: The scope around it.
        arguments: What the inputs of a function are called there; ``None`` for a branch.
    """

    nodes: dict[str, onnx.NodeProto]
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    outer: _Scope | None = None
    arguments: dict[str, str] | None = None

    def holds(self, name: str) -> bool:
        return name in self.nodes or name in self.constants


def is_within_unit_range(model: onnx.ModelProto, output: str) -> bool:
    """Whether the operators that make a graph output leave it nothing but values in ``[0, 1]``.

    Args:
        model: The model; its stored tensors are looked at where they are small.
        output: Name of the graph output.

    Returns:
        ``False`` also where the operators do not tell.
    """
    functions = {(function.domain, function.name): function for function in model.functions}
    graph = model.graph
    pending = [(_Scope(_by_output(graph.node), {tensor.name: tensor for tensor in graph.initializer}), output)]
    for _ in range(_MAX_VALUES):
        if not pending:
            return True
        scope, name = pending.pop()
        while not scope.holds(name) and scope.outer is not None:
            if scope.arguments is not None and name not in scope.arguments:
                return False
            name = name if scope.arguments is None else scope.arguments[name]
            scope = scope.outer
        tensor = _constant(scope, name)
        if tensor is not None:
            if not _is_within(tensor):
                return False
            continue
        node = scope.nodes.get(name)
        if node is None:
            return False
        function = functions.get((node.domain, node.op_type))
        place = list(node.output).index(name)
        sources = _sources(scope, node, place) if function is None else _called(scope, node, place, function)
        if sources is None:
            return False
        pending += sources
    return False


def _by_output(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    return {name: node for node in nodes for name in node.output}


def _sources(scope: _Scope, node: onnx.NodeProto, place: int) -> list[tuple[_Scope, str]] | None:
    """Return what has to lie in ``[0, 1]`` for one output of a node to do so, or ``None`` if nothing would make it."""
    inputs = [(scope, name) for name in node.input]
    unit_range = find_traits(node.domain, node.op_type).unit_range
    if unit_range == "always" or _has_bounded_activation(node) or _is_logistic(scope, node):
        return []
    if node.op_type == "Clip" and _clips_to_unit(scope, node):
        return []
    if unit_range == "first input" or node.op_type == "Clip":
        return inputs[:1]
    if unit_range == "all inputs":
        return inputs
    # These depend on more than the operator: on a role of each input, a constant, or the branches.
    if node.op_type == "Where":
        return inputs[1:]
    if node.op_type == "Sub" and _is_one(scope, node.input[0]):
        return inputs[1:]
    if node.op_type == "If":
        return [(branch, names[place]) for branch, names in _branches(scope, node)]
    return None


def _branches(scope: _Scope, node: onnx.NodeProto) -> Iterator[tuple[_Scope, list[str]]]:
    for branch in subgraphs(node):
        constants = {tensor.name: tensor for tensor in branch.initializer}
        yield _Scope(_by_output(branch.node), constants, scope), [value.name for value in branch.output]


def _called(scope: _Scope, node: onnx.NodeProto, place: int, function: onnx.FunctionProto) -> list[tuple[_Scope, str]]:
    arguments = dict(zip(function.input, node.input, strict=False))
    return [(_Scope(_by_output(function.node), {}, scope, arguments), function.output[place])]


def _attributes(node: onnx.NodeProto, name: str) -> set[str]:
    return {attribute.s.decode("utf-8", "replace") for attribute in node.attribute if attribute.name == name}


def _has_bounded_activation(node: onnx.NodeProto) -> bool:
    """Whether a bounded function of ONNX's is fused behind a node: FusedGemm, FusedConv and the like."""
    return any(find_traits("", name).unit_range == "always" for name in _attributes(node, "activation"))


def _is_logistic(scope: _Scope, node: onnx.NodeProto) -> bool:
    """Whether a node ends a sigmoid that is spelled out: ``1 / (1 + exp(-x))``."""
    if node.op_type == "Reciprocal" and node.input:
        below = node.input[0]
    elif node.op_type == "Div" and len(node.input) > 1 and _is_one(scope, node.input[0]):
        below = node.input[1]
    else:
        return False
    total = scope.nodes.get(below)
    if total is None or total.op_type != "Add":
        return False
    exponents = [term for term in total.input if getattr(scope.nodes.get(term), "op_type", "") == "Exp"]
    return bool(exponents) and any(_is_one(scope, term) for term in total.input)


def _clips_to_unit(scope: _Scope, node: onnx.NodeProto) -> bool:
    if len(node.input) > 1:
        limits = [_constant(scope, name) for name in node.input[1:3]]
        return len(limits) > 1 and all(tensor is not None and _is_within(tensor) for tensor in limits)
    limits_before_11 = [attribute.f for attribute in node.attribute if attribute.name in ("min", "max")]
    return len(limits_before_11) > 1 and all(0 <= limit <= 1 for limit in limits_before_11)


def _constant(scope: _Scope, name: str) -> onnx.TensorProto | None:
    stored = scope.constants.get(name)
    if stored is not None:
        return stored
    node = scope.nodes.get(name)
    if node is None or node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    for attribute in node.attribute:
        if attribute.name == "value":
            tensor: onnx.TensorProto = attribute.t
            return tensor
        if attribute.name == "value_float":
            return numpy_helper.from_array(np.array(attribute.f, np.float32))
    return None


def _is_one(scope: _Scope, name: str) -> bool:
    values = _values(_constant(scope, name))
    return values is not None and bool((values == 1).all())


def _is_within(tensor: onnx.TensorProto) -> bool:
    values = _values(tensor)
    return values is not None and bool(((values >= 0) & (values <= 1)).all())


def _values(tensor: onnx.TensorProto | None) -> NDArray[Any] | None:
    """Return the numbers of a small stored tensor, or ``None``."""
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL or prod(tensor.dims) > _MAX_CONSTANTS:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError):
        return None
