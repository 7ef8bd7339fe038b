"""Walking a model's bytes: real files pass, and the limits are those that are named."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from onnxfp.errors import ModelFormatError
from onnxfp.model import protobuf_scan


def test_every_model_of_the_repository_passes(models: Path) -> None:
    paths = sorted(models.rglob("*.onnx"))
    assert paths
    for path in paths:
        protobuf_scan.check_wire(path.read_bytes())


def test_fields_are_counted_and_weights_are_not(base_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = base_path.read_bytes()
    monkeypatch.setattr(protobuf_scan, "MAX_FIELDS", 400)
    protobuf_scan.check_wire(content)
    monkeypatch.setattr(protobuf_scan, "MAX_FIELDS", 40)
    with pytest.raises(ModelFormatError, match="more than 40 fields"):
        protobuf_scan.check_wire(content)


@pytest.mark.parametrize(("depth", "is_allowed"), [(3, False), (5, True)])
def test_depth_is_that_of_messages(
    base_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int, is_allowed: bool
) -> None:
    # Graph, input, type, tensor, shape, axis: six below the model.
    monkeypatch.setattr(protobuf_scan, "MAX_DEPTH", depth + 1)
    if is_allowed:
        protobuf_scan.check_wire(base_path.read_bytes())
    else:
        with pytest.raises(ModelFormatError, match="more than 4 deep"):
            protobuf_scan.check_wire(base_path.read_bytes())


def test_integers_that_grow_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.ModelProto()
    model.graph.initializer.add(int64_data=[1] * 1000)
    monkeypatch.setattr(protobuf_scan, "MAX_PACKED_BYTES", 1000)
    protobuf_scan.check_wire(model.SerializeToString())
    model.graph.initializer.add(int64_data=[1])
    with pytest.raises(ModelFormatError, match="packed integers"):
        protobuf_scan.check_wire(model.SerializeToString())


def test_a_comment_may_be_in_any_encoding_and_a_name_may_not() -> None:
    model = onnx.ModelProto(doc_string="Hello", producer_name="World")
    content = model.SerializeToString()
    protobuf_scan.check_wire(content.replace(b"Hello", b"H\xe9llo"))
    with pytest.raises(ModelFormatError, match="no text"):
        protobuf_scan.check_wire(content.replace(b"World", b"W\xf6rld"))
