"""Whether a classifier is linear: whether all that it computes is one linear map and what reads classes from it.

Training a linear classifier has one best end, to which every start leads: two that were trained on the same data, or on
halves of it, are nearly the same function, and agree on inputs far from all data. No fingerprint tells a copy of such a
model from another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import onnx

from onnxfp.model.op_traits import find_traits

# A linear map takes few; a graph of more is not looked through.
_MAX_NODES = 10_000


def is_linear(model: onnx.ModelProto) -> bool:
    """Whether a model has no layer behind anything that bends: no hidden non-linearity.

    Args:
        model: The model; products of two computed values are taken for linear, which errs on the careful side.

    Returns:
        ``False`` for a model with an operator of which that is not known.
    """
    bends = False
    functions = {(function.domain, function.name): function for function in model.functions}
    nodes = list(islice(_unfolded(model.graph.node, functions), _MAX_NODES + 1))
    for node in nodes:
        linearity = find_traits(node.domain, node.op_type).linearity
        if linearity is None or (linearity == "layer" and bends):
            return False
        bends = bends or linearity == "reading"
    return len(nodes) <= _MAX_NODES


def _unfolded(
    nodes: Iterable[onnx.NodeProto], functions: Mapping[tuple[str, str], onnx.FunctionProto]
) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and in the place of a call the nodes of the function's body."""
    for node in nodes:
        function = functions.get((node.domain, node.op_type))
        if function is None:
            yield node
        else:
            yield from _unfolded(function.node, functions)
