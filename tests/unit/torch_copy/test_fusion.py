"""Fused graphs give what the nodes one by one give, with fewer steps, and weights keep their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from onnxfp.torch_copy.copy import TorchCopy, build_torch_copy
from tests.builders import build_model, declare

RNG = np.random.default_rng(0)
STATISTICS = {
    "scale": RNG.uniform(0.5, 2, 4),
    "shift": RNG.normal(size=4),
    "mean": RNG.normal(size=4),
    "variance": RNG.uniform(0.5, 2, 4),
}


def model(nodes: list[onnx.NodeProto], output: str, **weights: np.ndarray) -> onnx.ModelProto:
    stored = {name: np.asarray(weight, np.float32) for name, weight in weights.items()}
    return build_model(nodes, [declare("x", ["N", 3, 6, 6])], [declare(output)], stored)


def block(bias: bool = True, clip: tuple[float, float] = (0.0, 1.5), **more: np.ndarray) -> onnx.ModelProto:
    weights = {"w": RNG.normal(size=(4, 3, 3, 3)), **({"b": RNG.normal(size=4)} if bias else {})}
    nodes = [
        helper.make_node("Conv", ["x", *weights], ["c"]),
        helper.make_node("BatchNormalization", ["c", *STATISTICS], ["n"], epsilon=0.01),
        helper.make_node("Clip", ["n", "low", "high"], ["y"]),
    ]
    return model(nodes, "y", **weights, **STATISTICS, low=np.array(clip[0]), high=np.array(clip[1]), **more)


def check(proto: onnx.ModelProto) -> TorchCopy:
    x = RNG.normal(size=(5, 3, 6, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    copy = build_torch_copy(proto)
    for part in (x, x[:1]):
        expected = session.run(None, {"x": part})[0]
        assert copy(torch.from_numpy(part)).numpy() == pytest.approx(expected, abs=2e-5)
    return copy


@pytest.mark.parametrize("bias", [True, False])
def test_convolution_normalisation_and_limits_become_two_steps(bias: bool) -> None:
    copy = check(block(bias))
    assert [len(step.nodes) for step in copy._graph.steps] == [2, 1]
    assert set(copy.weights()) == {"w", "scale", "shift", *(["b"] if bias else [])}


def test_weight_noise_reaches_what_was_fused() -> None:
    copy, x = check(block()), torch.rand(2, 3, 6, 6)
    for name in ("w", "b", "scale", "shift"):
        before = copy(x)
        copy.weights()[name].data.mul_(1.5)
        assert not torch.equal(copy(x), before), name


def test_crossed_limits_keep_their_meaning() -> None:
    check(block(clip=(2.0, 1.0)))


def test_a_value_that_others_read_is_not_overwritten() -> None:
    weights = {"w": RNG.normal(size=(4, 3, 3, 3))}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Sub", ["c", "r"], ["y"]),
    ]
    check(model(nodes, "y", **weights))


def test_gradients_equal_those_of_the_plain_network() -> None:
    proto = block()
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in proto.graph.initializer}

    def plain(x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.conv2d(x, values["w"], values["b"])
        y = torch.nn.functional.batch_norm(
            y, values["mean"], values["variance"], values["scale"], values["shift"], eps=0.01
        )
        return y.clamp(0.0, 1.5)

    def gradient(function: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        x = torch.linspace(-2, 2, 216).reshape(2, 3, 6, 6).requires_grad_(True)
        return torch.autograd.grad(function(x).square().sum(), x)[0].numpy()

    assert gradient(build_torch_copy(proto)) == pytest.approx(gradient(plain), abs=1e-4)


def test_values_on_the_way_are_those_before_anything_overwrote_them() -> None:
    weights = {"w": RNG.normal(size=(4, 3, 3, 3))}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    copy = build_torch_copy(model(nodes, "y", **weights))
    with torch.no_grad():
        found = copy.intermediate(torch.randn(2, 3, 6, 6), ["c", "y"])
    assert (found["c"] < 0).any()
    assert torch.equal(found["c"].relu(), found["y"])
