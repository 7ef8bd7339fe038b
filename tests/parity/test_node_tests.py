"""ONNX's own node tests: every operator a classifier may need, output equal to the expected one, gradient right.

The cases come with the onnx package, which computes them by its reference implementation. Gradients are compared with
central differences of the copy itself, in double precision and along a random direction.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from onnxfp.torch_copy import operators  # noqa: F401 - fills the table
from onnxfp.torch_copy.graph import Graph
from onnxfp.torch_copy.tensors import initializer_tensor, to_tensor

NAMES = [
    line
    for line in (Path(__file__).parent / "core_node_tests.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@cache
def cases() -> dict[str, Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        # The reference implementation divides by zero on purpose.
        warnings.simplefilter("ignore")
        return {case.name: case for case in collect_testcases(None)}


def as_torch(value: Any) -> Any:
    if isinstance(value, list):
        return [as_torch(item) for item in value]
    if isinstance(value, onnx.TensorProto):
        return initializer_tensor(value)
    return value if value is None else to_tensor(np.asarray(value))


def compare(found: Any, expected: Any, rtol: float, atol: float) -> None:
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            compare(a, b, rtol, atol)
        return
    expected = onnx.numpy_helper.to_array(expected) if isinstance(expected, onnx.TensorProto) else np.asarray(expected)
    array = found.numpy()
    assert array.shape == expected.shape
    assert to_tensor(expected).dtype == found.dtype
    np.testing.assert_allclose(array.astype(expected.dtype), expected, rtol=rtol, atol=atol)


# Cases in which onnxruntime gives something else; the copy follows it, as every copy is compared with it.
OTHERWISE = {
    "test_resize_downsample_scales_cubic_align_corners": "divides by the number of positions less one",
    "test_resize_downsample_scales_linear_align_corners": "divides by the number of positions less one",
}


def test_the_list_is_whole() -> None:
    assert len(NAMES) == len(set(NAMES)) == 829
    assert set(OTHERWISE) < set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OTHERWISE])
def test_node(name: str) -> None:
    case = cases()[name]
    model: onnx.ModelProto = case.model
    graph = Graph(model.graph, {entry.domain: entry.version for entry in model.opset_import})
    for inputs, outputs in case.data_sets:
        values = dict(graph.constants)
        values.update({value.name: as_torch(data) for value, data in zip(model.graph.input, inputs, strict=False)})
        with torch.no_grad():
            found = graph.run(values)
        for one, expected in zip(found, outputs, strict=True):
            compare(one, expected, case.rtol, case.atol)


# Steps: their derivative is zero wherever it exists. Some pass the gradient straight through, which is tested apart.
STEPS = {
    *("ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "DequantizeLinear", "DynamicQuantizeLinear", "Equal", "EyeLike"),
    *("Floor", "Greater", "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less", "LessOrEqual", "NonZero", "OneHot"),
    *("QLinearConv", "QLinearMatMul", "QuantizeLinear", "Range", "Round", "Shape", "Sign", "Size"),
}
# Cases whose data lie where there is no derivative.
KINKS = {
    "test_elu_example": "x = 0",
    "test_l2normalization_axis_0": "a norm of 0",
    "test_leakyrelu_example": "x = 0",
    "test_maxpool_3d_dilations": "equal values in a window",
    "test_maxpool_3d_dilations_use_ref_impl": "equal values in a window",
    "test_pow": "0 to a negative power",
    "test_reduce_min_default_axes_keepdims_example": "two equal minima",
    "test_selu_example": "x = 0",
    "test_thresholdedrelu_example": "x = alpha",
}


def double(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def slopes(name: str) -> tuple[float, float, float] | None:
    """Return the copy's slope along a random direction, the central difference, and the scale of both."""
    case, step = cases()[name], 1e-6
    model: onnx.ModelProto = case.model
    graph = Graph(model.graph, {entry.domain: entry.version for entry in model.opset_import})
    constants = {key: double(value) for key, value in graph.constants.items()}
    given = zip(model.graph.input, case.data_sets[0][0], strict=False)
    inputs = {value.name: double(as_torch(data)) for value, data in given}
    floats = [key for key, v in inputs.items() if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel()]
    if not floats or any(node.op_type in STEPS for node in model.graph.node):
        return None
    first, generator = floats[0], torch.Generator().manual_seed(0)
    mixes: dict[torch.Size, torch.Tensor] = {}

    def total(x: torch.Tensor) -> torch.Tensor:
        outputs = graph.run({**constants, **inputs, first: x})
        chosen = [y for y in outputs if isinstance(y, torch.Tensor) and y.is_floating_point()]
        for y in chosen:
            mixes.setdefault(y.shape, torch.randn(y.shape, generator=generator, dtype=torch.float64))
        return sum(((y.double() * mixes[y.shape]).sum() for y in chosen), torch.zeros((), dtype=torch.float64))

    x = inputs[first].clone().requires_grad_(True)
    y = total(x)
    gradient = torch.autograd.grad(y, x)[0] if y.requires_grad else torch.zeros_like(x)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = total(inputs[first] + step * direction), total(inputs[first] - step * direction)
    found, expected = float((gradient * direction).sum()), float((ahead - behind) / (2 * step))
    if not bool(torch.isfinite(y)):
        return None
    return found, expected, float((gradient * direction).abs().sum()) + abs(expected) + 1e-3


def test_every_gradient() -> None:
    compared, wrong = 0, {}
    for name in NAMES:
        found = None if name in KINKS else slopes(name)
        if found is not None:
            compared += 1
            if not abs(found[0] - found[1]) <= 1e-4 * found[2]:
                wrong[name] = found
    assert not wrong
    assert compared > 550
