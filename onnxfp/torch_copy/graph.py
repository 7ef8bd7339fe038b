"""Runs an ONNX graph node by node with the torch functions of the table.

A graph is prepared once: attributes are read, nodes that depend on constants alone are computed, nodes that the
outputs do not need are dropped, and for every value it is known after which node it can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
import torch

from onnxfp.errors import ConversionError
from onnxfp.model.traversal import taken_names, weight_name
from onnxfp.torch_copy.fusion import fuse
from onnxfp.torch_copy.integer_weights import centre_levels
from onnxfp.torch_copy.operators.registry import Node, find
from onnxfp.torch_copy.step import Placement, Step, Values, describe
from onnxfp.torch_copy.tensors import initializer_tensor, to_tensor

# Never folded: each run draws anew.
# A folded constant larger than this is cheaper to compute again than to keep (a ConstantOfShape of gigabytes).
_MAX_FOLDED_VALUES = 2**26


class Graph:
    """A graph that can be run.

    Args:
        graph: The ONNX graph.
        opsets: Opset that the model imports, by domain.
        outputs: Names of the outputs that are wanted; ``None`` for all of the graph's own.
        fixed: Values for some of its inputs, which then count as constants.
        outer: Constants of the graphs around it, for a subgraph.
        placement: Where its values live; on the CPU by default.

    Attributes:
        inputs: Names of the inputs that remain.
        outputs: Names of the outputs.
        constants: Stored and folded tensors that the steps use, by name.
        steps: The nodes to run, in order.
        levels: Names of constants that are weights of quantised layers (:mod:`~onnxfp.torch_copy.integer_weights`).
        kept: Names of constants that are weights from attributes.
        captured: Names of values that come from the graph around it.
        placement: Where its values live; it may change between runs, and the constants with it.

    Raises:
        ConversionError: Some operators are not in the table; all of them are named.
    """

    def __init__(
        self,
        graph: onnx.GraphProto,
        opsets: Mapping[str, int],
        *,
        outputs: Sequence[str] | None = None,
        fixed: Mapping[str, torch.Tensor] | None = None,
        outer: Mapping[str, Any] | None = None,
        placement: Placement | None = None,
    ) -> None:
        self.placement = placement or Placement()
        self._opsets = dict(opsets)
        self.constants: Values = {**{t.name: initializer_tensor(t) for t in graph.initializer}, **(fixed or {})}
        for sparse in graph.sparse_initializer:
            self.constants[sparse.values.name] = _dense(sparse)
        self._outer = dict(outer or {})
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.outputs = list(outputs) if outputs is not None else [value.name for value in graph.output]
        nodes, used = _needed(graph, self.outputs)
        self.kept: set[str] = set()
        steps = self._prepare(nodes, used)
        self.levels = centre_levels(steps, self.constants)
        self.steps = fuse(steps, self.constants, self.outputs)
        produced = {name for step in self.steps for name in step.outputs} | set(self.inputs)
        wanted = {name for step in self.steps for name in (*step.inputs, *step.captured) if name} | set(self.outputs)
        self.captured = tuple(sorted(wanted - produced - set(self.constants)))
        self.constants = {name: value for name, value in self.constants.items() if name in wanted}
        self._plan_forgetting()

    def run(self, values: Values) -> list[Any]:
        """Return the outputs.

        Args:
            values: Inputs, constants and captured values by name; it is filled and emptied along the way.
        """
        for step in self.steps:
            try:
                step.run(values)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                raise ConversionError(f"{describe(step.node)} failed in the torch copy: {error}") from error
            for name in step.forget:
                del values[name]
        return [values[name] for name in self.outputs]

    def family(self) -> Iterator[Graph]:
        """Yield the graph and the subgraphs that its steps run, theirs included."""
        yield self
        for step in self.steps:
            for subgraph in step.subgraphs:
                yield from subgraph.family()

    def _prepare(self, nodes: list[onnx.NodeProto], used: set[str]) -> list[Step]:
        steps: list[Step] = []
        missing: list[str] = []
        for proto in nodes:
            try:
                step = self._step(proto, used)
            except ConversionError as error:
                missing.append(str(error))
                continue
            if not missing and not self._fold(step):
                steps.append(step)
        if missing:
            raise ConversionError(
                "; ".join(dict.fromkeys(missing)),
                hint="export the model with another opset or exporter, or use --gradient estimate (slow)",
            )
        return steps

    def _step(self, proto: onnx.NodeProto, used: set[str]) -> Step:
        opset = self._opsets.get(proto.domain, 1 if proto.domain else 0)
        version = schema_version(proto.op_type, proto.domain, opset)
        factory = find(proto.domain, proto.op_type, version)
        if factory is None:
            raise ConversionError(f"{describe(proto)}: operator version {version} (opset {opset}) is not supported")
        subgraphs: list[Graph] = []

        def build_subgraph(graph: onnx.GraphProto) -> Graph:
            outer = {**self._outer, **self.constants}
            subgraphs.append(Graph(graph, self._opsets, outer=outer, placement=self.placement))
            return subgraphs[-1]

        kept: dict[str, torch.Tensor] = {}

        def keep_weight(name: str, weight: torch.Tensor) -> None:
            kept[weight_name(proto, name)] = weight

        node = Node(
            op_type=proto.op_type,
            domain=proto.domain,
            version=version,
            opset=opset,
            name=proto.name,
            n_inputs=len(proto.input),
            n_outputs=len(proto.output),
            attributes={a.name: _attribute_value(a) for a in proto.attribute},
            build_subgraph=build_subgraph,
            keep_weight=keep_weight,
        )
        try:
            function = factory(node)
        except (KeyError, ValueError, TypeError) as error:
            raise ConversionError(f"{describe(proto)} has unusable attributes: {error!r}") from error
        outputs = tuple(name if name in used else "" for name in proto.output)
        while outputs and not outputs[-1]:
            outputs = outputs[:-1]
        captured = tuple(dict.fromkeys(name for subgraph in subgraphs for name in subgraph.captured))
        self.constants.update(kept)
        self.kept.update(kept)
        inputs = (*proto.input, *kept)
        return Step(function, inputs, outputs, captured, (), (proto,), self.placement, tuple(subgraphs))

    def _fold(self, step: Step) -> bool:
        """Compute a node whose inputs are all constant; return whether that was done."""
        names = [name for name in (*step.inputs, *step.captured) if name]
        if step.traits.is_random or not all(name in self.constants for name in names):
            return False
        values = {name: self.constants[name] for name in names}
        with torch.no_grad():
            try:
                step.run(values)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                raise ConversionError(f"{describe(step.node)} failed in the torch copy: {error}") from error
        outputs = {name: values[name] for name in step.outputs if name in values}
        if any(not isinstance(v, torch.Tensor) or v.numel() > _MAX_FOLDED_VALUES for v in outputs.values()):
            return False
        self.constants.update(outputs)
        return True

    def _plan_forgetting(self) -> None:
        keep = set(self.outputs) | set(self.constants)
        for step in reversed(self.steps):
            names = {name for name in (*step.inputs, *step.captured, *step.outputs) if name}
            step.forget = tuple(sorted(names - keep))
            keep |= names


def schema_version(op_type: str, domain: str, opset: int) -> int:
    """Return the version of an operator's definition that is in force at an opset; 1 where ONNX does not define it."""
    try:
        return int(onnx.defs.get_schema(op_type, opset, domain).since_version)
    except onnx.defs.SchemaError:
        return 1


def _needed(graph: onnx.GraphProto, outputs: Sequence[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that the outputs depend on, in order, and the names that these nodes and the outputs use."""
    wanted = set(outputs)
    kept = []
    for node in reversed(graph.node):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted.update(filter(None, taken_names(node)))
    return kept[::-1], wanted


def _attribute_value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == onnx.AttributeProto.TENSOR:
        return initializer_tensor(value)
    if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
        return _dense(value)
    if attribute.type == onnx.AttributeProto.STRING:
        return value.decode("utf-8", "replace")
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [text.decode("utf-8", "replace") for text in value]
    return value


def _dense(sparse: onnx.SparseTensorProto) -> torch.Tensor:
    values = initializer_tensor(sparse.values)
    indices = to_tensor(onnx.numpy_helper.to_array(sparse.indices))
    shape = tuple(sparse.dims)
    dense = torch.zeros(shape, dtype=values.dtype)
    where = tuple(indices.T) if indices.ndim == 2 else torch.unravel_index(indices, shape)
    dense[where] = values
    return dense
