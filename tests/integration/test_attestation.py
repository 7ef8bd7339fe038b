"""``verify --attest`` and ``inspect`` of what it wrote: exit code, stdout and stderr, each on its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxfp.trust.keys import generate_key_pair

Run = Callable[..., Any]


def test_a_verdict_is_attested_and_shown_to_others(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    key, out = tmp_path / "auditor.pem", tmp_path / "out.json"
    public_key = generate_key_pair(key)
    made = onnxfp("verify", base, bundle, "--attest", out, "--key", key)
    assert (made.code, made.err) == (0, "")
    assert "base.onnx: MATCH" in made.out
    assert made.out.endswith(f"\nattested in {out}\n")
    assert "attested by" not in made.out
    seen = onnxfp("inspect", out)
    assert (seen.code, seen.err) == (0, "")
    assert seen.out.startswith("base.onnx: MATCH\n")
    assert f"attested by  {public_key}\n" in seen.out
    assert "key not pinned: pass --public-key to require the auditor's key" in seen.out
    assert "key not pinned by the auditor" in seen.out
    assert "0 of the auditor" in seen.out
    assert "trust store" not in seen.out
    record = json.loads(onnxfp("inspect", out, "--json").out)
    assert record["report"] == json.loads(onnxfp("verify", base, bundle, "--json").out)
    assert record["auditor"] == {"public_key": public_key, "is_pinned": False, "name": None}
    assert (record["suspect_name"], record["bundle_name"]) == ("base.onnx", "base.fp.npz")


def test_whose_keys_they_were_is_said_for_each_reader(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    owner = bundle.parent / "home" / "onnxfp.pub.pem"
    key, out = tmp_path / "auditor.pem", tmp_path / "out.json"
    generate_key_pair(key)
    auditors, readers = {"ONNXFP_HOME": str(tmp_path / "a")}, {"ONNXFP_HOME": str(tmp_path / "r")}
    onnxfp("keys", "add", "client", owner, **auditors)
    onnxfp("keys", "add", "alice", owner, **readers)
    onnxfp("keys", "add", "auditor", tmp_path / "auditor.pub.pem", **readers)
    made = onnxfp("verify", base, bundle, "--attest", out, "--key", key, "--public-key", "client", **auditors)
    assert "client (in your trust store); the key you demanded" in made.out
    seen = onnxfp("inspect", out, "--public-key", "auditor", **readers)
    assert (seen.code, seen.err) == (0, "")
    assert "auditor (in your trust store); the key you demanded\n" in seen.out
    assert "alice (in your trust store)\n" in seen.out
    assert "client (in the auditor's trust store); the key the auditor demanded\n" in seen.out
    assert "key not pinned" not in seen.out
    refused = onnxfp("inspect", out, "--public-key", "alice", **readers)
    assert (refused.code, refused.out) == (5, "")
    assert refused.err.startswith("error: the attestation is signed by")
    assert "\nhint: ask the auditor" in refused.err


def test_every_verdict_can_be_attested(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    out, secret, key = tmp_path / "out.json", tmp_path / "secret", tmp_path / "auditor.pem"
    secret.write_text("horse\n")
    secret.chmod(0o600)
    generate_key_pair(key, passphrase=b"horse")
    words = ("verify", base, bundle, "--need-references", "--attest", out, "--key", key, "--passphrase-file", secret)
    made = onnxfp(*words, "--json")
    assert (made.code, made.err) == (11, "")
    assert json.loads(made.out)["decision"]["verdict"] == "INCONCLUSIVE"
    seen = onnxfp("inspect", out)
    assert (seen.code, seen.err) == (0, "")
    assert "base.onnx: INCONCLUSIVE" in seen.out
    wrong = onnxfp(*words[:-2], ONNXFP_PASSPHRASE="wrong")
    assert (wrong.code, wrong.out) == (7, "")
    first = onnxfp("verify", base, bundle, "--attest", tmp_path / "mine.json")
    assert first.code == 0
    assert "made your default key pair" in first.err


def test_an_edited_attestation_ends_in_its_own_error(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    key, out = tmp_path / "auditor.pem", tmp_path / "out.json"
    generate_key_pair(key)
    onnxfp("verify", base, bundle, "--attest", out, "--key", key)
    good = out.read_text()
    signature = json.loads(good)["signatures"][0]["sig"]
    for content, code, message in (
        (good.replace(signature, "A" * 86 + "=="), 5, "does not verify"),
        (good + "\n", 4, "canonical JSON"),
        ("{}", 4, "not a DSSE envelope"),
    ):
        out.write_text(content)
        refused = onnxfp("inspect", out)
        assert (refused.code, refused.out) == (code, "")
        assert message in refused.err
        assert "\nhint: " in refused.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["verify", "{base}", "{bundle}", "--key", "{key}"], 2, "say where it goes with --attest"),
        (["verify", "{base}", "{bundle}", "--attest", "{base}", "--key", "{key}"], 2, "is one of its inputs"),
        (["verify", "{base}", "{bundle}", "--attest", "{bundle}"], 2, "is one of its inputs"),
        (["verify", "{base}", "{bundle}", "--attest", "{tmp}/a", "--key", "{tmp}/no.pem"], 7, "does not exist"),
        (["verify", "{base}", "{bundle}", "--attest", "{tmp}/no/a", "--key", "{key}"], 7, "the folder of"),
        (["verify", "{tmp}/no.onnx", "{bundle}", "--attest", "{tmp}/a", "--key", "{key}"], 7, "does not exist"),
        (["verify", "{base}", "{brace}", "--attest", "{tmp}/a", "--key", "{key}"], 4, "not a readable .npz"),
        (["inspect", "{brace}", "--image", "{tmp}/a.png"], 2, "an attestation holds none"),
        (["inspect", "{brace}"], 4, "canonical JSON"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(
    onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    key, brace = tmp_path / "k.pem", tmp_path / "brace"
    generate_key_pair(key)
    brace.write_bytes(b"{ neither")
    before = sorted(tmp_path.rglob("*")), [path.read_bytes() for path in crafted]
    places = {"base": crafted[0], "bundle": crafted[1], "key": key, "tmp": tmp_path, "brace": brace}
    outcome = onnxfp(*(word.format(**places) for word in words))
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert (sorted(tmp_path.rglob("*")), [path.read_bytes() for path in crafted]) == before
