"""Steps of a prepared graph made cheaper without changing what they compute.

Each rule looks at neighbours only and needs no shapes:

* limits of a ``Clip`` that are stored in the model are read once, so that one kernel does the work of two;
* a ``BatchNormalization`` after a convolution becomes part of its weights, anew in every pass: weights are small beside
  activations, and weight noise must reach both of them as the graph has them;
* an activation overwrites the output of the layer before it where nobody else looks at that: one activation less to
  write, to read and to keep for the backward pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function

if TYPE_CHECKING:
    import onnx

    from onnxfp.torch_copy.step import Step

# The torch functions of these give new tensors, which their own backward passes do not read.
_OVERWRITABLE = {"Conv", "Gemm", "Add", "BatchNormalization"}
_STATISTICS = 4


def fuse(steps: list[Step], constants: Mapping[str, Any], outputs: Collection[str]) -> list[Step]:
    """Return steps that compute the same values in less time.

    Args:
        steps: Steps in order of computation.
        constants: Stored and folded values.
        outputs: Names of values that somebody outside these steps looks at.
    """
    uses = Counter(name for step in steps for name in (*step.inputs, *step.captured) if name)
    uses.update(outputs)
    makers: dict[str, int] = {}
    fused: list[Step] = []
    for step in steps:
        step = _with_stored_limits(step, constants)
        maker = makers.get(step.inputs[0]) if step.inputs else None
        before = fused[maker] if maker is not None and uses[step.inputs[0]] == 1 else None
        if maker is not None and before is not None and _is_foldable(before, step, constants):
            step = fused[maker] = _normalised_convolution(before, step)
        else:
            if before is not None and before.kind in _OVERWRITABLE:
                step = _overwriting(step)
            maker = len(fused)
            fused.append(step)
        makers.update(dict.fromkeys(step.outputs, maker))
    return fused


def _with_stored_limits(step: Step, constants: Mapping[str, Any]) -> Step:
    if step.kind != "Clip" or len(step.inputs) != 3:
        return step
    limits = [constants.get(name) for name in step.inputs[1:]]
    if not all(isinstance(limit, Tensor) and limit.numel() == 1 and limit.is_floating_point() for limit in limits):
        return step
    low, high = (float(limit.item()) for limit in limits if limit is not None)
    if not low < high:
        return step
    return replace(step, function=_between(low, high, F.hardtanh), inputs=step.inputs[:1], overwriting=(low, high))


def _between(low: float, high: float, function: Callable[[Tensor, float, float], Tensor]) -> Function:
    return lambda x: function(x, low, high)


def _overwriting(step: Step) -> Step:
    if step.kind == "Relu":
        return replace(step, function=torch.relu_)
    if step.kind == "Clip" and step.overwriting is not None:
        return replace(step, function=_between(*step.overwriting, F.hardtanh_))
    return step


def _is_foldable(before: Step, step: Step, constants: Mapping[str, Any]) -> bool:
    """Whether ``step`` normalises the channels of the convolution ``before`` by stored statistics alone."""
    if step.kind != "BatchNormalization" or before.kind != "Conv" or len(before.nodes) > 1:
        return False
    statistics = [constants.get(name) for name in step.inputs[1:]]
    weights = [constants.get(name) for name in before.inputs[1:] if name]
    if len(step.outputs) != 1 or len(statistics) != _STATISTICS or not weights:
        return False
    return all(isinstance(v, Tensor) and v.dtype == torch.float32 for v in (*statistics, *weights))


def _normalised_convolution(convolution: Step, normalisation: Step) -> Step:
    convolve, epsilon = convolution.function, _epsilon(normalisation.nodes[0])
    name, weight, *rest = convolution.inputs

    def run(
        x: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
    ) -> Any:
        factor = scale * torch.rsqrt(variance + epsilon)
        centre = mean if bias is None else mean - bias
        return convolve(x, weight * factor.reshape(-1, *[1] * (weight.ndim - 1)), shift - centre * factor)

    return replace(
        convolution,
        function=run,
        inputs=(name, weight, rest[0] if rest else "", *normalisation.inputs[1:]),
        outputs=normalisation.outputs,
        nodes=(*convolution.nodes, *normalisation.nodes),
    )


def _epsilon(node: onnx.NodeProto) -> float:
    return next((float(a.f) for a in node.attribute if a.name == "epsilon"), 1e-5)
