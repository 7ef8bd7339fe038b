"""Stored weights of quantised layers as floating point, so that weight noise reaches them.

A layer that multiplies integers stores levels, and a zero point for all of them, for each row or for each column. Here
the zero point is subtracted once, when the graph is prepared: what remains is the weight in units of its scale, and
every layer computes with it what it computed before, to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from onnxfp.torch_copy.operators.quantisation import along

if TYPE_CHECKING:
    from onnxfp.torch_copy.step import Step


def centre_levels(steps: list[Step], constants: dict[str, Any]) -> set[str]:
    """Replace stored levels of weights, and their zero points, by the differences.

    Args:
        steps: Steps of a graph, changed in place.
        constants: Stored and folded values; the differences are added.

    Returns:
        Names of the differences.
    """
    centred: dict[tuple[str, str], str] = {}
    for number, step in enumerate(steps):
        stored = step.traits.integer_weight
        if stored is None:
            continue
        position, zero_position, axis = stored.position, stored.zero_point, stored.axis
        name, zero_name = step.inputs[position], (*step.inputs, *[""] * zero_position)[zero_position]
        weight, zero = constants.get(name), constants.get(zero_name)
        if not isinstance(weight, Tensor) or (zero_name and not isinstance(zero, Tensor)):
            continue
        if any(a.name == "transB" and a.i for a in step.node.attribute):
            axis = 0
        levels = weight.float()
        if zero is not None:
            levels = levels - along(zero, weight, axis, 0).float()
        if (name, zero_name) not in centred:
            fresh = f"{name}.levels" if f"{name}.levels" not in constants else f"{name}.levels.{zero_name}"
            centred[name, zero_name] = fresh
            constants[fresh] = levels
        inputs = list(step.inputs)
        inputs[position] = centred[name, zero_name]
        if zero_name:
            inputs[zero_position] = ""
        steps[number] = replace(step, inputs=tuple(inputs))
    return set(centred.values())
