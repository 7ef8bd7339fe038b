"""``--report``: a page is written, whole, and over nothing but an older page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import onnxfp as package
from onnxfp.cli import main

Run = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "base-1.fp.npz"


def test_verify_shows_its_outcome_in_a_page(onnxfp: Run, models: Path, tmp_path: Path) -> None:
    suspect = tmp_path / "<b>&\x1b[2J.onnx"
    shutil.copy(models / "stolen" / "int8.onnx", suspect)
    page = tmp_path / "out.html"
    made = onnxfp("verify", suspect, GOLDEN, "--report", page)
    assert (made.code, made.err) == (0, "")
    assert made.out.endswith(f"\nshown in {page}\n")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert r"&lt;b&gt;&amp;\x1b[2J.onnx" in text
    assert text.rstrip().endswith("</html>")
    # Over an older page of its own, and beside JSON alone on stdout.
    again = onnxfp("verify", models / "independent" / "vgg_seed2.onnx", GOLDEN, "--report", page, "--json")
    assert (again.code, again.err) == (10, "")
    assert again.out.startswith("{")
    assert again.out.endswith("}\n")
    assert "NO_MATCH: vgg_seed2.onnx" in page.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize(
    ("page", "code", "message"),
    [
        ("{suspect}", 2, "is one of its inputs"),
        ("{link}", 2, "is one of its inputs"),
        ("{bundle}", 2, "is one of its inputs"),
        ("{pool}/r.onnx", 2, "is one of its inputs"),
        ("{key}", 2, "is one of its inputs"),
        ("{tmp}/attest.json", 2, "which another option writes"),
        ("{tmp}/weights.bin", 7, "is not an HTML page"),
        ("{tmp}/no/where.html", 7, "does not exist"),
        ("{tmp}", 2, "is a directory"),
        ("/dev/null", 7, "is not a regular file"),
    ],
)
def test_a_page_replaces_nothing_else(
    onnxfp: Run, models: Path, tmp_path: Path, page: str, code: int, message: str
) -> None:
    places = {
        "tmp": tmp_path,
        "suspect": tmp_path / "s.onnx",
        "link": tmp_path / "link.html",
        "bundle": tmp_path / "b.fp.npz",
        "pool": tmp_path / "pool",
        "key": tmp_path / "owner.pub.pem",
    }
    places["pool"].mkdir()
    shutil.copy(models / "stolen" / "int8.onnx", places["suspect"])
    shutil.copy(models / "independent" / "resnet.onnx", places["pool"] / "r.onnx")
    shutil.copy(GOLDEN, places["bundle"])
    shutil.copy(GOLDEN.parent / "test-key.pub.pem", places["key"])
    places["link"].symlink_to(places["suspect"])
    (tmp_path / "weights.bin").write_bytes(b"weights")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    refused = onnxfp(
        "verify",
        places["suspect"],
        places["bundle"],
        "--reference",
        places["pool"],
        "--public-key",
        places["key"],
        "--attest",
        tmp_path / "attest.json",
        "--report",
        page.format(**places),
    )
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert {path: path.read_bytes() for path in before} == before
    if page != "/dev/null":
        assert not (tmp_path / "attest.json").exists()


def test_evaluate_shows_its_outcome_in_a_page(
    models: Path,
    tmp_path: Path,
    make_evaluation: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Only the long work is left out; tests of `evaluate` do it.
    monkeypatch.setattr(package, "evaluate", lambda base, bundle, **_: make_evaluation(package.load(bundle)))
    page = tmp_path / "out.html"
    assert main(["evaluate", str(models / "base.onnx"), str(GOLDEN), "--report", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"\nshown in {page}\n")
    text = page.read_text(encoding="utf-8")
    assert "convicts 5 of 6 modified copies" in text
    assert text.count("<svg") == 5


@pytest.mark.parametrize(
    ("page", "code", "message"),
    [
        ("{base}", 2, "is one of its inputs"),
        ("{pool}/v.onnx", 2, "is one of its inputs"),
        ("{data}", 2, "is one of its inputs"),
        ("{tmp}/record.json", 2, "which another option writes"),
        ("{tmp}/no/where.html", 7, "does not exist"),
    ],
)
def test_an_evaluation_is_not_begun_whose_page_would_replace_something(
    onnxfp: Run, models: Path, tmp_path: Path, page: str, code: int, message: str
) -> None:
    places = {"tmp": tmp_path, "base": tmp_path / "b.onnx", "pool": tmp_path / "pool", "data": tmp_path / "d.npz"}
    places["pool"].mkdir()
    shutil.copy(models / "base.onnx", places["base"])
    shutil.copy(models / "stolen" / "int8.onnx", places["pool"] / "v.onnx")
    places["data"].write_bytes(b"data")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    refused = onnxfp(
        "evaluate",
        places["base"],
        GOLDEN,
        "--variant",
        places["pool"],
        "--data",
        places["data"],
        "--json",
        tmp_path / "record.json",
        "--report",
        page.format(**places),
    )
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
