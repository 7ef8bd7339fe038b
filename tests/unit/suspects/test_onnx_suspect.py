"""A suspect may take the same images in another form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxfp import Execution
from onnxfp.errors import ContractError
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.types import Bounds, InputGrid, InputSpec

BASE = InputSpec("image", (3, 8, 8), "float32", "NCHW", None)
LEVELS = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., np.ndarray]:
    def ask_(model: onnx.ModelProto, grid: InputGrid | None = None) -> np.ndarray:
        path = tmp_path / "suspect.onnx"
        path.write_bytes(model.SerializeToString())
        session = ModelSession(read_onnx(path), execution=Execution("cpu", limits=None))
        return OnnxSuspect(session, BASE, InputGrid(), grid).answer(LEVELS).labels

    return ask_


def in_front(model: onnx.ModelProto, nodes: list[onnx.NodeProto], value: onnx.ValueInfoProto) -> onnx.ModelProto:
    """Return the model with other nodes between a new input ``raw`` and its old input."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.input[:]
    changed.graph.input.append(value)
    old = list(changed.graph.node)
    del changed.graph.node[:]
    changed.graph.node.extend([*nodes, *old])
    return changed


def test_layout_bytes_and_normalisation_are_adapted(
    ask: Callable[..., np.ndarray],
    make_classifier: Callable[..., onnx.ModelProto],
) -> None:
    model = make_classifier()
    expected = ask(model)
    transposed = in_front(
        model,
        [helper.make_node("Transpose", ["raw"], ["image"], perm=[0, 3, 1, 2])],
        helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["N", 8, 8, 3]),
    )
    assert (ask(transposed) == expected).all()
    scale = helper.make_node("Constant", [], ["scale"], value=helper.make_tensor("s", 1, [], [255.0]))
    in_bytes = in_front(
        model,
        [
            scale,
            helper.make_node("Cast", ["raw"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["float", "scale"], ["image"]),
        ],
        helper.make_tensor_value_info("raw", TensorProto.UINT8, ["N", 3, 8, 8]),
    )
    assert (ask(in_bytes) == expected).all()
    as_255 = in_front(
        model,
        [scale, helper.make_node("Div", ["raw", "scale"], ["image"])],
        helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["N", 3, 8, 8]),
    )
    assert (ask(as_255, InputGrid(Bounds(0, 255))) == expected).all()
    statistics = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}
    restore = [
        helper.make_node("Constant", [], [name], value=helper.make_tensor(name, 1, [3], values))
        for name, values in statistics.items()
    ]
    normalised_outside = in_front(
        model,
        [
            *restore,
            helper.make_node("Mul", ["raw", "std"], ["scaled"]),
            helper.make_node("Add", ["scaled", "mean"], ["last"]),
            helper.make_node("Transpose", ["last"], ["image"], perm=[0, 3, 1, 2]),
        ],
        helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["N", 8, 8, 3]),
    )
    assert (ask(normalised_outside, InputGrid(mean=statistics["mean"], std=statistics["std"])) == expected).all()


@pytest.mark.parametrize("shape", [(3, 9, 8), (1, 8, 8), (3, 8)])
def test_a_suspect_for_other_inputs_is_refused(
    ask: Callable[..., np.ndarray],
    make_classifier: Callable[..., onnx.ModelProto],
    shape: tuple[int, ...],
) -> None:
    if len(shape) == 2:
        # A signal of three channels and eight steps, repeated into an image.
        model = in_front(
            make_classifier(),
            [
                helper.make_node("Constant", [], ["s"], value=helper.make_tensor("v", 7, [4], [-1, 3, 8, 1])),
                helper.make_node("Reshape", ["raw", "s"], ["a"]),
                helper.make_node("Concat", ["a"] * 8, ["image"], axis=3),
            ],
            helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["N", 3, 8]),
        )
    else:
        model = make_classifier(shape=shape)
    with pytest.raises(ContractError, match="takes examples of shape"):
        ask(model)
