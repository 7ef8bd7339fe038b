"""Is the torch copy faithful? Compared with onnxruntime on the same inputs, score by score.

onnxruntime runs the graph as it is written, without fusing nodes: fused quantised kernels round differently, and
such differences are not the copy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from onnxfp.errors import ParityError
from onnxfp.runtime.local import LocalRuntime
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import TorchCopy
from onnxfp.types import ModelInput, Scores

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLERANCE = 1e-3
"""Largest difference of a score, relative to the largest score, that a faithful copy may show."""

HALF_TOLERANCE = 3e-2
"""The same where the graph computes in half precision and the copy in float32."""

ROUNDING_TOLERANCE = 0.1
"""The same where the graph rounds to integers: one level more or less, after another order of summation, moves scores
by percents. On half of the inputs the difference must still stay below :data:`HALF_TOLERANCE`."""

# Inputs on which the copy is run once more with a gradient, as examples are crafted: activations are kept then.
_N_WITH_GRADIENT = 4


@dataclass(frozen=True, slots=True)
class Parity:
    """Agreement of a torch copy with onnxruntime.

    Attributes:
        max_abs_difference: Largest difference of a score, in the scores' units.
        max_rel_difference: The same, relative to the largest absolute score.
        median_rel_difference: Median over the inputs of what ``max_rel_difference`` is the maximum of.
        n_label_flips: Inputs to which the two give different labels.
        n_inputs: Inputs compared.
    """

    max_abs_difference: float
    max_rel_difference: float
    median_rel_difference: float
    n_label_flips: int
    n_inputs: int


def measure_parity(copy: TorchCopy, session: ModelSession, inputs: ModelInput) -> Parity:
    """Compare the copy's scores with onnxruntime's.

    Args:
        copy: The torch copy, anywhere.
        session: The same model in onnxruntime.
        inputs: ``(n, *shape)`` float32 model input, n at least 1.
    """
    found, expected = _both(copy, session, inputs)
    worst, scale = _worst_differences(found, expected), _scale(expected)
    flips = int(np.count_nonzero(found.argmax(axis=1) != expected.argmax(axis=1)))
    largest, median = float(worst.max()), float(np.median(worst))
    return Parity(largest, largest / scale, median / scale, flips, len(inputs))


def check_parity(copy: TorchCopy, session: ModelSession, inputs: ModelInput) -> Parity:
    """Compare as :func:`measure_parity` does, and refuse a copy that disagrees, with onnxruntime or with itself.

    Raises:
        ParityError: Scores differ by more than :data:`TOLERANCE` of the largest (:data:`HALF_TOLERANCE` in half
            precision, :data:`ROUNDING_TOLERANCE` in graphs that round), and the first node whose value differs is
            named; or the copy's own scores differ by as much once a gradient is wanted.
    """
    parity = measure_parity(copy, session, inputs)
    tolerance = ROUNDING_TOLERANCE if copy.rounds else HALF_TOLERANCE if copy.computes_in_float32 else TOLERANCE
    is_faithful = parity.max_rel_difference <= tolerance
    if copy.rounds:
        is_faithful &= parity.median_rel_difference <= HALF_TOLERANCE
    if not is_faithful:
        worst = int(_worst_differences(*_both(copy, session, inputs)).argmax())
        node = first_divergence(copy, session, inputs[worst : worst + 1], TOLERANCE)
        raise ParityError(
            f"the torch copy of {session.model.path} differs from onnxruntime by {parity.max_rel_difference:.2g} of "
            f"the largest score on {parity.n_inputs} inputs ({parity.n_label_flips} labels differ); "
            f"{tolerance:g} is allowed. First to differ: {node}",
            hint="this is a bug in onnxfp's table of operators; please report the node",
        )
    difference = _difference_with_gradient(copy, inputs[:_N_WITH_GRADIENT])
    if difference > tolerance:
        raise ParityError(
            f"the torch copy of {session.model.path} differs by {difference:.2g} of the largest score from itself when "
            f"a gradient is wanted; {tolerance:g} is allowed",
            hint="this is a bug in onnxfp's table of operators; please report the model's operators",
        )
    return parity


def _difference_with_gradient(copy: TorchCopy, inputs: ModelInput) -> float:
    """Return the largest difference that wanting a gradient makes to the scores, relative to the largest of them."""
    expected = copy_scores(copy, inputs)
    found = copy.score(torch.from_numpy(inputs).to(copy.device).requires_grad_(True)).detach().cpu()
    return float(_worst_differences(found.reshape(expected.shape).numpy(), expected).max()) / _scale(expected)


def _scale(scores: Scores) -> float:
    """Return the largest finite magnitude of a score, or 1 where there is none."""
    return float(np.nan_to_num(np.abs(scores), posinf=0.0).max()) or 1.0


def _both(copy: TorchCopy, session: ModelSession, inputs: ModelInput) -> tuple[Scores, Scores]:
    expected = session.answer(inputs).scores
    if expected is None:
        raise ParityError(
            f"output {session.output.name!r} holds labels only, which have no gradient",
            hint="choose an output with scores by --output-name",
        )
    return copy_scores(copy, inputs), expected


def _worst_differences(found: Scores, expected: Scores) -> NDArray[np.float32]:
    """Return the largest difference of a score for each input, ``(n,)``."""
    difference = np.abs(found - expected)
    # A NaN on one side only is the largest difference there is; on both it is agreement.
    difference = np.where(np.isnan(found) & np.isnan(expected), 0.0, np.nan_to_num(difference, nan=np.inf))
    return np.asarray(difference.max(axis=1))


def copy_scores(copy: TorchCopy, inputs: ModelInput, batch_size: int = 64) -> Scores:
    """Return the copy's scores: ``(n, n_classes)`` float32 for ``(n, *shape)`` float32 model input."""
    with torch.no_grad():
        parts = [copy.score(batch.to(copy.device)).cpu() for batch in torch.split(torch.from_numpy(inputs), batch_size)]
    scores: Scores = torch.cat(parts).reshape(len(inputs), -1).numpy()
    return scores


def first_divergence(copy: TorchCopy, session: ModelSession, inputs: ModelInput, tolerance: float) -> str:
    """Return the first node, in the order of computation, whose output differs between the two.

    Args:
        copy: The torch copy.
        session: The same model in onnxruntime.
        inputs: ``(n, *shape)`` float32 model input.
        tolerance: Difference that counts, relative to the largest value of the node's output.
    """
    names = [name for node in session.model.proto.graph.node for name in node.output if name]
    with torch.no_grad():
        found = copy.intermediate(torch.from_numpy(inputs).to(copy.device), names)
    expected = _intermediate_values(session, inputs, list(found))
    for node in session.model.proto.graph.node:
        for name in node.output:
            if name in expected and _differs(found[name], expected[name], tolerance):
                return f"node {node.name or name!r} ({node.op_type})"
    return "no single node; the differences add up"


def _intermediate_values(session: ModelSession, inputs: ModelInput, names: list[str]) -> Mapping[str, NDArray[Any]]:
    model = session.model.load_proto()
    del model.graph.output[:]
    # A name alone: onnxruntime infers type and shape.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    probe = LocalRuntime(model.SerializeToString(), "cpu", optimise=False)
    values = probe.run(names, session.feeds(inputs.astype(session.input.dtype)))
    return {name: value for name, value in zip(names, values, strict=True) if isinstance(value, np.ndarray)}


def _differs(found: Any, expected: NDArray[Any], tolerance: float) -> bool:
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != expected.shape:
        return True
    a, b = found.cpu().double().numpy(), expected.astype(np.float64)
    scale = max(float(np.abs(np.nan_to_num(b)).max(initial=0.0)), 1e-30)
    return bool((np.nan_to_num(np.abs(a - b), nan=np.inf) > tolerance * scale).any())
