"""Reading ONNX files of strangers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxfp.errors import FileError, ModelFormatError, UnsafeModelError
from onnxfp.model.onnx_file import read_onnx
from tests.builders import pair_model, write_model

MakeClassifier = Callable[..., onnx.ModelProto]


def save_external(model: onnx.ModelProto, path: Path, location: str) -> None:
    onnx.save_model(
        model, path, save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=False
    )
    reloaded = onnx.load(path, load_external_data=False)
    for tensor in reloaded.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(reloaded.SerializeToString())


def test_a_model_is_read_with_its_digest(base_path: Path) -> None:
    file = read_onnx(base_path)
    assert file.digest == "sha256:" + hashlib.sha256(base_path.read_bytes()).hexdigest()
    assert file.external == ()
    assert len(file.load_proto().graph.initializer) == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"hello world, this is no model", "not an ONNX model"),
        (b"", "no graph"),
        (b"\0\0\0\0ORTM" + bytes(50), ".ort format"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "no graph"),
    ],
)
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "strange.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=complaint) as raised:
        read_onnx(path)
    assert "strange.onnx" in str(raised.value)
    assert raised.value.hint


def test_a_truncated_model_is_refused(base_path: Path) -> None:
    base_path.write_bytes(base_path.read_bytes()[:-20])
    with pytest.raises(ModelFormatError, match="truncated"):
        read_onnx(base_path)


def test_paths_that_hold_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        read_onnx(tmp_path / "missing.onnx")
    with pytest.raises(FileError, match="is a folder"):
        read_onnx(tmp_path)
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe.onnx")
        with pytest.raises(FileError, match="not a regular file"):
            read_onnx(tmp_path / "pipe.onnx")


def test_a_file_larger_than_the_format_allows_is_not_read(base_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxfp.model.onnx_file.MAX_FILE_BYTES", 100)
    with pytest.raises(ModelFormatError, match="at most 100"):
        read_onnx(base_path)


def test_external_data_belong_to_the_model(tmp_path: Path, make_classifier: MakeClassifier) -> None:
    path = tmp_path / "big.onnx"
    save_external(make_classifier(), path, "weights.bin")
    file = read_onnx(path)
    assert [p.name for p in file.external] == ["weights.bin"]
    assert file.load_proto().graph.initializer[0].HasField("raw_data")
    content = bytearray((tmp_path / "weights.bin").read_bytes())
    content[5] ^= 1
    (tmp_path / "weights.bin").write_bytes(content)
    assert read_onnx(path).digest != file.digest


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../x", "C:\\x", "..\\x", ""])
def test_external_data_outside_the_folder_are_refused(
    tmp_path: Path, make_classifier: MakeClassifier, location: str
) -> None:
    path = tmp_path / "sub" / "evil.onnx"
    path.parent.mkdir()
    save_external(make_classifier(), path, location)
    with pytest.raises(UnsafeModelError, match="outside"):
        read_onnx(path)


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_external_data_behind_a_link_are_refused(tmp_path: Path, make_classifier: MakeClassifier) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    save_external(make_classifier(), folder / "evil.onnx", "link.bin")
    (folder / "link.bin").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeModelError, match="link"):
        read_onnx(folder / "evil.onnx")
    (folder / "way").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("x")
    save_external(make_classifier(), folder / "evil.onnx", "way/secret")
    with pytest.raises(UnsafeModelError):
        read_onnx(folder / "evil.onnx")


def test_missing_and_oversized_external_data_are_refused(
    tmp_path: Path, make_classifier: MakeClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.onnx"
    save_external(make_classifier(), path, "gone.bin")
    with pytest.raises(FileError, match=r"gone\.bin"):
        read_onnx(path)
    save_external(make_classifier(), path, "weights.bin")
    monkeypatch.setattr("onnxfp.model.onnx_file.MAX_EXTERNAL_BYTES", 10)
    with pytest.raises(ModelFormatError, match="limit of 10"):
        read_onnx(path)


def test_external_data_in_a_subgraph_are_found(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    inner = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "nested.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UnsafeModelError):
        read_onnx(path)


def test_operators_of_a_custom_library_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("Evil", ["x"], ["y"], domain="com.evil")
    path = write_model(pair_model(node), tmp_path / "custom.onnx")
    with pytest.raises(UnsafeModelError, match=r"com\.evil::Evil"):
        read_onnx(path)
