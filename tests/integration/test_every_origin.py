"""From one end to the other for models of every origin: fingerprint it, and convict the very same file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxfp
from onnxfp import ModelIO
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.types import Bounds, InputGrid
from tests.builders import build_model, declare, linear_classifier, take_bytes, write_model

STRONG = RecipeOverrides(kind="rc", epsilon=0.5, n_steps=30, step_size=0.05, noise=0.01)


def linear(n_outputs: int, *, opset: int = 17, last: str = "") -> onnx.ModelProto:
    """Return a linear classifier of 12 features."""
    return linear_classifier(np.random.default_rng(0).normal(size=(12, n_outputs)), opset=opset, last=last)


def succeeds(path: Path, choices: RecipeOverrides = STRONG, grid: InputGrid | None = None) -> None:
    fingerprint = onnxfp.generate(
        path, n_examples=5, overrides=choices, io=ModelIO(grid=grid), output=path.with_suffix(".npz")
    )
    assert onnxfp.verify(path, path.with_suffix(".npz")).match_rate == 1.0
    assert fingerprint.n_examples == 5


@pytest.mark.parametrize("name", ["int8", "fp16", "laundered"])
def test_quantised_half_and_optimised_bases(models: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes((models / "stolen" / f"{name}.onnx").read_bytes())
    succeeds(path, RecipeOverrides(n_steps=20))


@pytest.mark.parametrize("options", [{"batch": 1}, {"batch": 4}, {"softmax": True}, {"opset": 11}])
def test_batches_outputs_and_ages(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto], options: dict[str, object]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(make_classifier(**options).SerializeToString())
    succeeds(path)


def test_images_as_bytes(tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(take_bytes(make_classifier()).SerializeToString())
    succeeds(path, RecipeOverrides(kind="rc", epsilon=128, n_steps=30, step_size=12, noise=0.01))


def test_channels_last_with_a_number_a_channel(tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]) -> None:
    model = make_classifier()
    nodes = [helper.make_node("Transpose", ["pixels"], ["image"], perm=[0, 3, 1, 2]), *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 8, 8, 3]))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    succeeds(path, grid=InputGrid(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)))


@pytest.mark.parametrize(("n_outputs", "last"), [(4, ""), (4, "Softmax"), (1, ""), (1, "Sigmoid")])
def test_features_and_single_numbers(tmp_path: Path, n_outputs: int, last: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(linear(n_outputs, last=last).SerializeToString())
    succeeds(path, RecipeOverrides(epsilon=2.0, step_size=0.2, n_steps=20), InputGrid(Bounds(-3, 3), 65536))


def test_a_signal_with_the_one_dimensional_filter(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kernel = numpy_helper.from_array(rng.normal(size=(8, 2, 5)).astype(np.float32), "k")
    head = numpy_helper.from_array(rng.normal(size=(8, 4)).astype(np.float32), "h")
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["p"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["p", "h"], ["y"]),
    ]
    model = build_model(nodes, [declare("x", ["N", 2, 64])], [declare("y", ["N", 4])], [kernel, head], opset=13)
    path = write_model(model, tmp_path / "m.onnx")
    choices = RecipeOverrides(kind="ltrc", epsilon=1.0, step_size=0.05, n_steps=40, cutoff=2, noise=0.01)
    succeeds(path, choices, InputGrid(Bounds(-1, 1), 65536))


def test_one_of_several_inputs(tmp_path: Path) -> None:
    model = linear(4)
    model.graph.node[0].output[0] = "z"
    model.graph.node.append(helper.make_node("Mul", ["z", "temperature"], ["y"]))
    model.graph.input.append(helper.make_tensor_value_info("temperature", TensorProto.FLOAT, ["N", 1]))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    fixed = {"temperature": 2.0}
    choices, grid = RecipeOverrides(epsilon=2.0, step_size=0.2, n_steps=20), InputGrid(Bounds(-3, 3), 65536)
    io = ModelIO(input_name="x", fixed=fixed)
    fingerprint = onnxfp.generate(path, n_examples=5, overrides=choices, io=replace(io, grid=grid))
    assert onnxfp.verify(path, fingerprint, io=io).match_rate == 1.0
