"""Variants that are trained: what changes, what must not, and that the ONNX file is what was trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from onnxfp.errors import ModelError, ParameterError
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.types import InputSpec, OutputSpec
from onnxfp.variants import training
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.pruning import prune_globally
from onnxfp.variants.student import plain_network
from onnxfp.variants.training import Training, train_copy
from onnxfp.variants.weights import find_weights
from tests.builders import build_model, declare

Maker = Callable[..., onnx.ModelProto]


def scores(model: onnx.ModelProto, inputs: NDArray[Any]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    return np.asarray(session.run(None, {"image": inputs})[0])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: the tensors are so small that more only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def assets(make_classifier: Maker) -> BaseAssets:
    """A small base, and images of which the brightest channel is the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 256)
    images = rng.random((256, 3, 8, 8), np.float32) * 0.6
    images[np.arange(256), labels] += 0.4
    base = make_classifier(seed=0)
    spec = InputSpec("image", (3, 8, 8), "float32", "NCHW", None)
    return BaseAssets(base, spec, OutputSpec("logits", "scores", 5), images, labels)


def accuracy(model: onnx.ModelProto, assets: BaseAssets) -> float:
    return float((scores(model, assets.inputs).argmax(1) == assets.labels).mean())


def changed(model: onnx.ModelProto, assets: BaseAssets) -> set[str]:
    before = {t.name: onnx.numpy_helper.to_array(t) for t in assets.model.graph.initializer}
    after = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert set(before) == set(after)
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_fine_tuning_learns_and_touches_the_layers_it_is_told_to(assets: BaseAssets) -> None:
    last = train_copy(assets, Training(layers="last", epochs=4, learning_rate=0.003))
    everything = train_copy(assets, Training(layers="all", epochs=4, learning_rate=0.003))
    assert changed(last, assets) == {"w2", "b2"}
    assert changed(everything, assets) == {"w1", "w2", "b2"}
    start = accuracy(assets.model, assets)
    # Three classes of five: chance is a fifth for the base, which was never trained on them.
    assert accuracy(last, assets) > start + 0.3
    assert accuracy(everything, assets) > start + 0.3


def test_training_repeats_for_a_seed(assets: BaseAssets) -> None:
    how = Training(epochs=0.5, learning_rate=0.003, redone="last")
    one, again = train_copy(assets, how), train_copy(assets, how)
    assert one.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    other = train_copy(replace(assets, seed=1), how)
    assert not np.array_equal(scores(one, assets.inputs[:4]), scores(other, assets.inputs[:4]))


def test_the_file_computes_what_was_trained(assets: BaseAssets) -> None:
    trained = train_copy(assets, Training(epochs=1, learning_rate=0.003))
    onnx.checker.check_model(trained, full_check=True)
    copy = build_torch_copy(trained)
    with torch.no_grad():
        expected = copy(torch.from_numpy(assets.inputs[:16])).numpy()
    assert np.allclose(scores(trained, assets.inputs[:16]), expected, rtol=1e-4, atol=1e-4)


def test_pruned_weights_stay_pruned(assets: BaseAssets) -> None:
    start = prune_globally(assets.model, 0.6)
    trained = train_copy(assets, Training(epochs=2, learning_rate=0.003, keep_zeros=True), start)
    for before, after in zip(find_weights(start), find_weights(trained), strict=True):
        assert np.array_equal(before.values == 0, after.values == 0)
    assert accuracy(trained, assets) > accuracy(start, assets)


@pytest.mark.parametrize("teacher", ["hard labels", "soft labels"])
def test_a_student_that_begins_anew_learns_to_agree_with_the_base(assets: BaseAssets, teacher: str) -> None:
    how = Training(redone="all", teacher=teacher, epochs=10, learning_rate=0.01)  # type: ignore[arg-type]
    student = train_copy(assets, how)
    untrained = train_copy(assets, replace(how, epochs=0.0, learning_rate=1e-9))
    base = scores(assets.model, assets.inputs).argmax(1)
    agreement = (scores(student, assets.inputs).argmax(1) == base).mean()
    assert agreement > (scores(untrained, assets.inputs).argmax(1) == base).mean() + 0.15
    weights = {w.name: w.values for w in find_weights(student)}
    for weight in find_weights(assets.model):
        correlation = np.corrcoef(weight.values.ravel(), weights[weight.name].ravel())[0, 1]
        # Hundreds of weights: five standard deviations of the correlation of independent ones.
        assert abs(correlation) < 5 / np.sqrt(weight.values.size)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "OTHER"])
def test_a_student_of_another_architecture_learns_to_agree_with_the_base(assets: BaseAssets, layout: str) -> None:
    base = scores(assets.model, assets.inputs)
    shapes = {"NCHW": (3, 8, 8), "NHWC": (8, 8, 3), "OTHER": (192,)}
    moved = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 2, 3, 1), "OTHER": (0, 1, 2, 3)}
    inputs = np.ascontiguousarray(assets.inputs.transpose(moved[layout])).reshape(256, *shapes[layout])
    spec = InputSpec("image", shapes[layout], "float32", layout, None)  # type: ignore[arg-type]
    # Its own answers stand in for a base that takes this layout: what is learned is the material's labels.
    other = replace(assets, input=spec, inputs=inputs, labels=base.argmax(1))
    student = train_copy(other, Training(redone="all", epochs=20, learning_rate=0.02), plain_network(other))
    onnx.checker.check_model(student, full_check=True)
    assert [value.name for value in student.graph.output] == ["logits"]
    found = scores(student, inputs)
    assert found.shape == base.shape
    commonest = np.bincount(base.argmax(1)).max() / len(base)
    assert (found.argmax(1) == base.argmax(1)).mean() > commonest + 0.1
    own, new = (Counter(node.op_type for node in model.graph.node) for model in (assets.model, student))
    assert own != new


def test_a_student_gives_probabilities_where_the_base_does(assets: BaseAssets) -> None:
    student = plain_network(replace(assets, gives_probabilities=True))
    assert np.allclose(scores(student, assets.inputs[:4]).sum(1), 1.0)


def test_a_large_image_is_halved_before_it_is_convolved(assets: BaseAssets) -> None:
    spec = InputSpec("image", (3, 224, 160), "float32", "NCHW", None)
    student = plain_network(replace(assets, input=spec))
    onnx.checker.check_model(student, full_check=True)
    assert scores(student, np.zeros((2, 3, 224, 160), np.float32)).shape == (2, 5)
    small = plain_network(assets)
    assert len(find_weights(student)) == len(find_weights(small)) + 3


@pytest.mark.parametrize(
    "change",
    [
        {"fixed": {"temperature": np.float32(1)}},
        {"output": OutputSpec("logit", "logit", 2)},
        {"output": OutputSpec("labels", "labels", None)},
    ],
)
def test_a_base_that_is_asked_otherwise_has_no_student(assets: BaseAssets, change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="another architecture"):
        plain_network(replace(assets, **change))


def test_adversarial_training_resists_what_the_base_does_not(assets: BaseAssets) -> None:
    plain = train_copy(assets, Training(epochs=4, learning_rate=0.003))
    hardened = train_copy(assets, Training(epochs=4, learning_rate=0.003, adversarial=0.1))

    def attacked(model: onnx.ModelProto) -> float:
        copy, x = build_torch_copy(model), torch.from_numpy(assets.inputs).requires_grad_(True)
        y = torch.from_numpy(np.asarray(assets.labels))
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(copy(x), y), x)
        moved = (x + 0.1 * gradient.sign()).detach().numpy()
        return float((scores(model, moved).argmax(1) == assets.labels).mean())

    assert attacked(hardened) > attacked(plain)


def test_a_float16_base_stays_one(make_classifier: Maker, assets: BaseAssets, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever becomes of the model that the torch copy is made from, the graph that is written back is the base's.
    monkeypatch.setattr(training, "build_torch_copy", lambda model, **how: build_torch_copy(deepcopy(model), **how))
    base = make_classifier(seed=0, element=TensorProto.FLOAT16)
    # A slope that is trained, and not stored as such: no layer of the table takes it.
    base.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 16, 1), 0.1, np.float16), "slope"))
    base.graph.initializer.append(onnx.numpy_helper.from_array(np.array([16, 1, 1]), "shape"))
    base.graph.node[1].CopyFrom(helper.make_node("PRelu", ["c1", "slopes"], ["r1"]))
    base.graph.node.insert(0, helper.make_node("Reshape", ["slope", "shape"], ["slopes"]))
    half = replace(assets, base=onnx.shape_inference.infer_shapes(base, strict_mode=True))
    inputs = assets.inputs.astype(np.float16)
    trained = train_copy(half, Training(epochs=4, learning_rate=0.003))
    onnx.checker.check_model(trained, full_check=True)
    types = {tensor.name: tensor.data_type for tensor in trained.graph.initializer}
    assert types == dict.fromkeys(("w1", "w2", "b2", "slopes"), TensorProto.FLOAT16)
    found, start = scores(trained, inputs), scores(base, inputs)
    assert found.dtype == np.float16
    assert (found.argmax(1) == assets.labels).mean() > (start.argmax(1) == assets.labels).mean() + 0.3
    with torch.no_grad():
        expected = build_torch_copy(deepcopy(trained))(torch.from_numpy(assets.inputs)).numpy()
    # Thousandths of the largest score, as far as eleven bits reach.
    assert np.allclose(found, expected, rtol=0, atol=5e-3 * np.abs(expected).max())


def test_scores_of_quantised_layers_alone_are_said(assets: BaseAssets) -> None:
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("DequantizeLinear", ["integers", "scale"], ["w"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("MatMul", ["flat", "other"], ["features"]),
    ]
    stored: dict[str, NDArray[Any]] = {
        "integers": np.ones((192, 5), np.int8),
        "scale": np.array(1, np.float32),
        "other": np.ones((192, 2), np.float32),
    }
    base = build_model(nodes, [declare("image", ["N", 3, 8, 8])], [declare("logits"), declare("features")], stored)
    with pytest.raises(ModelError, match="no floating-point weights to train"):
        train_copy(replace(assets, base=base), Training())


def test_no_labels_and_runaway_training_are_said(assets: BaseAssets) -> None:
    with pytest.raises(ParameterError, match="labelled data"):
        train_copy(replace(assets, labels=None), Training())
    with pytest.raises(ModelError, match="finite"):
        train_copy(assets, Training(epochs=3, learning_rate=1e30))
