"""How an operator's torch function is registered and found.

To add an operator, write one function in the module of its family, and one row in :mod:`onnxfp.model.op_traits`::

    @operator("Elu", since=(1, 6, 22))
    def elu(node: Node) -> Function:
        alpha = node.float("alpha", 1.0)
        return lambda x: F.elu(x, alpha)

The outer function runs once, when the copy is built, and reads the attributes; the inner one runs in every pass.
``since`` lists the opset versions that the function was written for: a version that ONNX adds later is refused
until somebody has read what changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

Function = Callable[..., Any]
"""Takes the node's inputs in order (``None`` for an omitted one), returns its output or a tuple of its outputs."""

ONNX = ""
ML = "ai.onnx.ml"
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph, as its operator sees it.

    Attributes:
        op_type: ONNX operator.
        domain: Its domain, empty for ONNX's own.
        version: The version of the operator's definition that is in force.
        opset: The opset that the model imports for the domain.
        name: The node's name, for messages.
        n_inputs: Number of declared inputs.
        n_outputs: Number of declared outputs.
        attributes: Attribute values: numbers, strings, numpy arrays, graphs, and lists of those.
        build_subgraph: Turns a graph attribute into a callable, for control flow.
        keep_weight: Takes the name of an attribute, and the trained weight that it holds. The weight is given to the
            function as one more input, after the node's own and those kept before it.
    """

    op_type: str
    domain: str
    version: int
    opset: int
    name: str
    n_inputs: int
    n_outputs: int
    attributes: dict[str, Any]
    build_subgraph: Callable[[onnx.GraphProto], Any] = field(repr=False)
    keep_weight: Callable[[str, Tensor], None] = field(repr=False)

    def ints(self, name: str) -> list[int] | None:
        """Return a list of integers, or ``None`` where it is absent."""
        value = self.attributes.get(name)
        return None if value is None else list(map(int, value))

    def int(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        return int(self.attributes.get(name, default))

    def float(self, name: str, default: float) -> float:
        """Return a floating-point attribute."""
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """Return a string attribute."""
        return str(self.attributes.get(name, default))


Factory = Callable[[Node], Function]

_TABLE: dict[tuple[str, str], dict[int, Factory]] = {}


def operator(op_type: str, *, since: tuple[int, ...], domain: str = ONNX) -> Callable[[Factory], Factory]:
    """Register a function for an operator.

    Args:
        op_type: ONNX operator.
        since: Versions of its definition (opset numbers) that the function implements.
        domain: The operator's domain.
    """

    def register(factory: Factory) -> Factory:
        versions = _TABLE.setdefault((domain, op_type), {})
        for version in since:
            if version in versions:
                raise ValueError(f"{op_type}-{version} is registered twice")
            versions[version] = factory
        return factory

    return register


def find(domain: str, op_type: str, version: int) -> Factory | None:
    """Return the function for one version of an operator, or ``None`` where there is none."""
    return _TABLE.get((domain, op_type), {}).get(version)


def registered() -> dict[tuple[str, str], tuple[int, ...]]:
    """Return every operator in the table with its versions."""
    return {key: tuple(sorted(versions)) for key, versions in sorted(_TABLE.items())}
