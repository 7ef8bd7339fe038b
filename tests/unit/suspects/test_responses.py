"""Suspects that somebody else asked: what is exported, what is read back, and what a function may answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import onnxfp
from onnxfp import ModelIO
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import FileError, ParameterError, ReportFormatError, ResponsesError, SuspectError
from onnxfp.report.verification import Report
from onnxfp.runtime.session import Answers
from onnxfp.suspects.export import present_examples
from onnxfp.suspects.responses import ask_function, check_class_names, read_class_names, read_responses
from onnxfp.types import Bounds, InputGrid
from tests.conftest import Forge


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "responses.csv"
    path.write_text("example,label\n0001.png,4\n0002.png,\n0003.png,0\n")
    return path


def test_exported_images_are_the_examples(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    fingerprint = onnxfp.load(crafted[1])
    names = onnxfp.export(crafted[1], tmp_path / "examples")
    assert names[0] == "0001.png"
    assert names[-1] == "0300.png"
    images = np.stack([np.asarray(Image.open(tmp_path / "examples" / name)) for name in names])
    assert np.array_equal(images.transpose(0, 3, 1, 2), fingerprint.levels)
    read = read_responses(tmp_path / "examples" / "responses.csv", 300, 5)
    assert (read.answers.labels == -1).all(), "nothing is answered yet"


def test_what_is_no_image_is_exported_as_real_values(forge: Forge, tmp_path: Path) -> None:
    manifest = forge.manifest()
    grid = InputGrid(Bounds(-2.0, 3.0), 65536, mean=(1.0,), std=(4.0,))
    spec = replace(manifest.base.input, shape=(7,), layout="OTHER")
    base = replace(manifest.base, input=spec, spatial_axes=())
    fingerprint = forge.fingerprint(replace(manifest, base=base, grid=grid))
    onnxfp.export(fingerprint, tmp_path / "examples")
    presented = present_examples(fingerprint)
    assert presented.dtype == np.float32
    # Before normalisation: (value - mean) / std is what the base is fed.
    assert np.allclose((presented - 1.0) / 4.0, fingerprint.model_input(), atol=1e-6)
    header_and_values = (tmp_path / "examples" / "0003.npy").read_bytes()
    assert header_and_values.endswith(presented[2].tobytes())


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 4, 4)])
def test_grey_images_are_shown_and_two_channels_are_not(forge: Forge, tmp_path: Path, shape: tuple[int, ...]) -> None:
    names = onnxfp.export(forge.fingerprint(forge.manifest(shape=shape)), tmp_path / "examples")
    assert names[0] == ("0001.png" if shape[0] == 1 else "0001.npy")


def test_a_folder_that_holds_something_is_left_alone(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    onnxfp.export(crafted[1], folder)
    (folder / "responses.csv").write_text("mine")
    with pytest.raises(FileError, match="exists already"):
        onnxfp.export(crafted[1], folder)
    assert (folder / "responses.csv").read_text() == "mine"
    with pytest.raises(FileError, match="cannot be written"):
        onnxfp.export(crafted[1], tmp_path / "missing" / "examples")
    assert [path.name for path in tmp_path.iterdir()] == ["examples"]


def test_responses_are_read_whatever_wrote_them(table: Path) -> None:
    expected = [4, -1, 0]
    assert read_responses(table, 3, 10).answers.labels.tolist() == expected
    for content in (
        "example,label\r\n0001.png,4\r\n0002.png,\r\n0003.png,0\r\n",
        '\ufeffLabel , Example,note\n0,3,x\n4,folder/1.png,"a, b"\n\n,0002,y\n',
        'example, label\n1, "4"\n2, \n3, 0,\n',
    ):
        table.write_text(content, encoding="utf-8", newline="")
        assert read_responses(table, 3, 10).answers.labels.tolist() == expected


def test_names_are_classes_and_other_names_are_other_classes(table: Path, tmp_path: Path) -> None:
    table.write_text("example,label\n1,dog\n2,Hund\n3,cat\n")
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n\n")
    assert read_responses(table, 3, read_class_names(names, 2)).answers.labels.tolist() == [1, 2, 0]
    for content, complaint in (("cat\n", "1 names"), ("cat\ncat\n", "two classes have the name 'cat'")):
        names.write_text(content)
        with pytest.raises(ResponsesError, match=complaint):
            read_class_names(names, 2)
    names.write_bytes(b"\xff\xfe\n")
    with pytest.raises(ResponsesError, match="no text in UTF-8"):
        read_class_names(names, 1)
    assert check_class_names(["a", "b"], 2) == ("a", "b")


def test_labels_that_are_no_class_of_the_base_are_told(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    table.write_text("example,label\n1,dog\n2,Cat\n3,\n")
    assert read_responses(table, 3, ("cat", "dog")).answers.labels.tolist() == [1, 2, -1]
    assert "1 of 2 labels are no class of the base, the first is 'Cat'" in caplog.text
    table.write_text("example,label\n1,1\n2,10\n3,2\n")
    assert read_responses(table, 3, 10).answers.labels.tolist() == [1, 10, 2]
    assert "1 of 3 labels are no class of the base, the first is '10'" in caplog.text


@pytest.mark.parametrize(
    ("labels", "classes", "hint"),
    [
        (["Cat", "DOG", ""], ("cat", "dog"), "such as 'cat'"),
        (["0", "1", "1"], ("cat", "dog"), "leave out --classes"),
        (["3", "4", "5"], 3, "from 0 to 2"),
    ],
)
def test_a_table_without_one_class_of_the_base_is_refused(
    table: Path, labels: list[str], classes: tuple[str, ...] | int, hint: str
) -> None:
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels, 1))
    table.write_text(f"example,label\n{rows}")
    with pytest.raises(ResponsesError, match="labels are no class of the base") as raised:
        read_responses(table, 3, classes)
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: there is not one column 'example'"),
        ("example\n1\n", "not one column 'label'"),
        ("example,label,label\n1,1,1\n", "not one column 'label'"),
        ("example,label\n1,1\n2,1\n", "1 of 3 examples have no row, the first is number 3"),
        ("example,label\n1,1\n1,1\n", "line 3: example '1' stands twice"),
        ("example,label\n4,1\n", "line 2: there is no example '4' of 3"),
        ("example,label\n0,1\n", "there is no example '0'"),
        ("example,label\n-1,1\n", "there is no example '-1'"),
        ("example,label\n\u0663,1\n", "there is no example"),
        ("example,label\n1,cat\n", "line 2: the label 'cat' is no class index"),
        ("example,label\n1,1.0\n", "is no class index"),
        (f"example,label\n1,{'9' * 30}\n", "is no class index"),
        ("example,label\n1\n", "line 2: 1 cells, 2 expected"),
        ("example,label\n1,tench, Tinca tinca\n", "line 2: 3 cells, 2 expected"),
        ('example,label\n1,"1\n', "no table of responses"),
        ("example,label\n1,\x00\n2,1\n3,1\n", "no table of responses|is no class index"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(table: Path, content: str, complaint: str) -> None:
    table.write_text(content, encoding="utf-8")
    with pytest.raises(ResponsesError, match=complaint) as raised:
        read_responses(table, 3, 10)
    assert str(table) in str(raised.value)
    assert raised.value.exit_code == 4


def test_no_file_and_no_text_are_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        read_responses(tmp_path / "none.csv", 3, 10)
    with pytest.raises(FileError, match="is a folder"):
        read_responses(tmp_path, 3, 10)
    table.write_bytes(b"example,label\n1,\xff\n")
    with pytest.raises(ResponsesError, match="no table of responses"):
        read_responses(table, 3, 10)
    with table.open("wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(ResponsesError, match="exceeds the limit"):
        read_responses(table, 3, 10)


def predict(path: Path) -> Any:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])  # noqa: TID251

    def scores(images: NDArray[Any]) -> Any:
        return session.run(None, {"image": images.transpose(0, 3, 1, 2).astype(np.float32) / 255})[0]

    return scores


def test_a_function_a_file_and_a_model_have_one_verdict(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    function = predict(base)
    run, asked = onnxfp.verify(base, bundle), onnxfp.verify(function, bundle)
    labels = function(present_examples(onnxfp.load(bundle))).argmax(axis=1)
    table = tmp_path / "responses.csv"
    table.write_text("example,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels, 1)))
    read = onnxfp.verify(table, bundle)
    named = onnxfp.verify(table, bundle, class_names=[str(label) for label in range(10)])
    assert run.verdict == onnxfp.Verdict.MATCH
    for report in (asked, read, named):
        assert (report.decision, report.counts) == (run.decision, run.counts)
        assert report.suspect.is_recorded
        assert "onnxfp did not ask it" in report.gaps[0]
        assert Report.from_json(report.to_json()) == report
    assert not run.suspect.is_recorded
    # A file that says the same in the same words is the same evidence.
    assert asked.suspect.digest == read.suspect.digest
    assert asked.top_k == run.top_k
    assert read.top_k == ()


def answered(answer: Any, fingerprint: Fingerprint) -> Answers:
    return ask_function(lambda _: answer, fingerprint).answers


def test_a_function_answers_with_labels_or_scores(forge: Forge) -> None:
    fingerprint = forge.fingerprint()
    n, n_classes = 6, 10
    scores = np.random.default_rng(0).normal(size=(n, n_classes))
    found = answered(scores, fingerprint)
    assert np.array_equal(found.labels, scores.argmax(axis=1))
    assert found.scores is not None
    assert answered(scores[:, :4], fingerprint).scores is None
    assert answered([3, -5, 0, 1, 99, 2], fingerprint).labels.tolist() == [3, -1, 0, 1, 99, 2]
    scores[1, 0] = np.nan
    found = answered(scores, fingerprint)
    assert (found.labels == -1).tolist() == [False, True, False, False, False, False]
    assert found.scores is None
    for wrong in (None, [1.0] * n, [1] * (n + 1), np.zeros((n, 1)), np.zeros((n, 2, 2)), ["cat"] * n):
        with pytest.raises(SuspectError, match="the function answered 6 examples with an array of shape"):
            answered(wrong, fingerprint)


@pytest.mark.parametrize(
    "answer", [[[1.0], [1.0, 2.0]], torch.ones(6, 10, requires_grad=True), torch.ones(6, 10, dtype=torch.bfloat16)]
)
def test_what_is_no_array_is_refused(forge: Forge, answer: Any) -> None:
    with pytest.raises(SuspectError, match="that is no array") as raised:
        answered(answer, forge.fingerprint())
    assert "(6, 10) numbers" in raised.value.hint


def test_what_describes_a_model_does_not_describe_responses(crafted: tuple[Path, Path], table: Path) -> None:
    base, bundle = crafted
    with pytest.raises(ParameterError, match="describe an ONNX file"):
        onnxfp.verify(table, bundle, io=ModelIO(input_name="image"))
    with pytest.raises(ParameterError, match="names of classes belong to"):
        onnxfp.verify(base, bundle, class_names=["a"])
    with pytest.raises(ParameterError, match="names of classes belong to"):
        onnxfp.verify(predict(base), bundle, class_names=["a"])
    with pytest.raises(ResponsesError, match="2 names of classes"):
        onnxfp.verify(table, bundle, class_names=["a", "b"])


def test_a_report_of_responses_that_claims_a_run_is_refused(crafted: tuple[Path, Path]) -> None:
    report = onnxfp.verify(predict(crafted[0]), crafted[1])
    forged = replace(report, suspect=replace(report.suspect, isolation=("process",)))
    with pytest.raises(ReportFormatError, match="suspect was not run"):
        Report.from_json(forged.to_json())
