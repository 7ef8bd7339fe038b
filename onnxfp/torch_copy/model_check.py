"""Will a fingerprint of this model work? Everything that must hold, looked at in one go."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import onnx
import torch

from onnxfp.errors import ConversionError
from onnxfp.model.onnx_file import OnnxFile
from onnxfp.model.traversal import graphs_below
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import TorchCopy, build_torch_copy, inline_functions
from onnxfp.torch_copy.gradient_check import measure_gradient
from onnxfp.torch_copy.graph import schema_version
from onnxfp.torch_copy.operators.registry import find
from onnxfp.torch_copy.parity import Parity, check_parity
from onnxfp.types import InputSpec, ModelInput, OutputSpec


@dataclass(frozen=True, slots=True)
class OperatorUse:
    """One operator of the graph.

    Attributes:
        op_type: ONNX operator, with its domain unless that is ONNX's own.
        version: The version of its definition that is in force.
        n_nodes: Number of nodes.
        is_supported: Whether the table has it.
    """

    op_type: str
    version: int
    n_nodes: int
    is_supported: bool


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What was found.

    Attributes:
        digest: ``sha256:<hex>`` of the file.
        input: The tensor that examples go to.
        output: The tensor that scores are read from.
        opsets: Opset that the model imports, by domain.
        operators: Every operator in the graph.
        parity: Agreement with onnxruntime, or ``None`` where the model could not be converted.
        gradient_error: See :func:`~onnxfp.torch_copy.gradient_check.measure_gradient`; ``None`` without a copy, or
            where the scores are too flat to tell.
        computes_in_float32: Whether half-precision parts are computed in float32.
        milliseconds: Time of one forward and backward pass per example, or ``None``.
        problem: Why the model cannot be fingerprinted, or empty.
    """

    digest: str
    input: InputSpec
    output: OutputSpec
    opsets: tuple[tuple[str, int], ...]
    operators: tuple[OperatorUse, ...]
    parity: Parity | None
    gradient_error: float | None
    computes_in_float32: bool
    milliseconds: float | None
    problem: str


def check_model(file: OnnxFile, session: ModelSession, probes: ModelInput) -> ModelCheck:
    """Convert a model and compare the copy with onnxruntime.

    Args:
        file: The model's file.
        session: The same model in onnxruntime, without optimisations.
        probes: ``(n, *shape)`` float32 model input, n at least 3.

    Returns:
        What was found; a model that cannot be converted is a finding, not an error.

    Raises:
        ParityError: The copy was made, but disagrees with onnxruntime.
    """
    parity, gradient, milliseconds, problem, widened = None, None, None, "", False
    try:
        copy = build_torch_copy(
            file.load_proto(), input_name=session.input.name, output_name=session.output.name, fixed=session.fixed
        )
        copy.adapt(session.output.kind, session.input.batch, torch.from_numpy(probes))
        parity, widened = check_parity(copy, session, probes), copy.computes_in_float32
        gradient = measure_gradient(copy, session, probes)
        milliseconds = _time(copy, probes)
    except ConversionError as error:
        problem = str(error)
    return ModelCheck(
        digest=file.digest,
        input=session.input,
        output=session.output,
        opsets=tuple((entry.domain or "ai.onnx", entry.version) for entry in file.proto.opset_import),
        operators=list_operators(file.proto),
        parity=parity,
        gradient_error=gradient,
        computes_in_float32=widened,
        milliseconds=milliseconds,
        problem=problem,
    )


def list_operators(model: onnx.ModelProto) -> tuple[OperatorUse, ...]:
    """Return every operator in the graph and its subgraphs, most frequent first; model-local functions inlined."""
    model = inline_functions(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    counts: Counter[tuple[str, str, int]] = Counter()
    for graph in graphs_below(model.graph):
        for node in graph.node:
            version = schema_version(node.op_type, node.domain, opsets.get(node.domain, 1))
            counts[node.domain, node.op_type, version] += 1
    return tuple(
        OperatorUse(f"{domain}::{name}" if domain else name, version, n, find(domain, name, version) is not None)
        for (domain, name, version), n in counts.most_common()
    )


def _time(copy: TorchCopy, probes: ModelInput) -> float:
    """Return milliseconds of one forward and backward pass per example: the least of three."""
    seconds = []
    for _ in range(3):
        point = torch.from_numpy(probes).requires_grad_(True)
        began = time.perf_counter()
        torch.autograd.grad(copy.score(point).sum(), point)
        seconds.append(time.perf_counter() - began)
    return 1000 * min(seconds) / len(probes)
