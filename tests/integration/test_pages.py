"""``--report``: a page is written, whole, and over nothing but an older page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        ("{tmp}/weights.bin", 7, "is no HTML page"),
        ("{tmp}/no/where.html", 7, "does not exist"),
        ("{tmp}", 2, "is a directory"),
        ("/dev/null", 7, "is no plain file"),
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
        "verify", places["suspect"], places["bundle"], "--reference", places["pool"], "--public-key", places["key"],
        "--attest", tmp_path / "attest.json", "--report", page.format(**places),
    )  # fmt: skip
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert {path: path.read_bytes() for path in before} == before
    if page != "/dev/null":
        assert not (tmp_path / "attest.json").exists()
