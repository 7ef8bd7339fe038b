"""Whether a classifier is linear: whether all that it computes is one linear map and what reads classes from it.

Training a linear classifier has one best end, to which every start leads: two that were trained on the same data, or on
halves of it, are nearly the same function, and agree on inputs far from all data. No fingerprint tells a copy of such a
model from another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import onnx

# Layers, and what leaves a linear map one.
_LAYERS = {"Conv", "Einsum", "Gemm", "LinearClassifier", "LinearRegressor", "MatMul"}
_LINEAR = {
    *("Add", "AveragePool", "BatchNormalization", "Cast", "CastLike", "Concat", "Constant", "ConstantOfShape"),
    *("DequantizeLinear", "Div", "Dropout", "Expand", "FeatureVectorizer", "Flatten", "Gather", "GlobalAveragePool"),
    *("Identity", "Mean", "Mul", "Neg", "Pad", "QuantizeLinear", "ReduceMean", "ReduceSum", "Reshape", "Scaler"),
    *("Shape", "Slice", "Split", "Squeeze", "Sub", "Sum", "Transpose", "Unsqueeze"),
}
# What reads classes or probabilities from the map's values, after the last layer.
_READING = {
    *("ArgMax", "ArrayFeatureExtractor", "Clip", "Exp", "Greater", "HardSigmoid", "Hardmax", "Less", "Log"),
    *("LogSoftmax", "Max", "Normalizer", "Reciprocal", "ReduceLogSumExp", "ReduceMax", "Sigmoid", "Softmax", "TopK"),
    *("Where", "ZipMap"),
}

# A linear map takes few; a graph of more is not looked through.
_MAX_NODES = 10_000


def is_linear(model: onnx.ModelProto) -> bool:
    """Whether a model has no layer behind anything that bends: no hidden non-linearity.

    Args:
        model: The model; products of two computed values are taken for linear, which errs on the careful side.

    Returns:
        ``False`` for a model with an operator that is not known here.
    """
    bends = False
    functions = {(function.domain, function.name): function for function in model.functions}
    nodes = list(islice(_unfolded(model.graph.node, functions), _MAX_NODES + 1))
    for node in nodes:
        if node.op_type in _LAYERS:
            if bends:
                return False
        elif node.op_type in _READING:
            bends = True
        elif node.op_type not in _LINEAR:
            return False
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
