"""ONNX's own node tests: every operator a classifier may need, output equal to the expected one.

The cases come with the onnx package, which computes them by its reference implementation.
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

from onnxfp.base import operators  # noqa: F401 - fills the table
from onnxfp.base.interpreter import Graph
from onnxfp.base.tensors import initializer_tensor, to_tensor

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


def test_the_list_is_whole() -> None:
    assert len(NAMES) == len(set(NAMES)) == 829


@pytest.mark.parametrize("name", NAMES)
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
