"""A network of another architecture than the base's, for the thief who trains one on the base's answers."""

from __future__ import annotations

from math import ceil, log2, prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxfp.errors import ModelError
from onnxfp.variants.base_assets import BaseAssets

_OPSET, _IR_VERSION = 17, 8
# Output channels and stride of each convolution, once the image is no wider than this.
_CONVOLUTIONS, _LARGEST_SIDE = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)), 32
_N_HIDDEN = 256


def plain_network(assets: BaseAssets) -> onnx.ModelProto:
    """Return an untrained network that takes and gives what the base does.

    Images go through five convolutions and a global mean, anything else through two hidden layers; there are no
    normalisation layers. The input is standardised by the material's own mean and standard deviation. All weights are
    zero: training draws them.

    Args:
        assets: The base, with inputs.

    Raises:
        ModelError: The base takes several inputs, or its answer is none of one score for each class.
    """
    output = assets.output
    if assets.fixed or output.kind != "scores" or output.n_classes is None:
        raise ModelError("another architecture is trained only where one input gives one score for each class")
    graph = _Graph()
    value = graph.add("Cast", [assets.input.name], to=TensorProto.FLOAT)
    mean, deviation = float(assets.inputs.mean()), float(assets.inputs.std()) or 1.0
    value = graph.add("Sub", [value, graph.hold("mean", np.float32(mean))])
    value = graph.add("Div", [value, graph.hold("deviation", np.float32(deviation))])
    if assets.input.layout in ("NCHW", "NHWC"):
        value, width = _convolve(graph, value, assets)
    else:
        value, width = graph.add("Flatten", [value], axis=1), prod(assets.input.shape)
        for layer in range(2):
            value = graph.add("Relu", [graph.linear(f"hidden{layer}", value, width, _N_HIDDEN)])
            width = _N_HIDDEN
    value = graph.linear("head", value, width, output.n_classes)
    graph.add("Softmax" if assets.gives_probabilities else "Identity", [value], named=output.name)
    taken = helper.make_tensor_value_info(
        assets.input.name,
        helper.np_dtype_to_tensor_dtype(np.dtype(assets.input.dtype)),
        ["n", *assets.input.shape],
    )
    given = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["n", output.n_classes])
    built = helper.make_graph(graph.nodes, "plain_network", [taken], [given], graph.initializers)
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def _convolve(graph: _Graph, value: str, assets: BaseAssets) -> tuple[str, int]:
    shape = assets.input.shape
    if assets.input.layout == "NHWC":
        value, shape = graph.add("Transpose", [value], perm=[0, 3, 1, 2]), (shape[2], *shape[:2])
    n_in, *sides = shape
    n_halvings = max(0, ceil(log2(max(sides) / _LARGEST_SIDE)))
    for number, (n_out, stride) in enumerate(((_CONVOLUTIONS[0][0], 2),) * n_halvings + _CONVOLUTIONS):
        name = f"convolution{number}"
        inputs = [value, *graph.weights(name, (n_out, n_in, 3, 3))]
        value = graph.add("Relu", [graph.add("Conv", inputs, pads=[1, 1, 1, 1], strides=[stride, stride])])
        n_in = n_out
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [value])], axis=1), n_in


class _Graph:
    """Nodes and initializers, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, op_type: str, inputs: list[str], named: str = "", **attributes: Any) -> str:
        """Add a node and return the name of what it gives."""
        # No input or output of a base is called so.
        name = named or f"student/{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, inputs, [name], name=f"student/node{len(self.nodes)}", **attributes)
        )
        return name

    def hold(self, name: str, values: NDArray[np.float32] | np.float32) -> str:
        """Add an initializer and return its name."""
        self.initializers.append(numpy_helper.from_array(np.asarray(values), f"student/{name}"))
        return f"student/{name}"

    def weights(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """Add the weight and the bias of a layer, all zero, and return their names."""
        arrays = {"weight": np.zeros(shape, np.float32), "bias": np.zeros(shape[0], np.float32)}
        return [self.hold(f"{name}.{part}", array) for part, array in arrays.items()]

    def linear(self, name: str, value: str, n_in: int, n_out: int) -> str:
        """Add a fully connected layer and return the name of what it gives."""
        return self.add("Gemm", [value, *self.weights(name, (n_out, n_in))], transB=1)
