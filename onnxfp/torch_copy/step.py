"""One step of a torch copy: an ONNX node with its torch function, and where its values live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
import torch

from onnxfp.errors import ConversionError
from onnxfp.model.op_traits import OpTraits, find_traits
from onnxfp.torch_copy.operators.registry import Function
from onnxfp.torch_copy.operators.straight_through import integer_type, on_integers

Values = dict[str, Any]


_CPU = torch.device("cpu")


@dataclass(slots=True)
class Placement:
    """Where the values of a graph and its subgraphs live, so that what a node makes from a shape lives there too.

    int64 stays on the CPU, where shapes, axes and indices are read.

    Attributes:
        device: Device of everything else.
        single: What float32 is computed in: float64 in a copy that was made ``.double()``.
    """

    device: torch.device = _CPU
    single: torch.dtype = torch.float32

    def put(self, value: Any) -> Any:
        """Return a value, or a sequence of them, where it belongs."""
        if self.device == _CPU and self.single == torch.float32:
            # So they are made.
            return value
        if isinstance(value, list):
            return [self.put(one) for one in value]
        if not isinstance(value, torch.Tensor) or value.dtype == torch.int64:
            return value
        return value.to(self.device, self.single if value.dtype == torch.float32 else value.dtype)


@dataclass(slots=True)
class Step:
    """One node, ready to run.

    Attributes:
        function: The torch function with its attributes bound.
        inputs: Names of its inputs, empty for an omitted one.
        outputs: Names of its outputs, empty for one that nobody wants.
        captured: Names of outer values that its subgraphs use.
        forget: Names of values that no later node needs.
        nodes: The ONNX nodes that it stands for: one, or those that were fused with it.
        placement: Where its outputs belong.
        subgraphs: The graphs (:class:`~onnxfp.torch_copy.graph.Graph`) that its function runs.
        overwriting: Limits of a ``Clip`` that may be applied in place, or ``None``.
    """

    function: Function
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    captured: tuple[str, ...]
    forget: tuple[str, ...]
    nodes: tuple[onnx.NodeProto, ...]
    placement: Placement
    subgraphs: tuple[Any, ...] = ()
    overwriting: tuple[float, float] | None = None

    @property
    def node(self) -> onnx.NodeProto:
        """The node that messages name."""
        return self.nodes[0]

    @property
    def kind(self) -> str:
        """ONNX operator of its node, empty for one of another domain than ONNX's."""
        return "" if self.node.domain not in ("", "ai.onnx") else self.node.op_type

    @property
    def traits(self) -> OpTraits:
        """What is known of its node's operator."""
        return find_traits(self.node.domain, self.node.op_type)

    def run(self, values: Values) -> None:
        """Compute the node's outputs and put them among ``values``.

        Raises:
            ConversionError: The function does not compute an output that somebody wants.
        """
        inputs = [values[name] if name else None for name in self.inputs]
        if self.captured:
            result = self.function(*inputs, outer={name: values[name] for name in self.captured})
        elif any(integer_type(x) for x in inputs) and not self.traits.takes_levels:
            result = on_integers(self.function, inputs)
        else:
            result = self.function(*inputs)
        results = result if type(result) is tuple else (result,)
        for position, name in enumerate(self.outputs):
            if name and position >= len(results):
                raise ConversionError(
                    f"{describe(self.nodes[-1])}: the torch copy does not compute its output {name!r}"
                )
            if name:
                values[name] = self.placement.put(results[position])


def describe(node: onnx.NodeProto) -> str:
    """Return a node's operator and name for a message."""
    domain = f"{node.domain}::" if node.domain else ""
    return f"node {node.name or (node.output[0] if node.output else '?')!r} ({domain}{node.op_type})"
