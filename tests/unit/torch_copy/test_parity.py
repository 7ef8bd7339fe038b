"""A copy that disagrees is refused, with the node that is to blame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from onnxfp import Execution, ModelIO
from onnxfp.errors import ParityError
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.torch_copy.gradient_check import measure_gradient
from onnxfp.torch_copy.parity import check_parity, first_divergence, measure_parity

INPUTS = np.random.default_rng(0).random((6, 3, 8, 8), np.float32)


def test_a_faithful_copy_passes(base_path: Path) -> None:
    file = read_onnx(base_path)
    parity = check_parity(build_torch_copy(file.load_proto()), ModelSession(file, optimise=False), INPUTS)
    assert parity.max_rel_difference < 1e-5
    assert (parity.n_label_flips, parity.n_inputs) == (0, 6)


def test_half_precision_is_computed_in_single_and_tolerated(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(make_classifier(element=onnx.TensorProto.FLOAT16).SerializeToString())
    file = read_onnx(path)
    copy = build_torch_copy(file.load_proto())
    assert copy.computes_in_float32
    assert 0 < check_parity(copy, ModelSession(file, optimise=False), INPUTS).max_rel_difference < 3e-2


def test_a_copy_that_differs_is_refused_and_the_node_named(base_path: Path) -> None:
    file = read_onnx(base_path)
    copy = build_torch_copy(file.load_proto())
    with torch.no_grad():
        copy.weights()["w2"].mul_(1.1)
    session = ModelSession(file, optimise=False)
    with pytest.raises(ParityError, match=r"node 'head' \(Gemm\)"):
        check_parity(copy, session, INPUTS)
    with torch.no_grad():
        copy.weights()["w1"].mul_(1.1)
    assert first_divergence(copy, session, INPUTS, 1e-3) == "node 'conv1' (Conv)"


def test_the_node_is_named_beside_fixed_inputs_too(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    model = make_classifier()
    model.graph.node[-1].output[0] = "cold"
    model.graph.node.append(onnx.helper.make_node("Mul", ["cold", "heat"], ["logits"], name="warm"))
    model.graph.input.append(onnx.helper.make_tensor_value_info("heat", onnx.TensorProto.FLOAT, ["N", 1]))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    session = ModelSession(read_onnx(path), ModelIO(input_name="image", fixed={"heat": 2.0}), optimise=False)
    copy = build_torch_copy(
        session.model.load_proto(), input_name="image", fixed={"heat": np.array([[3.0]], np.float32)}
    )
    with pytest.raises(ParityError, match=r"node 'warm' \(Mul\)"):
        check_parity(copy, session, INPUTS)


def test_a_gradient_is_measured_where_scores_move(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    path = tmp_path / "m.onnx"
    for last, expected in ((None, True), ("Sign", False)):
        model = make_classifier()
        if last:
            model.graph.node[-1].output[0] = "scores"
            model.graph.node.append(onnx.helper.make_node(last, ["scores"], ["logits"]))
        path.write_bytes(model.SerializeToString())
        session = ModelSession(read_onnx(path), optimise=False)
        error = measure_gradient(build_torch_copy(session.model.load_proto()), session, INPUTS)
        assert (error is not None) == expected
        assert error is None or error < 0.1


def test_a_copy_that_is_not_a_number_is_refused(base_path: Path) -> None:
    file = read_onnx(base_path)
    copy = build_torch_copy(file.load_proto())
    with torch.no_grad():
        copy.weights()["w2"].fill_(float("nan"))
    with pytest.raises(ParityError):
        check_parity(copy, ModelSession(file, optimise=False), INPUTS)


def test_labels_alone_cannot_be_compared(tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]) -> None:
    path = tmp_path / "labels.onnx"
    path.write_bytes(make_classifier(argmax=True).SerializeToString())
    file = read_onnx(path)
    with pytest.raises(ParityError, match="no gradient"):
        measure_parity(build_torch_copy(file.load_proto()), ModelSession(file), INPUTS)


def test_a_quantised_copy_may_round_otherwise_but_not_be_wrong(models: Path) -> None:
    file = read_onnx(models / "stolen" / "int8.onnx")
    copy, session = (
        build_torch_copy(file.load_proto()),
        ModelSession(file, execution=Execution("cpu", limits=None), optimise=False),
    )
    assert copy.rounds
    images = (np.random.default_rng(0).integers(0, 256, (100, 3, 32, 32)) / 255).astype(np.float32)
    parity = check_parity(copy, session, images)
    # Another order of summation ends on another level now and then: seldom, and by little.
    assert parity.median_rel_difference < 1e-4
    assert parity.max_rel_difference < 0.1
    with torch.no_grad():
        max(copy.weights().values(), key=torch.Tensor.numel).mul_(1.3)
    with pytest.raises(ParityError, match="First to differ: node"):
        check_parity(copy, session, images)


def test_a_copy_that_computes_something_else_with_a_gradient_is_refused(base_path: Path) -> None:
    file = read_onnx(base_path)
    copy = build_torch_copy(file.load_proto())
    score = copy.score
    copy.score = lambda x: score(x) * (1.1 if x.requires_grad else 1.0)
    with pytest.raises(ParityError, match=r"differs by 0\.1 .* from itself when a gradient is wanted"):
        check_parity(copy, ModelSession(file, optimise=False), INPUTS)
