"""The torch copy: a differentiable twin of the owner's ONNX graph.

One table of plain torch functions (:mod:`onnxfp.torch_copy.operators`) and a small interpreter, no converter library.
Reasons, all measured: onnx2torch 1.5.15, the best-known converter, accepts none of 45 torchvision models from
PyTorch's present exporter and passes 251 of ONNX's 829 node tests that a classifier may need; extended by version
fallbacks it becomes silently wrong in Resize, AveragePool, Split, TopK and others; its registry cannot express
control flow or recurrent layers; and it demands torchvision. It serves as an independent second copy in the tests:
wherever it converts a model, this one must agree with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Self

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onnxfp.errors import ConversionError
from onnxfp.model.op_traits import find_traits
from onnxfp.model.traversal import graphs_below
from onnxfp.torch_copy import operators  # noqa: F401 - fills the table
from onnxfp.torch_copy.batching import Scorer, choose_batching
from onnxfp.torch_copy.graph import Graph
from onnxfp.torch_copy.operators.straight_through import as_integers, carries_gradient
from onnxfp.torch_copy.step import Values
from onnxfp.torch_copy.tensors import to_tensor, torch_dtype
from onnxfp.types import OutputKind

_IMAGE_AXES = 4

_log = logging.getLogger(__name__)


class TorchCopy(nn.Module):
    """A differentiable twin of one ONNX classifier, in evaluation mode, every weight frozen.

    Made by :func:`build_torch_copy`. ``.to(device)`` moves it as any module.

    Attributes:
        computes_in_float32: Whether half-precision parts of the graph are computed in float32.
        levels: Names of the weights that are levels of quantised layers, less their zero points.
        rounds: Whether the graph rounds to integers on its way, as quantised graphs do.
        score: Scores a batch of any size: :meth:`forward`, or after :meth:`adapt` what the graph's batch and output
            demand. ``(n, *shape)`` to ``(n, n_classes)``.
    """

    _single: Tensor

    def __init__(self, graph: Graph, input_name: str, input_dtype: torch.dtype, *, computes_in_float32: bool) -> None:
        super().__init__()
        self._graph, self._input_name, self._input_dtype = graph, input_name, input_dtype
        self.score: Scorer = self.forward
        self.computes_in_float32 = computes_in_float32
        steps = [step for member in graph.family() for step in member.steps]
        self.rounds = any(find_traits(node.domain, node.op_type).rounds for step in steps for node in step.nodes)
        # What float32 values are and where they live, once the copy is moved.
        self.register_buffer("_single", torch.zeros(()), persistent=False)
        self.levels: set[str] = set()
        self._weights: dict[str, str] = {}
        self._tied: list[tuple[Values, str, str]] = []
        for member in graph.family():
            self._register(member)
        filters = self.weights()
        self._images = any(
            step.kind == "Conv" and step.inputs[1] in filters and filters[step.inputs[1]].ndim == _IMAGE_AXES
            for step in steps
        )
        self.eval()
        self._arrange()

    def _register(self, graph: Graph) -> None:
        """Make a graph's constants parameters and buffers, so that they move with the copy."""
        weights = _weight_names(graph)
        for name, value in graph.constants.items():
            if not isinstance(value, Tensor) or value.dtype == torch.int64:
                # Shapes, axes and indices stay on the CPU, where they are read.
                continue
            attribute = f"constant_{len(self._tied)}"
            self._tied.append((graph.constants, name, attribute))
            if name in weights and value.is_floating_point():
                # Two branches may store different weights of one name.
                unique = next(key for key in _numbered(name) if key not in self._weights)
                self._weights[unique] = attribute
                if name in graph.levels:
                    self.levels.add(unique)
                self.register_parameter(attribute, nn.Parameter(value, requires_grad=False))
            else:
                self.register_buffer(attribute, value)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._arrange()
        return self

    def _arrange(self) -> None:
        """Let the graphs see where their constants are now.

        Images and filters are channels last on the CPU, where convolutions would reorder them in every layer.
        """
        placement = self._graph.placement
        placement.device, placement.single = self._single.device, self._single.dtype
        self._layout = torch.channels_last if self._images and self.device.type == "cpu" else torch.contiguous_format
        for parameter in self.parameters():
            if parameter.ndim == _IMAGE_AXES:
                parameter.data = parameter.data.contiguous(memory_format=self._layout)
        for constants, name, attribute in self._tied:
            constants[name] = getattr(self, attribute)

    @property
    def device(self) -> torch.device:
        """Where the copy lives."""
        return self._single.device

    def adapt(self, output_kind: OutputKind, batch: int | None, probes: Tensor) -> None:
        """Make :attr:`score` take any batch and give a score for each class.

        Args:
            output_kind: What the output holds; one number becomes the scores of two classes.
            batch: Batch size that the graph demands, or ``None``.
            probes: ``(n, *shape)`` model input to try on, n at least 3, on the copy's device.

        Raises:
            ConversionError: The graph runs in no way.
        """
        batched = choose_batching(self.forward, batch, probes)
        if output_kind == "scores":
            self.score = lambda x: batched(x).flatten(1)
        else:
            sign = 0.0 if output_kind == "logit" else 1.0

            def both(x: Tensor) -> Tensor:
                second = batched(x).reshape(len(x), 1)
                return torch.cat([sign - second, second], dim=1)

            self.score = both

    def weights(self) -> dict[str, nn.Parameter]:
        """Return the trained weights by their ONNX names: what weight noise perturbs.

        Weights and biases of convolutions, linear and recurrent layers, and scales and shifts of normalisations, in
        the graph and its subgraphs. Those in attributes are called ``<first output of the node>.<attribute>``, those
        that quantised layers store as integers ``<name>.levels``. Running statistics, preprocessing constants, shapes
        and the integer biases of quantised layers are not among them.
        """
        return {name: self.get_parameter(attribute) for name, attribute in self._weights.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return the chosen output.

        Args:
            x: ``(n, *shape)`` floating-point model input.

        Returns:
            ``(n, n_classes)`` scores in float32, or whatever else the chosen output holds; in float64 where ``x`` is,
            for a copy that was made ``.double()``.

        Raises:
            ConversionError: A node fails on this input; it is named.
        """
        output = self._graph.run(self._values(x))[0]
        return output.float() if output.is_floating_point() and x.dtype != torch.float64 else output  # type: ignore[no-any-return]

    def intermediate(self, x: Tensor, names: list[str]) -> dict[str, Any]:
        """Return the values that some nodes produce on the way, to find where two copies part.

        Args:
            x: ``(n, *shape)`` model input.
            names: Names of node outputs; those that were folded into constants or dropped are left out.
        """
        values = self._values(x)
        found: dict[str, Any] = {}
        wanted = set(names)
        for step in self._graph.steps:
            step.run(values)
            # Copied, as the next step may overwrite it.
            found.update({n: _copied(values[n]) for n in step.outputs if n in wanted and n in values})
            for name in step.forget:
                del values[name]
        return found

    def _values(self, x: Tensor) -> Values:
        values = dict(self._graph.constants)
        # A single example, as vmap runs them too, has no layout to choose.
        if x.ndim == _IMAGE_AXES and len(x) > 1:
            x = x.contiguous(memory_format=self._layout)
        if not self._input_dtype.is_floating_point:
            x = self._as_integers(x)
        elif x.dtype != torch.float64:
            # Double precision is kept.
            x = x.to(self._input_dtype)
        values[self._input_name] = x
        return values

    def _as_integers(self, x: Tensor) -> Tensor:
        """Return an integer input as the graph takes it, or where a gradient flows what stands for it."""
        if not x.is_floating_point() or self._input_dtype == torch.bool:
            return x
        limits = torch.iinfo(self._input_dtype)
        # Rounded as a session rounds what it feeds.
        values = x.detach().round().clamp(limits.min, limits.max).to(self._input_dtype)
        return as_integers(x, values) if carries_gradient(x) else values


def build_torch_copy(
    model: onnx.ModelProto,
    *,
    input_name: str | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, NDArray[Any]] | None = None,
) -> TorchCopy:
    """Return the torch copy of a model.

    Args:
        model: The model, external data included; it stays as it is.
        input_name: The input that remains; the only one without a value by default.
        output_name: The output that is wanted; the first by default.
        fixed: Values for the other inputs.

    Raises:
        ConversionError: Some operators are not supported; all of them are named.
    """
    model = inline_functions(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opsets.setdefault("", opsets.get("ai.onnx", 1))
    has_halves = _has_halves(model)
    if has_halves:
        model = _with_wide_halves(model)
        _log.info("the graph computes in half precision; its torch copy computes in float32")
    values = {name: to_tensor(array) for name, array in (fixed or {}).items()}
    initializers = {tensor.name for tensor in model.graph.initializer}
    free = [value for value in model.graph.input if value.name not in initializers and value.name not in values]
    chosen = next((value for value in free if input_name in (None, value.name)), None)
    if chosen is None or len(free) != 1:
        raise ConversionError(
            f"one input is needed, the graph has {[value.name for value in free]}",
            hint="choose one with --input and give the others a value with --fix name=value",
        )
    output = output_name or model.graph.output[0].name
    graph = Graph(model.graph, opsets, outputs=[output], fixed=values)
    dtype = torch_dtype(chosen.type.tensor_type.elem_type)
    return TorchCopy(graph, chosen.name, dtype, computes_in_float32=has_halves)


def _weight_names(graph: Graph) -> set[str]:
    """Return the names of the trained weights that the nodes of a graph and of its subgraphs use."""
    names = {
        node.input[position]
        for step in graph.steps
        for node in step.nodes
        for position in find_traits(node.domain, node.op_type).weight_inputs
        if position < len(node.input)
    }
    below = (_weight_names(subgraph) for step in graph.steps for subgraph in step.subgraphs)
    return names.union(graph.kept, graph.levels, *below)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}#{n}" for n in count(2))


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without model-local functions: each call replaced by the function's body."""
    if not model.functions:
        return model
    from onnx import inliner

    return inliner.inline_local_functions(model)


_HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def _has_halves(model: onnx.ModelProto) -> bool:
    """Return whether anything in the model is float16 or bfloat16."""
    for graph in graphs_below(model.graph):
        attributes = [(node, attribute) for node in graph.node for attribute in node.attribute]
        if (
            any(tensor.data_type in _HALVES for tensor in graph.initializer)
            or any(value.type.tensor_type.elem_type in _HALVES for value in (*graph.input, *graph.output))
            or any(_holds_half(attribute) or _casts_to_half(node, attribute) for node, attribute in attributes)
        ):
            return True
    return False


def _with_wide_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model with float32 in place of float16 and bfloat16 everywhere."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for graph in graphs_below(wide.graph):
        for tensor in graph.initializer:
            if tensor.data_type in _HALVES:
                tensor.CopyFrom(_widened(tensor))
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in _HALVES:
                value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if _holds_half(attribute):
                    attribute.t.CopyFrom(_widened(attribute.t))
                elif _casts_to_half(node, attribute):
                    attribute.i = onnx.TensorProto.FLOAT
    return wide


def _holds_half(attribute: onnx.AttributeProto) -> bool:
    return attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type in _HALVES


def _casts_to_half(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> bool:
    return node.op_type == "Cast" and attribute.name == "to" and attribute.i in _HALVES


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    array = onnx.numpy_helper.to_array(tensor).astype(np.float32)
    return onnx.numpy_helper.from_array(array, tensor.name)
