"""What a walk through a model finds."""

from __future__ import annotations

import onnx
from onnx import parser

from onnxfp.model.traversal import all_nodes, all_tensors, check_functions

MODEL = """<ir_version: 8, opset_import: ["": 17, "own": 1]>
g (float[N, 3] x, bool b) => (float[N, 3] y) <float[3] w = {1, 2, 3}> {
    a = own.twice (x)
    y = If (b) <
        then_branch = t () => (float[N, 3] p) <float[3] v = {1, 2, 3}> { p = Add (a, v) },
        else_branch = e () => (float[N, 3] q) { q = Constant <value = float[1] {0}> () }
    >
}
<domain: "own", opset_import: ["": 17]> twice (x) => (y) { c = Constant <value = float[1] {2}> () y = Mul (x, c) }
"""


def test_every_node_is_found_once() -> None:
    operators = sorted(node.op_type for node in all_nodes(parser.parse_model(MODEL)))
    assert operators == ["Add", "Constant", "Constant", "If", "Mul", "twice"]


def test_every_tensor_is_found_once() -> None:
    tensors = list(all_tensors(parser.parse_model(MODEL)))
    assert sorted(onnx.numpy_helper.to_array(t).tolist() for t in tensors) == [[0], [1, 2, 3], [1, 2, 3], [2]]


def test_functions_that_end_are_no_complaint() -> None:
    check_functions(parser.parse_model(MODEL))
    check_functions(onnx.ModelProto())
