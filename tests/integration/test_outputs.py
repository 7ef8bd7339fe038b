"""What commands write: over nothing that they read, whatever the option and the file's name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxfp.api.evaluation import evaluate
from onnxfp.api.timestamping import commit
from onnxfp.cli import main
from onnxfp.errors import FileError
from onnxfp.trust.keys import default_key_path, generate_key_pair

Run = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "base-1.fp.npz"


@pytest.fixture
def places(tmp_path: Path, models: Path) -> dict[str, Any]:
    """Files of every kind that commands read."""
    folder = tmp_path / "files"
    found = {name: folder / name for name in ("base.onnx", "b.fp.npz", "d.npz", "names.txt", "tsa.pem", "b.tsr", "pw")}
    (folder / "pool").mkdir(parents=True)
    shutil.copy(models / "base.onnx", found["base.onnx"])
    shutil.copy(models / "independent" / "resnet.onnx", folder / "pool" / "r.onnx")
    shutil.copy(GOLDEN, found["b.fp.npz"])
    for name in ("d.npz", "names.txt", "tsa.pem", "b.tsr", "pw"):
        found[name].write_text(name)
    generate_key_pair(folder / "k.pem")
    generate_key_pair(default_key_path())
    value = commit(found["b.fp.npz"], output=folder / "b.fp.commitment.json").value
    (folder / "linked").symlink_to(found["base.onnx"])
    os.link(folder / "k.pem", folder / "other-name.pem")
    return {"at": folder, "value": value, "default": default_key_path()}


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("inspect {at}/b.fp.npz --image {at}/b.fp.npz", "--image"),
        ("inspect {at}/b.fp.npz --public-key {at}/k.pub.pem --image {at}/k.pub.pem", "--image"),
        ("generate {at}/base.onnx -o {at}/base.onnx", "--output"),
        ("generate {at}/base.onnx -o {at}/linked", "--output"),
        ("generate {at}/base.onnx --key {at}/k.pem -o {at}/k.pem", "--output"),
        ("generate {at}/base.onnx -o {default}", "--output"),
        ("generate {at}/base.onnx --passphrase-file {at}/pw -o {at}/pw", "--output"),
        ("generate {at}/base.onnx --avoid {at}/pool -o {at}/pool/r.onnx", "--output"),
        ("generate {at}/base.onnx --reference {at}/pool/r.onnx -o {at}/pool/../pool/r.onnx", "--output"),
        ("evaluate {at}/base.onnx {at}/b.fp.npz --json {at}/b.fp.npz", "--json"),
        ("evaluate {at}/base.onnx {at}/b.fp.npz --json {at}/base.onnx", "--json"),
        ("evaluate {at}/base.onnx {at}/b.fp.npz --data {at}/d.npz --json {at}/d.npz", "--json"),
        ("evaluate {at}/base.onnx {at}/b.fp.npz --variant {at}/pool --json {at}/pool/r.onnx", "--json"),
        ("verify {at}/base.onnx {at}/b.fp.npz --commitment {value} --attest {at}/b.fp.commitment.json", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --key {at}/k.pem --attest {at}/k.pem", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --key {at}/other-name.pem --attest {at}/k.pem", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --attest {default}", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --classes {at}/names.txt --attest {at}/names.txt", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --reference {at}/pool --attest {at}/pool/r.onnx", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --timestamp {at}/b.tsr --attest {at}/b.tsr", "--attest"),
        ("verify {at}/base.onnx {at}/b.fp.npz --tsa-certificate {at}/tsa.pem --attest {at}/tsa.pem", "--attest"),
        ("keygen --force --passphrase-file {at}/pw -o {at}/pw", "--output"),
        ("keygen --force --passphrase-file {at}/k.pub.pem -o {at}/k.pem", "--output (its public half)"),
    ],
)
def test_no_output_replaces_what_the_command_reads(
    places: dict[str, Any], command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _contents(places["at"].parent)
    assert main([word.format(**places) for word in command.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"Error: {option} would replace " in shown.err
    assert "is one of its inputs" in shown.err
    assert _contents(places["at"].parent) == before


def test_two_outputs_have_two_files(places: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", "{at}/base.onnx", "{at}/b.fp.npz", "--attest", "{at}/new", "--report", "{at}/pool/../new"]
    assert main([word.format(**places) for word in words]) == 2
    assert "--report would replace" in (shown := capsys.readouterr().err)
    assert "which another option writes" in shown


def test_an_older_output_is_replaced_as_before(onnxfp: Run, places: dict[str, Any]) -> None:
    at, out = places["at"], places["at"] / "attested.json"
    shutil.copy(GOLDEN.parent / "attestation-1.json", out)
    older = out.read_bytes()
    # Neither a key in digits nor a published value is the name of a file, however long.
    public_key = json.loads(onnxfp("inspect", at / "b.fp.npz", "--json").out)["manifest"]["public_key"]
    words = ("verify", at / "base.onnx", at / "b.fp.npz", "--public-key", public_key, "--commitment", places["value"])
    assert onnxfp(*words, "--attest", out).code == 0
    assert out.read_bytes() != older
    assert onnxfp(*words[:-1], "ab" * 500, "--attest", out).code == 7


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("verify {at}/base.onnx {at}/b.fp.npz --attest {at}/tsa.pem", "an attestation"),
        # It begins with a brace as well, and cannot be made again.
        ("verify {at}/pool/r.onnx {at}/b.fp.npz --attest {at}/other.commitment.json", "an attestation"),
        ("verify {at}/base.onnx {at}/b.fp.npz --report {at}/names.txt", "an HTML page"),
        ("evaluate {at}/base.onnx {at}/b.fp.npz --json {at}/other.commitment.json", "an evaluation"),
        ("inspect {at}/b.fp.npz --image {at}/pool/r.onnx", "a PNG image"),
    ],
)
def test_no_output_replaces_another_file_than_its_own(
    onnxfp: Run, places: dict[str, Any], command: str, what: str
) -> None:
    shutil.copy(GOLDEN.with_name("base-1.fp.commitment.json"), places["at"] / "other.commitment.json")
    before = _contents(places["at"])
    words = [word.format(**places) for word in command.split()]
    refused = onnxfp(*words)
    assert (refused.code, refused.out) == (7, "")
    assert f"{words[-1]} exists and is not {what}; it is not replaced" in refused.err
    assert _contents(places["at"]) == before


@pytest.mark.parametrize(
    "command",
    [
        "verify {at}/base.onnx {at}/b.fp.npz --attest {at}/missing/a.json",
        "verify {at}/base.onnx {at}/b.fp.npz --report {at}/missing/a.html",
        "evaluate {at}/base.onnx {at}/b.fp.npz --json {at}/missing/a.json",
        "inspect {at}/b.fp.npz --image {at}/missing/a.png",
    ],
)
def test_a_missing_folder_is_said_before_the_long_work(onnxfp: Run, places: dict[str, Any], command: str) -> None:
    refused = onnxfp(*(word.format(**places) for word in command.split()))
    assert (refused.code, refused.out) == (7, "")
    assert "does not exist" in refused.err


def test_an_older_image_or_an_empty_file_is_replaced(onnxfp: Run, places: dict[str, Any]) -> None:
    out = places["at"] / "sheet.png"
    out.touch()
    for _ in range(2):
        assert onnxfp("inspect", places["at"] / "b.fp.npz", "--image", out).code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "command",
    [
        ["keygen", "-o", ""],
        ["keygen", "-o", "{tmp}/new.pem", "--passphrase-file", ""],
        ["generate", "{base}", "-o", ""],
        ["generate", ""],
        ["evaluate", "{base}", "{bundle}", "--json", ""],
        ["evaluate", "{base}", "{bundle}", "--report", ""],
        ["verify", "{base}", "{bundle}", "--attest", ""],
        ["verify", "{base}", ""],
        ["inspect", "{bundle}", "--image", ""],
        ["export", "{bundle}", ""],
    ],
)
def test_an_empty_path_is_wrong_usage(
    command: list[str], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"base": models / "base.onnx", "bundle": GOLDEN, "tmp": tmp_path}
    assert main([word.format(**places) for word in command]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "an empty path names no file" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_not_begun_whose_place_is_no_file(models: Path, tmp_path: Path) -> None:
    for place in (tmp_path, ""):
        with pytest.raises(FileError, match="not a regular file"):
            evaluate(models / "base.onnx", GOLDEN, output=place)


@pytest.mark.skipif(os.name != "posix", reason="closed pipes are told apart on POSIX")
@pytest.mark.parametrize("words", [["--help"], ["keys", "--help"], ["inspect", str(GOLDEN)]])
def test_a_closed_output_ends_as_it_does_elsewhere(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "onnxfp", *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["inspect", str(GOLDEN)], ["inspect", str(GOLDEN), "--json"]])
def test_a_full_disk_under_the_output_is_said(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "onnxfp", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 7
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\nhint: ")
    assert done.stderr.count("\n") == 2


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
