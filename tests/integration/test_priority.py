"""``commit``, ``timestamp`` and what ``verify`` makes of them: exit code, stdout and stderr, each on its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxfp as package

Run = Callable[..., Any]


@pytest.fixture
def bundle(crafted: tuple[Path, Path], tmp_path: Path) -> Path:
    path = tmp_path / "model.fp.npz"
    shutil.copyfile(crafted[1], path)
    return path


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_commitment_is_published_and_opened(onnxfp: Run, crafted: tuple[Path, Path], bundle: Path) -> None:
    base, opening = crafted[0], bundle.with_name("model.fp.commitment.json")
    made = onnxfp("commit", bundle)
    assert (made.code, made.err) == (0, "")
    value = made.out.split()[1]
    assert value == "sha256:" + hashlib.sha256(opening.read_bytes()).hexdigest()
    assert stat.S_IMODE(opening.stat().st_mode) == 0o600
    assert "publish     this value" in made.out
    assert f"keep        {opening} and {bundle}" in made.out
    # What is printed may be published whole.
    record = json.loads(opening.read_bytes())
    assert record["salt"] not in made.out
    assert record["bundle"].removeprefix("sha256:") not in made.out
    known = onnxfp("verify", base, bundle, "--commitment", value)
    assert known.err == ""
    assert f"commitment   {value}\n             opens to this bundle; the published value\n" in known.out
    unknown = onnxfp("verify", base, bundle, "--commitment", opening)
    assert "opens to this bundle; NOT COMPARED with a published value" in unknown.out
    assert unknown.code == known.code
    elsewhere = opening.rename(opening.with_name("elsewhere.json"))
    assert onnxfp("verify", base, bundle, "--commitment", value, "--opening", elsewhere).code == known.code
    missing = onnxfp("verify", base, bundle, "--commitment", value)
    assert (missing.code, missing.out) == (7, "")


def test_a_second_commitment_does_not_replace_the_first(onnxfp: Run, bundle: Path) -> None:
    first = json.loads(onnxfp("commit", bundle, "--json").out)
    assert first["opening_file"] == str(bundle.with_name("model.fp.commitment.json"))
    again = onnxfp("commit", bundle)
    assert (again.code, again.out) == (7, "")
    assert again.err.startswith(f"error: {first['opening_file']} exists already\nhint: ")
    second = json.loads(onnxfp("commit", bundle, "-o", bundle.with_name("b.json"), "--json").out)
    assert second["commitment"] != first["commitment"]


def test_a_commitment_to_something_else_is_not_believed(
    onnxfp: Run, crafted: tuple[Path, Path], bundle: Path, tmp_path: Path
) -> None:
    value = onnxfp("commit", bundle).out.split()[1]
    other = onnxfp("commit", bundle, "-o", tmp_path / "other.json").out.split()[1]
    wrong = onnxfp("verify", crafted[0], bundle, "--commitment", other)
    assert (wrong.code, wrong.out) == (5, "")
    assert wrong.err.startswith(f"error: the opening is of the commitment {value[:23]}")
    assert "\nhint: " in wrong.err
    edited = tmp_path / "edited.json"
    text = (tmp_path / "other.json").read_text()
    edited.write_text(text + "\n")
    malformed = onnxfp("verify", crafted[0], bundle, "--commitment", edited)
    assert (malformed.code, malformed.out) == (4, "")
    record = json.loads(text)
    edited.write_text(text.replace(record["bundle"], "sha256:" + "0" * 64))
    foreign = onnxfp("verify", crafted[0], bundle, "--commitment", edited)
    assert (foreign.code, foreign.out) == (5, "")
    assert "commits to the bundle sha256:0000" in foreign.err


def test_a_bundle_is_stamped_and_checked_offline(
    onnxfp: Run, crafted: tuple[Path, Path], bundle: Path, authority: Any
) -> None:
    base, token = crafted[0], bundle.with_name("model.fp.npz.tsr")
    with authority.serve() as url:
        made = onnxfp("timestamp", bundle, "--tsa", url, "--tsa-certificate", authority.path("ca"))
        assert (made.code, made.err) == (0, "")
        assert made.out.startswith(f"time-stamp  {token}, of the bundle {bundle}\n")
        again = onnxfp("timestamp", bundle, "--tsa", url)
        assert (again.code, again.out) == (7, "")
        assert "exists already" in again.err
    # The authority is gone.
    words = ("verify", base, bundle, "--timestamp", token, "--tsa-certificate", authority.path("ca"))
    seen = onnxfp(*words)
    assert seen.err == ""
    assert "time-stamp   the bundle existed before 20" in seen.out
    assert "by CN=Test ca" not in seen.out
    assert "by CN=Test tsa" in seen.out
    record = onnxfp(*words, "--json").out
    report, gaps = json.loads(record), package.Report.from_json(record).gaps
    assert report["timestamp"]["digest"] == report["bundle"]["digest"]
    assert report["timestamp"]["existed_before"] in gaps[report["not_tested"].index("date")]
    # OpenSSL's own client says the same of the same files.
    checked = subprocess.run(
        ["openssl", "ts", "-verify", "-data", bundle, "-in", token, "-CAfile", authority.path("ca")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Verification: OK" in checked.stdout + checked.stderr


def test_a_commitment_is_stamped_while_the_bundle_stays_secret(
    onnxfp: Run, crafted: tuple[Path, Path], bundle: Path, authority: Any
) -> None:
    opening = bundle.with_name("model.fp.commitment.json")
    value = onnxfp("commit", bundle).out.split()[1]
    with authority.serve() as url:
        made = onnxfp("timestamp", opening, "--tsa", url, "--json")
    assert made.code == 0
    assert made.err.startswith("warning: who signed the time-stamp was not checked")
    record = json.loads(made.out)
    assert record == {"is_checked": False, "subject": "commitment", "timestamp_file": f"{opening}.tsr"}
    stamp = ("--timestamp", f"{opening}.tsr", "--tsa-certificate", authority.path("ca"))
    seen = onnxfp("verify", crafted[0], bundle, "--commitment", opening, *stamp)
    assert seen.err == ""
    assert f"commitment   {value}\n             opens to this bundle; time-stamped\n" in seen.out
    assert "time-stamp   the commitment existed before 20" in seen.out
    alone = onnxfp("verify", crafted[0], bundle, *stamp)
    assert (alone.code, alone.out) == (5, "")
    assert "give --commitment as well" in alone.err


def test_an_attested_verdict_carries_its_age(
    onnxfp: Run, crafted: tuple[Path, Path], bundle: Path, authority: Any, tmp_path: Path
) -> None:
    value = onnxfp("commit", bundle).out.split()[1]
    token = tmp_path / "a.tsr"
    token.write_bytes(authority.stamp(bundle.read_bytes()))
    out = tmp_path / "out.att.json"
    words = ("--commitment", value, "--timestamp", token, "--tsa-certificate", authority.path("ca"))
    onnxfp("verify", crafted[0], bundle, *words, "--attest", out)
    seen = onnxfp("inspect", out)
    assert (seen.code, seen.err) == (0, "")
    assert f"commitment   {value}\n" in seen.out
    assert "time-stamp   the bundle existed before 20" in seen.out


def test_explain_names_each_check(onnxfp: Run, crafted: tuple[Path, Path], bundle: Path) -> None:
    key = crafted[1].parent / "home" / "onnxfp.pub.pem"
    seen = onnxfp("verify", crafted[0], bundle, "--explain", "--public-key", key)
    assert seen.err == ""
    for number, name in enumerate(("file", "signature", "digests", "key", "labels", "seeds", "grid", "selection"), 1):
        assert f"\n{number}. {name}".ljust(16) in seen.out
    assert seen.out.count("\n   rules out   ") == 8
    assert "4. key         The key is the one that the verifier demanded." in seen.out
    assert "5. labels      300 labels were derived again" in seen.out
    assert "Top-k evidence:\n\nTop-k evidence has no part in the verdict." in seen.out
    assert "No match rate within the top k is reported" not in seen.out
    assert "\nmedian rank    1 of 10, where 1 is the largest score" in seen.out
    assert "Not tested:\n\n- Who trained first" in seen.out
    assert max(map(len, seen.out.splitlines())) <= 140
    assert "Checked before" not in onnxfp("verify", crafted[0], bundle).out
    assert json.loads(onnxfp("verify", crafted[0], bundle, "--explain", "--json").out)["checks"]


def test_explain_says_that_five_classes_have_no_top_five(
    onnxfp: Run, tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    base, bundle = tmp_path / "base.onnx", tmp_path / "five.fp.npz"
    base.write_bytes(make_classifier(n_classes=5).SerializeToString())
    # Large steps in a large ball, so that each of the labels is reached.
    easy = ("--kind", "c", "--spectrum", "white", "--epsilon", 0.9, "--step-size", 0.1)
    assert onnxfp("generate", base, "-n", 4, *easy, "-o", bundle).code == 0
    seen = onnxfp("verify", base, bundle, "--explain")
    assert seen.err == ""
    assert "Top-k evidence:\n\nTop-k evidence has no part in the verdict." in seen.out
    assert "\nNo match rate within the top k is reported" in seen.out
    assert "\nmedian rank    1 of 5, where 1 is the largest score" in seen.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["verify", "{base}", "{bundle}", "--timestamp", "{junk}"], 2, "belong together"),
        (["verify", "{base}", "{bundle}", "--tsa-certificate", "{junk}"], 2, "belong together"),
        (["verify", "{base}", "{bundle}", "--opening", "{junk}"], 2, "--commitment"),
        (["verify", "{base}", "{bundle}", "--commitment", "{junk}", "--opening", "{junk}"], 4, "junk"),
        (["verify", "{base}", "{bundle}", "--commitment", "{tmp}/missing"], 7, "does not exist"),
        (["verify", "{base}", "{bundle}", "--timestamp", "{junk}", "--tsa-certificate", "{junk}"], 7, "no PEM"),
        (["verify", "{base}", "{bundle}", "--timestamp", "{junk}", "--tsa-certificate", "{ca}"], 4, "not an RFC 3161"),
        (["verify", "{base}", "{bundle}", "--timestamp", "{tmp}/no", "--tsa-certificate", "{ca}"], 7, "does not exist"),
        (["commit", "{junk}"], 4, "not a readable .npz"),
        (["commit", "{tmp}/missing.npz"], 7, "does not exist"),
        (["commit", "{bundle}", "-o", "{tmp}/no/where.json"], 7, "cannot be written"),
        (["timestamp", "{bundle}"], 2, "--tsa"),
        (["timestamp", "{bundle}", "--tsa", "freetsa.org"], 2, "is not the URL"),
        (["timestamp", "{bundle}", "--tsa", "http://127.0.0.1:1/"], 7, "cannot be asked"),
        (["timestamp", "{bundle}", "--tsa", "http://127.0.0.1:1/", "--tsa-certificate", "{junk}"], 7, "no PEM"),
        (["timestamp", "{junk}", "--tsa", "http://127.0.0.1:1/"], 4, "not a readable .npz"),
        (["timestamp", "{brace}", "--tsa", "http://127.0.0.1:1/"], 4, "canonical JSON"),
        (["timestamp", "{tmp}/missing", "--tsa", "http://127.0.0.1:1/"], 7, "does not exist"),
        (["timestamp", "{bundle}", "--tsa", "http://127.0.0.1:1/", "--max-seconds", "0"], 2, "needs some time"),
    ],
)
def test_wrong_input_ends_in_its_own_error(
    onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path, authority: Any, words: list[str], code: int, message: str
) -> None:
    junk, brace = tmp_path / "junk", tmp_path / "brace"
    junk.write_bytes(b"neither one nor the other")
    brace.write_bytes(b"{}\n")
    places = {
        "tmp": tmp_path,
        "junk": junk,
        "brace": brace,
        "base": crafted[0],
        "bundle": crafted[1],
        "ca": authority.path("ca"),
    }
    outcome = onnxfp(*(word.format(**places) for word in words))
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["brace", "junk"]
