"""The commands: exit code, stdout and stderr, each on its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

Run = Callable[..., Any]
EASY = ("--kind", "rc", "--spectrum", "white", "--steps", 40, "--step-size", 0.004, "--noise", 0.01)


def test_generate_verify_and_inspect_from_one_end_to_the_other(
    onnxfp: Run, covered_path: Path, covered_other_path: Path
) -> None:
    made = onnxfp("generate", covered_path, *EASY)
    assert made.code == 0
    assert "300 of" in made.out
    assert "made your default key pair" in made.err
    bundle = covered_path.with_suffix(".fp.npz")
    match = onnxfp("verify", covered_path, bundle)
    # With some keys so many candidates are lost that no count is a MATCH; then, and only then, it was said before.
    was_warned = "warning: Not even 300 matches of 300" in made.err
    assert (match.code, match.err) == (11 if was_warned else 0, "")
    assert f"base.onnx: {'INCONCLUSIVE' if was_warned else 'MATCH'}" in match.out
    assert "key not pinned" in match.out
    stranger = onnxfp("verify", covered_other_path, bundle)
    assert stranger.code in (10, 11)
    seen = onnxfp("inspect", bundle)
    assert (seen.code, seen.err) == (0, "")
    assert "signature, digests and derivation are good" in seen.out


def test_json_is_one_record_on_stdout(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    record = json.loads(onnxfp("verify", base, bundle, "--json").out)
    assert record["schema"] == "onnxfp/verification/2"
    assert record["decision"]["verdict"] == "MATCH"
    manifest = json.loads(onnxfp("inspect", bundle, "--json").out)["manifest"]
    assert manifest["n_examples"] == 300
    output = tmp_path / "b.fp.npz"
    words = ("generate", base, "-n", 2, *EASY, "-o", output, "--json")
    made = json.loads(onnxfp(*words).out)
    assert made["manifest"]["public_key"] == manifest["public_key"] or len(made["manifest"]["public_key"]) == 64
    key = json.loads(onnxfp("keygen", "-o", tmp_path / "k.pem", "--json").out)
    assert Path(key["public_key_file"]).exists()
    first = output.read_bytes()
    again = onnxfp(*words)
    assert (again.code, again.out) == (7, "")
    assert "exists already" in again.err
    assert "--force" in again.err
    assert output.read_bytes() == first
    assert onnxfp(*words, "--force", "--seed", 1).code == 0
    assert output.read_bytes() != first


def test_exit_codes_tell_the_verdicts_apart(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    assert onnxfp("verify", base, bundle, "--need-references").code == 11
    # A model that always answers the same is nobody's copy.
    model = onnx.load(base)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(onnx.numpy_helper.to_array(tensor)), tensor.name))
    (tmp_path / "constant.onnx").write_bytes(model.SerializeToString())
    refused = onnxfp("verify", tmp_path / "constant.onnx", bundle)
    assert refused.code == 10
    assert "constant.onnx: NO_MATCH" in refused.out


def test_a_key_pair_with_a_passphrase_signs_and_is_pinned(onnxfp: Run, covered_path: Path, tmp_path: Path) -> None:
    secret, key = tmp_path / "secret", tmp_path / "k.pem"
    secret.write_text("correct horse\n")
    made = onnxfp("keygen", "-o", key, "--passphrase-file", secret)
    assert made.code == 0
    assert b"ENCRYPTED" in key.read_bytes()
    bundle = tmp_path / "a.fp.npz"
    common = ("generate", covered_path, "-n", 20, *EASY, "-o", bundle, "--key", key)
    assert onnxfp(*common, ONNXFP_PASSPHRASE="wrong").code == 7
    assert not bundle.exists()
    secret.chmod(0o644)
    signed = onnxfp(*common, "--passphrase-file", secret)
    assert signed.code == 0
    assert f"warning: the passphrase file {secret} can be read by other users" in signed.err
    assert "correct horse" not in signed.out + signed.err
    pinned = onnxfp("verify", covered_path, bundle, "--public-key", tmp_path / "k.pub.pem")
    assert pinned.code in (0, 11)
    assert "the key you demanded" in pinned.out
    assert onnxfp("keygen", "-o", tmp_path / "other.pem", "--encrypt", ONNXFP_PASSPHRASE="x").code == 0
    mismatch = onnxfp("verify", covered_path, bundle, "--public-key", tmp_path / "other.pub.pem")
    assert mismatch.code == 5
    assert mismatch.err.startswith("error: the bundle is signed by")
    assert "\nhint: " in mismatch.err


def test_a_key_is_not_overwritten_without_force(onnxfp: Run, tmp_path: Path) -> None:
    key = tmp_path / "k.pem"
    assert onnxfp("keygen", "-o", key).code == 0
    again = onnxfp("keygen", "-o", key)
    assert again.code == 7
    assert "exists already" in again.err
    assert onnxfp("keygen", "-o", key, "--force").code == 0


def test_the_contact_sheet_shows_the_examples(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    sheet = tmp_path / "grid.png"
    seen = onnxfp("inspect", crafted[1], "--image", sheet)
    assert seen.code == 0
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    # 300 examples of 16 x 16 in 18 columns and 17 rows, three times as large, two pixels apart.
    assert pixels.shape == (17 * 50, 18 * 50, 3)
    import onnxfp as package

    first = package.load(crafted[1]).levels[0].transpose(1, 2, 0)
    assert (pixels[:48:3, :48:3] == first).all()


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["generate", "{tmp}/missing.onnx"], 7, "does not exist"),
        (["generate", "{junk}"], 3, "not an ONNX model"),
        (["verify", "{base}", "{junk}"], 4, "not a readable .npz"),
        (["verify", "{junk}", "{bundle}"], 3, "not an ONNX model"),
        (["verify", "{tmp}/missing.onnx", "{bundle}"], 7, "does not exist"),
        (["inspect", "{tmp}/missing.npz"], 7, "does not exist"),
        (["inspect", "{junk}", "--image", "x.png"], 4, "not a readable .npz"),
        (["verify", "{base}", "{bundle}", "--public-key", "{tmp}/nokey.pem"], 7, "does not exist"),
        (["verify", "{base}", "{bundle}", "--provider", "cuda"], 6, "CUDA"),
        (["generate", "{base}", "--device", "cuda"], 6, "CUDA"),
        (["generate", "{base}", "-o", "{tmp}/no/where.npz", "-n", "2"], 7, "cannot be written"),
        (["generate", "{base}", "--kind", "c", "--noise", "0.1"], 2, "neither noise nor cutoff"),
        (["generate", "{base}", "--epsilon", "-1"], 2, "epsilon"),
        (["generate", "{base}", "--std", "0"], 2, "std positive"),
        (["generate", "{base}", "--mean", "a,b"], 2, "not a list of numbers"),
        (["generate", "{base}", "--mean", "0", "--preprocessing", "imagenet"], 2, "either the name or the numbers"),
        (["generate", "{base}", "--input", "nope"], 3, "no input 'nope'"),
        (["generate", "{base}", "--output-name", "nope"], 3, "no output 'nope'"),
        (["generate", "{base}", "-n", "0"], 2, "0"),
        (["verify", "{base}"], 2, "Missing argument"),
        (["nonsense"], 2, "No such command"),
        (["check", "{junk}"], 3, "not an ONNX model"),
        (["generate", "{base}", "--fix", "x"], 2, "not of the form"),
        (["generate", "{base}", "--fix", "nope=1"], 3, "no input 'nope' to fix"),
        (["generate", "{base}", "--gradient", "estimate", "--kind", "rc"], 2, "queries"),
        (["verify", "{base}", "{bundle}", "--alpha", "2"], 2, "alpha"),
        (["generate", "{base}", "--seed", "9223372036854775808"], 2, "0<=x<=9223372036854775807"),
        (["generate", "{base}", "--steps", "1000001"], 2, "1<=x<=1000000"),
        (["generate", "{base}", "--draws", "10001"], 2, "1<=x<=10000"),
        (["generate", "{base}", "--step-size", "1e300"], 2, "step size must lie in (0, 1e+12]"),
        (["verify", "{base}", "{bundle}", "--max-memory", "nan"], 2, "--max-memory must lie in (0, 1048576] GiB"),
        (["generate", "{base}", "--max-memory", "inf"], 2, "--max-memory must lie in (0, 1048576] GiB"),
        (["check", "{base}", "--max-memory", "1e300"], 2, "--max-memory must lie in (0, 1048576] GiB"),
        (["check", "{base}", "--max-seconds", "inf"], 2, "--max-seconds must lie in (0, 1000000000] seconds"),
        (["evaluate", "{base}", "{bundle}", "--max-seconds", "1e300"], 2, "--max-seconds must lie in"),
        (["timestamp", "{bundle}", "--tsa", "http://127.0.0.1:1/", "--max-seconds", "inf"], 2, "--max-seconds must"),
    ],
)
def test_wrong_input_ends_in_its_own_error(
    onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path, command: list[str], code: int, message: str
) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"neither one nor the other")
    places = {"tmp": tmp_path, "junk": junk, "base": crafted[0], "bundle": crafted[1]}
    if command[0] == "generate" and "-o" not in command:
        # Beside the base lies its fingerprint, which would be refused first.
        command = [*command, "-o", "{tmp}/new.fp.npz"]
    outcome = onnxfp(*(word.format(**places) for word in command))
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["junk"]


def test_a_suspect_for_another_task_is_an_error_not_a_verdict(
    onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    for name, model in (
        ("six", make_classifier(n_classes=6)),
        ("large", make_classifier(n_classes=10, shape=(3, 20, 20))),
    ):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        outcome = onnxfp("verify", path, crafted[1])
        assert (outcome.code, outcome.out) == (3, "")
        assert f"{name}.onnx" in outcome.err


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to a process is POSIX's")
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(
    covered_path: Path, tmp_path: Path, interruptible: list[str]
) -> None:
    output = tmp_path / "a.fp.npz"
    words = [
        *interruptible,
        "generate",
        covered_path,
        "-o",
        output,
        "-n",
        2000,
        "--kind",
        "c",
        "--epsilon",
        0.5,
        "--steps",
        40,
        "--step-size",
        0.05,
    ]
    process = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "a.fp.npz.partial"
    deadline = time.monotonic() + 60
    while not partial.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "interrupted"
    assert partial.exists()
    assert not output.exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    size = partial.stat().st_size
    assert size > 256 * 192


def test_check_answers_whether_a_model_will_work(onnxfp: Run, covered_path: Path) -> None:
    good = onnxfp("check", covered_path)
    assert (good.code, good.err) == (0, "")
    assert "base.onnx: can be fingerprinted" in good.out
    assert json.loads(onnxfp("check", covered_path, "--json").out)["problem"] == ""


def test_help_names_every_command_and_exit_code(onnxfp: Run) -> None:
    text = onnxfp("--help").out
    for word in ("check", "generate", "verify", "inspect", "keygen", "keys", "MATCH", "10 NO_MATCH", "11 INCONCLUSIVE"):
        assert word in text
    for command in ("generate", "verify", "inspect", "keygen", "keys", "commit", "timestamp"):
        assert onnxfp(command, "--help").out.startswith(f"Usage: onnxfp {command}")


def test_a_service_is_asked_by_files_and_judged_by_its_responses(
    onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path
) -> None:
    base, bundle = crafted
    folder = tmp_path / "examples"
    exported = onnxfp("export", bundle, folder)
    assert (exported.code, exported.err) == (0, "")
    assert f"onnxfp verify {folder / 'responses.csv'} {bundle}" in exported.out
    empty = onnxfp("verify", folder / "responses.csv", bundle)
    assert empty.code == 11
    assert "0 answered" in empty.out
    # The service: the base itself, which is shown the PNG files.
    session = onnxruntime.InferenceSession(base.read_bytes(), providers=["CPUExecutionProvider"])  # noqa: TID251
    rows = (folder / "responses.csv").read_text().splitlines()[1:]
    images = np.stack([np.asarray(Image.open(folder / row.rstrip(","))) for row in rows])
    labels = session.run(None, {"image": images.transpose(0, 3, 1, 2).astype(np.float32) / 255})[0].argmax(axis=1)
    names = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay"]
    (folder / "names.txt").write_text("\n".join(names))
    answered = [f"{row}{names[label]}" for row, label in zip(rows, labels, strict=True)]
    (folder / "responses.csv").write_text("\n".join(["example,label", *answered]))
    unnamed = onnxfp("verify", folder / "responses.csv", bundle)
    assert (unnamed.code, unnamed.out) == (4, "")
    assert "--classes" in unnamed.err
    page = tmp_path / "out.html"
    given = ("--classes", folder / "names.txt", "--attest", tmp_path / "a.json", "--report", page, "--explain")
    match = onnxfp("verify", folder / "responses.csv", bundle, *given)
    assert match.code == 0
    assert "not here: the verifier asked, and recorded the responses" in match.out
    assert "onnxfp did not ask it" in match.out
    assert "that they are its own is the verifier" in page.read_text(encoding="utf-8")
    assert "responses.csv: MATCH" in onnxfp("inspect", tmp_path / "a.json").out
    again = onnxfp("export", bundle, folder)
    assert (again.code, again.out) == (7, "")
    assert "exists already" in again.err


def test_suspect_and_fingerprint_in_the_wrong_order_are_told_apart(onnxfp: Run, crafted: tuple[Path, Path]) -> None:
    base, bundle = crafted
    swapped = onnxfp("verify", bundle, base)
    assert (swapped.code, swapped.out) == (2, "")
    assert "the suspect comes first" in swapped.err
