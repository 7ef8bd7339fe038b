"""Small files that become large in memory, deep ones, and ones that are cut short: refused before they are parsed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxfp.errors import ModelFormatError, OnnxfpError
from onnxfp.model import protobuf_scan
from onnxfp.model.onnx_file import read_onnx
from tests.fuzz.limits import limited_memory, limited_time


def field(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes, as protobuf writes it."""

    def varint(value: int) -> bytes:
        return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])

    return varint(number << 3 | 2) + varint(len(content)) + content


MANY = 5_000_000
BOMBS = {
    "empty nodes": field(7, field(1, b"") * MANY),
    "empty attributes": field(7, field(1, field(5, b"") * MANY)),
    "empty tensors": field(7, field(5, b"") * MANY),
    "empty texts": field(7, field(5, field(6, b"") * MANY)),
    "dimensions, one by one": field(7, field(5, b"\x08\0" * MANY)),
    "unknown fields": b"\xf8\x7f\0" * MANY,
    "a million nodes": field(7, field(1, field(1, b"x") + field(2, b"x") + field(4, b"Relu")) * 1_100_000),
    "packed integers": field(7, field(5, field(7, bytes(2**27 + 1)))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_cheaply(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.onnx"
    path.write_bytes(BOMBS[name])
    with (
        limited_time(3.0),
        limited_memory(),
        pytest.raises(ModelFormatError, match=r"bomb\.onnx has more than") as raised,
    ):
        read_onnx(path)
    assert raised.value.hint


def nested_graphs(depth: int) -> bytes:
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], []).SerializeToString()
    for _ in range(depth):
        # A node with an attribute that is a graph.
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    return field(7, graph)


def nested_types(depth: int) -> bytes:
    kind = field(1, b"")
    for _ in range(depth):
        # A sequence of such a type.
        kind = field(4, field(1, kind))
    return field(7, field(11, field(1, b"x") + field(2, kind)) + field(1, field(4, b"Relu")))


@pytest.mark.parametrize("make", [nested_graphs, nested_types])
@pytest.mark.parametrize("depth", [40, 2000])
def test_what_is_too_deep_is_said_to_be(tmp_path: Path, make: Callable[[int], bytes], depth: int) -> None:
    path = tmp_path / "deep.onnx"
    path.write_bytes(make(depth if make is nested_graphs else 2 * depth))
    with pytest.raises(ModelFormatError, match=r"deep\.onnx nests messages more than 90 deep"):
        read_onnx(path)


def test_the_depth_of_real_models_is_far_below(tmp_path: Path) -> None:
    path = tmp_path / "good.onnx"
    path.write_bytes(nested_graphs(20))
    read_onnx(path)


def test_every_truncation_is_refused(tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]) -> None:
    path = tmp_path / "short.onnx"
    content = make_classifier().SerializeToString()
    # Where the cut falls between two fields of the model the rest is a whole message: then something is missing.
    for length in [*range(200), *range(200, len(content), 101)]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFormatError, match=r"truncated|no graph"):
            read_onnx(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "has 0 left"),
        (b"\x08" + b"\xff" * 11, "number is cut off"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x09\0\0\0", "number is cut off"),
        (field(7, field(1, field(4, b"\xff\xfe"))), "no text"),
    ],
)
def test_what_no_writer_writes_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=reason):
        read_onnx(path)


def test_integers_in_the_usual_form_are_not_counted(tmp_path: Path) -> None:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**26], raw_data=bytes(2**28))
    value = helper.make_tensor_value_info
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [value("x", 1, [1])], [value("y", 1, [1])], [weights])
    path = tmp_path / "large.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert protobuf_scan.MAX_PACKED_BYTES < 2**28
    read_onnx(path)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted on Linux")
def test_the_limit_of_these_tests_is_one() -> None:
    with limited_memory(), pytest.raises(MemoryError):
        bytearray(600_000_000)
    assert issubclass(ModelFormatError, OnnxfpError)
