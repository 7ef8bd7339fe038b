"""Models whose tensors contradict themselves, and ones that give nothing, or nothing but NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnxfp
from onnxfp import Execution, Limits
from onnxfp.errors import ContractError, ModelError, OnnxfpError

MakeClassifier = Callable[..., onnx.ModelProto]
LIMITS = Limits(seconds=60)


def negative_axis(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -1


def huge_axes(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**32, 2**32]


def short_content(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-3]


def long_content(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data += bytes(4)


def no_content(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")


def texts_for_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_type = TensorProto.STRING
    tensor.string_data.extend([b"\xff"] * int(np.prod(tensor.dims)))


def unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 99


def texts_for_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def huge_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**40


def huge_example(model: onnx.ModelProto) -> None:
    # In front of the classifier, so that nothing contradicts it.
    model.graph.input[0].name = "huge"
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 2**20
    nodes = [helper.make_node("Slice", ["huge", "from", "to", "axes"], ["image"])]
    for name, values in (("from", [0, 0]), ("to", [8, 8]), ("axes", [2, 3])):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [2], values))
    model.graph.node.insert(0, nodes[0])


def no_output(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def empty_output(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("zero", TensorProto.INT64, [1], [0]))
    model.graph.node.append(helper.make_node("Slice", ["logits", "zero", "zero"], ["nothing"]))
    model.graph.output[0].name = "nothing"


def texts_for_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["logits"], ["texts"], to=TensorProto.STRING))
    model.graph.output[0].name = "texts"
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING


DAMAGES = [
    *(negative_axis, huge_axes, short_content, long_content, no_content, texts_for_weights, unknown_type),
    *(texts_for_input, huge_batch, huge_example, no_output, empty_output, texts_for_output),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_the_reason_is_said(
    damage: Callable[[onnx.ModelProto], None],
    make_classifier: MakeClassifier,
    crafted: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    model = make_classifier()
    damage(model)
    path = tmp_path / "odd.onnx"
    path.write_bytes(model.SerializeToString())
    for call in (
        lambda: onnxfp.verify(path, crafted[1], execution=Execution(limits=LIMITS)),
        lambda: onnxfp.check(path, execution=Execution(limits=LIMITS)),
    ):
        with pytest.raises(OnnxfpError, match=r"odd\.onnx") as raised:
            call()
        assert raised.value.hint


def test_a_huge_input_is_named_before_memory_is_taken(make_classifier: MakeClassifier, tmp_path: Path) -> None:
    model = make_classifier()
    huge_example(model)
    path = tmp_path / "huge.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ContractError, match="3298534883328 values an example"):
        onnxfp.check(path, execution=Execution(limits=LIMITS))
    assert issubclass(ContractError, ModelError)


def test_nan_is_no_answer(make_classifier: MakeClassifier, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    model = make_classifier(n_classes=10, shape=(3, 16, 16))
    model.graph.initializer[2].raw_data = np.full(10, np.nan, np.float32).tobytes()
    path = tmp_path / "nan.onnx"
    path.write_bytes(model.SerializeToString())
    report = onnxfp.verify(path, crafted[1], execution=Execution(limits=LIMITS))
    assert report.verdict is onnxfp.Verdict.INCONCLUSIVE
    assert (report.counts.n_answered, report.counts.n_matches) == (0, 0)
