"""Sessions: batches, element types, outputs, and what is no classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxfp import Execution, ModelIO
from onnxfp.errors import ContractError, ModelFormatError, ProviderError, SuspectError
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.isolated import LimitReachedError
from onnxfp.runtime.local import RefusedError
from onnxfp.runtime.session import ModelSession
from onnxfp.types import ModelInput
from tests.builders import build_model, declare

Axis = int | str | None
Open = Callable[..., ModelSession]
MakeClassifier = Callable[..., onnx.ModelProto]


@pytest.fixture
def open_model(tmp_path: Path) -> Open:
    def open_(model: onnx.ModelProto, n_classes: int | None = None, **choices: Any) -> ModelSession:
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        execution = Execution("cpu", limits=None)
        return ModelSession(read_onnx(path), ModelIO(**choices), execution=execution, n_classes=n_classes)

    return open_


@pytest.fixture
def inputs() -> ModelInput:
    return np.random.default_rng(0).random((7, 3, 8, 8), np.float32)


def simple(
    nodes: list[onnx.NodeProto],
    inputs: list[tuple[str, int, list[Axis]]],
    outputs: list[tuple[str, int, list[Axis]]],
) -> onnx.ModelProto:
    takes, gives = ([declare(name, shape, element) for name, element, shape in group] for group in (inputs, outputs))
    return build_model(nodes, takes, gives)


@pytest.mark.parametrize("batch", ["N", 1, 3, 16])
def test_every_batch_size_gives_the_same_answers(
    open_model: Open, make_classifier: MakeClassifier, inputs: ModelInput, batch: int | str
) -> None:
    expected = open_model(make_classifier()).answer(inputs)
    session = open_model(make_classifier(batch=batch))
    assert session.input.batch == (None if batch == "N" else batch)
    answers = session.answer(inputs)
    assert answers.scores is not None
    assert expected.scores is not None
    np.testing.assert_allclose(answers.scores, expected.scores, rtol=1e-5, atol=1e-4)
    assert (answers.labels == expected.labels).all()


def test_probabilities_labels_and_half_precision_say_the_same(
    open_model: Open, make_classifier: MakeClassifier, inputs: ModelInput
) -> None:
    logits = open_model(make_classifier())
    assert not logits.gives_probabilities(inputs)
    softmax = open_model(make_classifier(softmax=True))
    assert softmax.gives_probabilities(inputs)
    labels = open_model(make_classifier(argmax=True))
    assert labels.output.kind == "labels"
    assert labels.answer(inputs).scores is None
    assert not labels.gives_probabilities(inputs)
    half = open_model(make_classifier(element=TensorProto.FLOAT16))
    assert half.input.dtype == "float16"
    expected = logits.answer(inputs).labels
    for session in (softmax, labels, half):
        assert (session.answer(inputs).labels == expected).all()


def test_bytes_are_rounded_and_clipped(open_model: Open) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["scores"]),
    ]
    session = open_model(simple(nodes, [("image", TensorProto.UINT8, ["N", 1, 1, 3])], [("scores", 1, ["N", 3])]))
    scores = session.answer(np.array([[[[-5.0, 1.6, 300.0]]]], np.float32)).scores
    assert scores is not None
    assert scores.tolist() == [[0.0, 2.0, 255.0]]


def test_among_several_outputs_the_one_with_the_right_classes_is_read(open_model: Open) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["features"]),
        helper.make_node("Slice", ["features", "zero", "five", "one"], ["five_classes"]),
    ]
    model = simple(nodes, [("x", 1, ["N", 12])], [("features", 1, ["N", 12]), ("five_classes", 1, ["N", 5])])
    for name, value in (("zero", 0), ("five", 5), ("one", 1)):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))
    assert open_model(model, n_classes=5).output.name == "five_classes"
    assert open_model(model).output.name == "features"
    assert open_model(model, output_name="five_classes").output.n_classes == 5
    with pytest.raises(ContractError, match="7 classes") as raised:
        open_model(model, n_classes=7)
    assert "--output" in raised.value.hint
    with pytest.raises(ContractError, match="no output 'nope'"):
        open_model(model, output_name="nope")


def test_scores_that_are_not_finite_give_no_label(open_model: Open) -> None:
    node = helper.make_node("Log", ["x"], ["scores"])
    session = open_model(simple([node], [("x", 1, ["N", 2])], [("scores", 1, ["N", 2])]))
    assert session.answer(np.array([[1.0, 2.0], [-1.0, 2.0]], np.float32)).labels.tolist() == [1, -1]


def test_open_axes_need_a_shape(open_model: Open) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["scores"]),
    ]
    model = simple(nodes, [("x", 1, ["N", 3, "H", "W"])], [("scores", 1, ["N", 3])])
    with pytest.raises(ContractError, match="open") as raised:
        open_model(model)
    assert "--input-shape" in raised.value.hint
    assert open_model(model, input_shape=(3, 10, 12)).input.shape == (3, 10, 12)
    with pytest.raises(ContractError, match="does not take"):
        open_model(model, input_shape=(4, 10, 12))


def test_several_inputs_need_a_choice_and_fixed_values(open_model: Open, inputs: ModelInput) -> None:
    model = simple(
        [helper.make_node("Mul", ["x", "temperature"], ["scores"])],
        [("x", 1, ["N", 2]), ("temperature", 1, [1])],
        [("scores", 1, ["N", 2])],
    )
    with pytest.raises(ContractError, match="one input is needed"):
        open_model(model)
    session = open_model(model, input_name="x", fixed={"temperature": np.array([2.0], np.float32)})
    scores = session.answer(np.ones((1, 2), np.float32)).scores
    assert scores is not None
    assert scores.tolist() == [[2.0, 2.0]]
    with pytest.raises(ContractError, match="no input 'nope'"):
        open_model(model, input_name="nope")


@pytest.mark.parametrize(
    ("x", "complaint"),
    [(("x", TensorProto.STRING, ["N", 2]), "does not take numbers"), (("x", 1, [2]), "no batch axis")],
)
def test_inputs_of_no_classifier_are_refused(open_model: Open, x: tuple[str, int, list[Axis]], complaint: str) -> None:
    model = simple([helper.make_node("Identity", ["x"], ["y"])], [x], [("y", x[1], x[2])])
    with pytest.raises(ContractError, match=complaint):
        open_model(model)


def test_an_output_that_is_no_classification_is_refused(open_model: Open) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model = simple([node], [("x", 1, ["N", 3, 8, 8])], [("y", 1, ["N", 3, 8, 8])])
    with pytest.raises(ContractError, match="no output holds a classification"):
        open_model(model)


def test_what_onnxruntime_refuses_is_a_model_error(open_model: Open) -> None:
    node = helper.make_node("Relu", ["missing"], ["y"])
    with pytest.raises(ModelFormatError, match=r"cannot be opened: onnxruntime .*missing"):
        open_model(simple([node], [("x", 1, ["N", 2])], [("y", 1, ["N", 2])]))


def baked(n: int, free: str | int = "N") -> onnx.ModelProto:
    """A classifier of four features whose graph carries a batch size in a Reshape."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = simple([node], [("x", 1, [free, 2, 2])], [("y", 1, [n, 4])])
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [n, 4]))
    return model


def test_a_batch_of_one_baked_into_a_reshape_is_asked_one_at_a_time(open_model: Open) -> None:
    inputs = np.random.default_rng(0).random((5, 2, 2), np.float32)
    session = open_model(baked(1))
    for _ in range(2):
        scores = session.answer(inputs).scores
        assert scores is not None
        np.testing.assert_array_equal(scores, inputs.reshape(5, 4))
    assert session.batch_size == 1


def test_a_batch_that_fits_nothing_is_an_error(open_model: Open) -> None:
    with pytest.raises(SuspectError, match="failed on a batch of shape"):
        open_model(baked(3))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(RefusedError("no"), [5, 1]), (LimitReachedError("it took longer than allowed"), [5])],
    ids=["a refusal is tried on one example", "a limit is no reason to ask again"],
)
def test_what_fails_on_one_example_or_reaches_a_limit_fails(
    open_model: Open, monkeypatch: pytest.MonkeyPatch, failure: RefusedError, expected: list[int]
) -> None:
    session = open_model(baked(1))
    asked: list[int] = []

    def fail(names: list[str], feeds: dict[str, np.ndarray]) -> list[object]:
        asked.append(len(feeds["x"]))
        raise failure

    monkeypatch.setattr(session._runtime, "run", fail)
    with pytest.raises(SuspectError, match=str(failure)):
        session.answer(np.zeros((5, 2, 2), np.float32))
    assert asked == expected


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_one_example_may_be_answered_without_its_axis(open_model: Open, rank: int) -> None:
    """As by ``squeeze`` in a graph of batch 1: ``(K,)`` scores, or a number without any axis."""
    shape = [[], [4], [1, 4]][rank]
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    if rank == 0:
        nodes = [
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Sub", ["s", "two"], ["y"]),
        ]
    model = simple(nodes, [("x", 1, [1, 2, 2])], [("y", 1, list(shape))])
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape))
    model.graph.initializer.append(helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]))
    session = open_model(model)
    inputs = np.random.default_rng(0).random((5, 2, 2), np.float32)
    expected = (inputs.sum((1, 2)) > 2) if rank == 0 else inputs.reshape(5, 4).argmax(1)
    assert session.answer(inputs).labels.tolist() == expected.astype(int).tolist()
    assert session.output.n_classes == (2 if rank == 0 else 4)


@pytest.mark.parametrize("last", ["Identity", "Squeeze", "Cast"])
def test_a_probability_is_one_whatever_comes_after_the_sigmoid(open_model: Open, last: str) -> None:
    node = helper.make_node(last, ["s"], ["y"])
    if last == "Cast":
        node.attribute.append(helper.make_attribute("to", TensorProto.DOUBLE))
    model = simple(
        [helper.make_node("Sigmoid", ["x"], ["s"]), node],
        [("x", 1, ["N", 1])],
        [("y", TensorProto.DOUBLE if last == "Cast" else 1, ["N"] if last == "Squeeze" else ["N", 1])],
    )
    session = open_model(model)
    assert session.output.kind == "probability"
    assert session.answer(np.array([[-1.0], [1.0]], np.float32)).labels.tolist() == [0, 1]


def test_a_graph_that_fails_while_it_runs_is_a_suspect_error(open_model: Open) -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = simple([node], [("x", 1, ["N", 4])], [("y", 1, [3, 7])])
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [3, 7]))
    with pytest.raises(SuspectError, match="failed"):
        open_model(model)


def test_inputs_of_another_shape_are_refused(open_model: Open, make_classifier: MakeClassifier) -> None:
    with pytest.raises(ContractError, match=r"takes \(3, 8, 8\)"):
        open_model(make_classifier()).answer(np.zeros((1, 3, 9, 8), np.float32))


def test_cuda_that_is_demanded_and_missing_is_an_error(base_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxfp.runtime.local.has_gpu", lambda: False)
    with pytest.raises(ProviderError, match="CUDA") as raised:
        ModelSession(read_onnx(base_path), execution=Execution("cuda", limits=None))
    assert "--provider auto" in raised.value.hint
    assert ModelSession(read_onnx(base_path), execution=Execution("auto", limits=None)).providers == (
        "CPUExecutionProvider",
    )
