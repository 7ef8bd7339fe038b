"""A model that asks for terabytes: stopped by the limit on memory, and nothing else on the machine notices."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import onnxfp
from onnxfp import Execution, Limits
from onnxfp.errors import OnnxfpError


def storm(path: Path, model: onnx.ModelProto, shape: list[int]) -> Path:
    """Expand the input to ``shape`` and reduce it again, in front of a classifier."""
    model.graph.node[0].input[0] = "reduced"
    model.graph.node.insert(0, helper.make_node("Add", ["image", "mean"], ["reduced"]))
    model.graph.node.insert(0, helper.make_node("ReduceMean", ["expanded"], ["mean"], keepdims=0))
    model.graph.node.insert(0, helper.make_node("Expand", ["one", "shape"], ["expanded"]))
    model.graph.node.insert(0, helper.make_node("ReduceMean", ["image"], ["one"], keepdims=0))
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape))
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("shape", [[2**20, 2**21], [2**16, 2**15]], ids=["8 TiB", "8 GiB"])
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_memory_is_limited(
    make_classifier: Callable[..., onnx.ModelProto], crafted: tuple[Path, Path], tmp_path: Path, shape: list[int]
) -> None:
    suspect = storm(tmp_path / "storm.onnx", make_classifier(), shape)
    with pytest.raises(OnnxfpError, match=r"more memory than .*1\.0 GiB of memory are allowed .*alloc") as caught:
        onnxfp.verify(suspect, crafted[1], execution=Execution(limits=Limits(memory_bytes=2**30)))
    assert "storm.onnx" in str(caught.value)
    assert "--max-memory" in caught.value.hint


def test_a_modest_expansion_is_none_of_our_business(
    make_classifier: Callable[..., onnx.ModelProto], crafted: tuple[Path, Path], tmp_path: Path
) -> None:
    suspect = storm(tmp_path / "storm.onnx", make_classifier(n_classes=10, shape=(3, 16, 16)), [2**10, 2**12])
    assert (
        onnxfp.verify(suspect, crafted[1], execution=Execution(limits=Limits(memory_bytes=2**30))).counts.n_answered
        == 300
    )
