"""Linear models that are written as if they were deep, and a deep one that is written as if it were linear.

Independent trainings of a linear model match as copies do, so that no count of matches convicts one by the prior of
deep networks. Answers decide, and not the names of operators.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import onnxfp
from onnxfp import Execution, Verdict
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.recipe.derivation import derive_seeds
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.curvature import is_nearly_linear
from onnxfp.suspects.curvature_questions import ask_curvature
from onnxfp.suspects.onnx_suspect import OnnxSuspect
from onnxfp.types import Levels
from tests.conftest import Forge

SHAPE, N_CLASSES, N_TRAINING = (3, 16, 16), 10, 4000
N_VALUES = 3 * 16 * 16
HERE = Execution("cpu", limits=None)
node = helper.make_node


@dataclass(frozen=True)
class Disguise:
    """Nodes around the regression, from ``image`` to ``x`` and from ``z`` to ``scores``."""

    before: tuple[onnx.NodeProto, ...] = (node("Identity", ["image"], ["x"]),)
    after: tuple[onnx.NodeProto, ...] = (node("Identity", ["z"], ["scores"]),)


CONSTANTS: dict[str, NDArray[Any]] = {
    "zero": np.array(0, np.float32),
    "one": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
    "levels": np.array(255, np.float32),
    "gamma": np.array(2.2, np.float32),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "none": np.array([], np.float32),
    "flat": np.array([-1, N_VALUES], np.int64),
    "last": np.array([1], np.int64),
}
DISGUISES = {
    "plain": Disguise(),
    "Clip": Disguise((node("Clip", ["image", "zero", "one"], ["x"]),)),
    "Relu on the input": Disguise((node("Relu", ["image"], ["x"]),)),
    "Resize there and back": Disguise(
        (
            node("Resize", ["image", "none", "twice"], ["large"], mode="linear"),
            node("AveragePool", ["large"], ["x"], kernel_shape=[2, 2], strides=[2, 2]),
        )
    ),
    "Pow 1": Disguise((node("Pow", ["image", "one"], ["x"]),)),
    "Pow 2.2": Disguise((node("Pow", ["image", "gamma"], ["x"]),)),
    "Round of bytes": Disguise(
        (node("Mul", ["image", "levels"], ["b"]), node("Round", ["b"], ["r"]), node("Div", ["r", "levels"], ["x"]))
    ),
    "Round to one bit": Disguise((node("Round", ["image"], ["x"]),)),
    "Where": Disguise(
        (node("Greater", ["image", "half"], ["is_high"]), node("Where", ["is_high", "image", "image"], ["x"]))
    ),
    "Where with a threshold": Disguise(
        (node("Greater", ["image", "half"], ["is_high"]), node("Where", ["is_high", "image", "zero"], ["x"]))
    ),
    "probabilities": Disguise(after=(node("Softmax", ["z"], ["scores"], axis=1),)),
    "logarithms of probabilities": Disguise(after=(node("LogSoftmax", ["z"], ["scores"], axis=1),)),
    "sigmoids": Disguise(after=(node("Sigmoid", ["z"], ["scores"]),)),
    "normalised sigmoids": Disguise(
        after=(
            node("Sigmoid", ["z"], ["s"]),
            node("ReduceSum", ["s", "last"], ["sum"], keepdims=1),
            node("Div", ["s", "sum"], ["scores"]),
        )
    ),
    "saturated probabilities": Disguise(
        after=(node("Mul", ["z", "levels"], ["hot"]), node("Softmax", ["hot"], ["scores"], axis=1))
    ),
    "exponentials": Disguise(after=(node("Exp", ["z"], ["scores"]),)),
}


def train(half: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and biases of a softmax regression of one half of the data of a task, in a few hundred steps."""
    task = np.random.default_rng(7)
    directions = task.normal(size=(N_VALUES, N_CLASSES))
    data = np.random.default_rng(100 + half)
    images = data.random((N_TRAINING, N_VALUES)) - 0.5
    labels = (images @ directions + data.gumbel(size=(N_TRAINING, N_CLASSES))).argmax(axis=1)
    weight, bias = data.normal(size=(N_VALUES, N_CLASSES)) * 0.1, np.zeros(N_CLASSES)
    for _ in range(300):
        scores = images @ weight + bias
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        share[np.arange(N_TRAINING), labels] -= 1
        weight -= 5.0 * images.T @ share / N_TRAINING
        bias -= share.mean(axis=0)
    return weight.astype(np.float32), (bias - 0.5 * weight.sum(axis=0)).astype(np.float32)


def write(path: Path, half: int, disguise: Disguise) -> Path:
    """Write a regression behind a disguise."""
    weight, bias = train(half)
    constants = {**CONSTANTS, "w": weight, "b0": bias}
    nodes = [
        *disguise.before,
        node("Reshape", ["x", "flat"], ["f"]),
        node("Gemm", ["f", "w", "b0"], ["z"]),
        *disguise.after,
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", N_CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def accusation(tmp_path_factory: pytest.TempPathFactory) -> Fingerprint:
    """A fingerprint of the regression of one half."""
    folder = tmp_path_factory.mktemp("linear")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXFP_HOME", str(folder / "home"))
        base = write(folder / "base.onnx", 0, DISGUISES["plain"])
        overrides = RecipeOverrides(kind="c", spectrum="white", step_size=1 / 255)
        return onnxfp.generate(base, overrides=overrides, execution=HERE)


@pytest.mark.parametrize("name", DISGUISES)
def test_a_linear_model_is_not_convicted(name: str, accusation: Fingerprint, tmp_path: Path) -> None:
    """Not even the accuser's own, which matches every example and so shows that nothing else saves it."""
    for half in range(2):
        report = onnxfp.verify(write(tmp_path / "suspect.onnx", half, DISGUISES[name]), accusation, execution=HERE)
        assert report.verdict is Verdict.INCONCLUSIVE
        assert "were never measured" in report.null.source


def test_a_function_is_not_convicted(accusation: Fingerprint) -> None:
    weight, bias = train(0)

    def score(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        flat = (images.transpose(0, 3, 1, 2) / 255).astype(np.float32).reshape(len(images), -1)
        return np.asarray(flat @ weight + bias)

    for function in (score, lambda images: score(images).argmax(axis=1)):
        report = onnxfp.verify(function, accusation)
        assert report.match_rate > 0.95
        assert report.verdict is Verdict.INCONCLUSIVE


def as_product(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write every Relu as a product with a sign that was quantised: by operators that leave a linear map one."""
    nodes: list[onnx.NodeProto] = []
    for number, old in enumerate(model.graph.node):
        if old.op_type != "Relu":
            nodes.append(old)
            continue
        source, step, sign = old.input[0], f"q{number}", f"s{number}"
        # Zero where the value is negative: uint8 saturates there, and a tiny scale makes all else 255.
        nodes += [
            node("QuantizeLinear", [source, "tiny", "low"], [step]),
            node("DequantizeLinear", [step, "share", "low"], [sign]),
            node("Mul", [source, sign], list(old.output)),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    constants = {"tiny": np.float32(1e-12), "share": np.float32(1 / 255), "low": np.uint8(0)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    return model


MODELS = (
    "base",
    *(f"stolen/{name}" for name in ("finetuned", "fp16", "int8", "laundered", "pruned", "pruned_finetuned")),
)


def is_found_linear(path: Path, forge: Forge) -> bool | None:
    """Return what is found of a committed network by 200 seeds, which nobody crafted."""
    session = ModelSession(read_onnx(path), execution=HERE)
    manifest = forge.manifest(shape=(3, 32, 32))
    manifest = replace(manifest, base=replace(manifest.base, n_classes=10))
    seeds: Levels = derive_seeds(manifest.derivation_context(), range(200))
    asked = OnnxSuspect(session, manifest.base.input, manifest.grid)
    axes = manifest.base.spatial_axes
    return is_nearly_linear(ask_curvature(asked.answer, seeds, asked.answer(seeds), axes, "sha256:" + "0" * 64))


@pytest.mark.parametrize(
    "name", [*MODELS, *(f"independent/{n}" for n in ("mobilenet", "resnet", "vgg_seed2", "vgg_seed3", "wide_vgg"))]
)
def test_a_deep_network_is_not_linear(name: str, repository: Path, forge: Forge) -> None:
    assert is_found_linear(repository / "models" / f"{name}.onnx", forge) is False


def test_a_deep_network_of_linear_operators_is_not_linear(repository: Path, forge: Forge, tmp_path: Path) -> None:
    path = tmp_path / "product.onnx"
    path.write_bytes(as_product(onnx.load(repository / "models" / "base.onnx")).SerializeToString())
    assert "Relu" not in {part.op_type for part in onnx.load(path).graph.node}
    assert is_found_linear(path, forge) is False
