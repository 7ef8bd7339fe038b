"""A model whose Loop never ends: stopped by the clock, with the limit named."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxfp
from onnxfp import Execution, Limits
from onnxfp.errors import OnnxfpError


def endless(path: Path, model: onnx.ModelProto) -> Path:
    """Put a Loop in front of a classifier: with every input it counts until the end of time."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Mul", ["carried", "one"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(numpy_helper.to_array(helper.make_tensor("", 1, [], [1.0])), "one")],
    )
    loop = helper.make_node("Loop", ["", "always", "image"], ["looped"], body=body)
    always = helper.make_node("Constant", [], ["always"], value=helper.make_tensor("", TensorProto.BOOL, [], [True]))
    model.graph.node[0].input[0] = "looped"
    model.graph.node.insert(0, loop)
    model.graph.node.insert(0, always)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_suspect_that_never_answers(
    make_classifier: Callable[..., onnx.ModelProto], crafted: tuple[Path, Path], tmp_path: Path
) -> None:
    suspect = endless(tmp_path / "endless.onnx", make_classifier())
    began = time.monotonic()
    with pytest.raises(OnnxfpError, match="longer than the 3 s that are allowed"):
        onnxfp.verify(suspect, crafted[1], execution=Execution(limits=Limits(seconds=3)))
    assert time.monotonic() - began < 60


def test_a_base_that_never_answers(make_classifier: Callable[..., onnx.ModelProto], tmp_path: Path) -> None:
    base = endless(tmp_path / "endless.onnx", make_classifier())
    with pytest.raises(OnnxfpError, match="longer than the 3 s that are allowed"):
        onnxfp.generate(base, execution=Execution(limits=Limits(seconds=3)))
