"""Branches and loops against onnxruntime, gradients through them, and a loop that never ends."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from onnxfp.errors import ConversionError
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.torch_copy.operators import control_flow
from tests.builders import build_model, declare

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def model_of(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto], opset: int = 17) -> onnx.ModelProto:
    return build_model(nodes, [declare("x", [3, 4])], [declare("y")], initializers, opset=opset)


def agrees(model: onnx.ModelProto) -> torch.Tensor:
    """Compare with onnxruntime and return the gradient of the sum."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])  # noqa: TID251
    (expected,) = session.run(["y"], {"x": X})
    x = torch.from_numpy(X).requires_grad_(True)
    y = build_torch_copy(model, output_name="y")(x)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    return gradient


def test_scan_carries_a_state_over_rows() -> None:
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["state", "decay"], ["less"]),
            helper.make_node("Add", ["less", "row"], ["next"]),
            helper.make_node("Identity", ["next"], ["seen"]),
        ],
        "body",
        [declare("state", [4]), declare("row", [4])],
        [declare("next", [4]), declare("seen", [4])],
    )
    start = helper.make_tensor("start", TensorProto.FLOAT, [4], [0.0] * 4)
    decay = helper.make_tensor("decay", TensorProto.FLOAT, [], [0.5])
    for directions in ([0], [1]):
        node = helper.make_node(
            "Scan", ["start", "x"], ["last", "y"], body=body, num_scan_inputs=1, scan_input_directions=directions
        )
        gradient = agrees(model_of([node], [start, decay]))
        # A row counts 1 + 1/2 + 1/4 times, fewer the later it comes.
        expected = [1.75, 1.5, 1.0] if directions == [0] else [1.0, 1.5, 1.75]
        torch.testing.assert_close(gradient[:, 0], torch.tensor(expected))


def test_a_loop_captures_outer_values_and_stops_at_its_condition() -> None:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "x"], ["sum"]),
            helper.make_node("Less", ["step", "limit"], ["goes_on"]),
        ],
        "body",
        [declare("step", [], TensorProto.INT64), declare("flag", [], TensorProto.BOOL), declare("carried", [3, 4])],
        [declare("goes_on", [], TensorProto.BOOL), declare("sum", [3, 4])],
    )
    constants = [
        helper.make_tensor("most", TensorProto.INT64, [], [100]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("limit", TensorProto.INT64, [], [4]),
    ]
    node = helper.make_node("Loop", ["most", "yes", "x"], ["y"], body=body)
    # Steps 0 to 4 add x five times to itself.
    torch.testing.assert_close(agrees(model_of([node], constants)), torch.full((3, 4), 6.0))


def test_a_branch_inside_a_branch() -> None:
    def branch(op_type: str) -> onnx.GraphProto:
        return helper.make_graph([helper.make_node(op_type, ["x"], ["r"])], op_type, [], [declare("r", [3, 4])])

    inner = helper.make_node("If", ["no"], ["i"], then_branch=branch("Neg"), else_branch=branch("Exp"))
    outer = helper.make_node(
        "If",
        ["yes"],
        ["y"],
        then_branch=helper.make_graph([inner], "then", [], [declare("i", [3, 4])]),
        else_branch=branch("Relu"),
    )
    constants = [helper.make_tensor(n, TensorProto.BOOL, [], [v]) for n, v in (("yes", True), ("no", False))]
    torch.testing.assert_close(agrees(model_of([outer], constants)), torch.from_numpy(np.exp(X)))


def test_a_loop_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_flow, "MAX_ITERATIONS", 50)
    body = helper.make_graph(
        [helper.make_node("Identity", ["flag"], ["goes_on"]), helper.make_node("Neg", ["carried"], ["next"])],
        "body",
        [declare("step", [], TensorProto.INT64), declare("flag", [], TensorProto.BOOL), declare("carried", [3, 4])],
        [declare("goes_on", [], TensorProto.BOOL), declare("next", [3, 4])],
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    copy = build_torch_copy(
        model_of([helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body, name="spin")], [yes])
    )
    with pytest.raises(ConversionError, match=r"'spin' .* more than 50 steps"):
        copy(torch.from_numpy(X))
