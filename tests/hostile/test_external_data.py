"""Models whose weights lie where they must not: outside the folder, behind links, in corners that readers forget."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxfp import Execution, Limits
from onnxfp.errors import FileError, ModelFormatError, OnnxfpError, UnsafeModelError
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.session import ModelSession
from tests.builders import pair_model, write_model

Place = Callable[[onnx.ModelProto, TensorProto], None]


def external(*locations: str, **more: str) -> TensorProto:
    """Return a tensor of two floats that lie elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for location in locations:
        tensor.external_data.add(key="location", value=location)
    for key, value in more.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def write(folder: Path, *tensors: TensorProto, place: Place | None = None) -> Path:
    """Write a model that holds the tensors, as initializers or wherever ``place`` puts them."""
    model = pair_model(helper.make_node("Identity", ["x"], ["y"]))
    for tensor in tensors:
        (place or (lambda model, tensor: model.graph.initializer.append(tensor)))(model, tensor)
    return write_model(model, folder / "evil.onnx")


OUTSIDE = [
    *(
        "../secret",
        "a/../../secret",
        "a/../secret",
        "./../secret",
        "sub/../../secret",
        "..",
        ".",
        "",
        "./",
        "/etc/passwd",
    ),
    *("//host/share", "C:\\secret", "C:secret", "\\\\host\\share", "..\\secret", "sub\\..\\..\\secret", "\\secret"),
    *("w.bin\0../secret", "w.bin\n", "\x1b[2J"),
]


@pytest.mark.parametrize("location", OUTSIDE)
def test_a_place_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "sub").mkdir()
    for name in (tmp_path / "secret", folder / "secret", folder / "w.bin"):
        name.write_bytes(bytes(8))
    with pytest.raises(UnsafeModelError, match="outside the model's folder") as raised:
        read_onnx(write(folder, external(location)))
    assert str(raised.value).isprintable()
    assert raised.value.hint


@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "sub//w.bin", "./w.bin"])
def test_a_place_within_the_folder_is_taken(tmp_path: Path, location: str) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("w.bin", "sub/w.bin"):
        (tmp_path / name).write_bytes(bytes(8))
    assert len(read_onnx(write(tmp_path, external(location))).external) == 1


@pytest.mark.parametrize(
    ("link", "leads_to", "location"),
    [
        ("w.bin", "../secret", "w.bin"),
        ("w.bin", "real.bin", "w.bin"),
        ("way", "..", "way/secret"),
        ("way", "sub", "way/w.bin"),
        ("sub/way", "../..", "sub/way/secret"),
        ("loop", "loop", "loop"),
        ("w.bin", "/dev/zero", "w.bin"),
    ],
)
def test_a_link_on_the_way_is_refused(tmp_path: Path, link: str, leads_to: str, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for name in (tmp_path / "secret", folder / "real.bin", folder / "sub" / "w.bin"):
        name.write_bytes(bytes(8))
    (folder / link).symlink_to(leads_to)
    with pytest.raises(UnsafeModelError, match="behind a link"):
        read_onnx(write(folder, external(location)))


def test_a_link_to_a_model_stands_for_what_lies_beside_it(
    make_classifier: Callable[..., onnx.ModelProto], tmp_path: Path
) -> None:
    for folder, seed in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        model, path = make_classifier(seed=seed), tmp_path / folder / "m.onnx"
        onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    inputs = np.random.default_rng(0).random((3, 3, 8, 8), np.float32)
    direct = read_onnx(tmp_path / "a" / "m.onnx")
    expected = ModelSession(direct, execution=Execution("cpu", limits=None)).answer(inputs).scores
    link = tmp_path / "b" / "m.onnx"
    link.unlink()
    link.symlink_to("../a/m.onnx")
    linked = read_onnx(link)
    assert (linked.path, linked.real_path, linked.digest) == (link, direct.real_path, direct.digest)
    assert linked.external == direct.external
    assert linked.load_proto() == direct.load_proto()
    # Checked and hashed were the data beside the file itself: the others must not answer in their place.
    for limits in (None, Limits()):
        found = ModelSession(linked, execution=Execution("cpu", limits)).answer(inputs).scores
        assert found is not None
        assert expected is not None
        assert (found == expected).all()


def test_a_model_whose_link_is_changed_meanwhile_stays_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.bin").write_bytes(folder.encode() * 8)
    write(tmp_path / "b", external("w.bin"))
    link = tmp_path / "link.onnx"
    link.symlink_to(write(tmp_path / "a", external("w.bin")))
    file = read_onnx(link)
    link.unlink()
    link.symlink_to(tmp_path / "b" / "evil.onnx")
    assert file.load_proto().graph.initializer[0].raw_data == b"a" * 8


def test_of_two_places_both_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    for places in (("w.bin", "../secret"), ("../secret", "w.bin")):
        with pytest.raises(UnsafeModelError, match="secret"):
            read_onnx(write(tmp_path, external(*places)))


def in_sparse_initializer(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add(values=helper.make_tensor("v", 1, [1], [1.0]), indices=tensor, dims=[4])


def in_sparse_attribute(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node[0].attribute.add(name="a", type=11).sparse_tensor.values.CopyFrom(tensor)


def in_attribute_list(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node[0].attribute.add(name="a", type=9).tensors.append(tensor)


def in_subgraph(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node[0].attribute.add(name="a", type=10).graphs.add().initializer.append(tensor)


def in_function(model: onnx.ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.append(helper.make_function("own", "f", [], ["c"], [node], [helper.make_opsetid("", 17)]))


def in_function_default(model: onnx.ModelProto, tensor: TensorProto) -> None:
    in_function(model, helper.make_tensor("v", 1, [1], [1.0]))
    model.functions[0].attribute_proto.add(name="a", type=4).t.CopyFrom(tensor)


def in_graph_of_function_default(model: onnx.ModelProto, tensor: TensorProto) -> None:
    in_function(model, helper.make_tensor("v", 1, [1], [1.0]))
    node = model.functions[0].attribute_proto.add(name="a", type=5).g.node.add()
    node.attribute.add(name="a", type=4).t.CopyFrom(tensor)


def in_training(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


PLACES = [
    *(in_sparse_initializer, in_sparse_attribute, in_attribute_list, in_subgraph, in_function, in_function_default),
    *(in_graph_of_function_default, in_training),
]


@pytest.mark.parametrize("place", PLACES)
def test_no_corner_of_a_model_is_overlooked(tmp_path: Path, place: Place) -> None:
    with pytest.raises(UnsafeModelError, match="outside"):
        read_onnx(write(tmp_path, external("../secret"), place=place))


@pytest.mark.parametrize("location", ["n" * 300, "gone.bin", "folder"])
def test_what_is_no_file_is_said(tmp_path: Path, location: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=r"missing|too long"):
        read_onnx(write(tmp_path, external(location)))


@pytest.mark.skipif(os.name != "posix", reason="pipes and permissions of POSIX")
def test_pipes_and_forbidden_files_are_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(FileError, match="missing"):
        read_onnx(write(tmp_path, external("pipe.bin")))
    (tmp_path / "w.bin").write_bytes(bytes(8))
    (tmp_path / "w.bin").chmod(0)
    if not os.access(tmp_path / "w.bin", os.R_OK):
        with pytest.raises(FileError, match=r"w\.bin cannot be read"):
            read_onnx(write(tmp_path, external("w.bin")))


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 30, "", "\u0663", " 8"])
def test_a_length_that_is_none_is_refused(tmp_path: Path, length: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    with pytest.raises(ModelFormatError, match="length"):
        read_onnx(write(tmp_path, external("w.bin", length=length)))


def test_many_tensors_do_not_read_one_file_over_and_over(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(2**20))
    with pytest.raises(ModelFormatError, match="read 1048576000 bytes out of external data of 1048576"):
        read_onnx(write(tmp_path, *[external("w.bin")] * 1000))
    with pytest.raises(ModelFormatError, match="read 9223372036854775807 bytes"):
        read_onnx(write(tmp_path, external("w.bin", length=str(2**63 - 1))))


def test_an_offset_outside_the_file_ends_no_process(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    for offset in ("9", "-1", "x", "9" * 30):
        with pytest.raises(OnnxfpError, match="external data"):
            read_onnx(write(tmp_path, external("w.bin", offset=offset, length="8"))).load_proto()
