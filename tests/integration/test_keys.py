"""``onnxfp keys``, and the names it gives to signers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxfp.trust.keys import generate_key_pair

Run = Callable[..., Any]


@pytest.fixture
def owner(crafted: tuple[Path, Path]) -> Path:
    """The public key file of the fingerprint's owner."""
    return crafted[1].parent / "home" / "onnxfp.pub.pem"


def test_names_are_added_listed_and_removed(onnxfp: Run, tmp_path: Path, owner: Path) -> None:
    other = generate_key_pair(tmp_path / "other.pem")
    empty = onnxfp("keys", "list")
    assert (empty.code, empty.out) == (0, "")
    assert "onnxfp keys add NAME KEY" in empty.err
    added = onnxfp("keys", "add", "alice", owner)
    assert (added.code, added.err) == (0, "")
    key = added.out.split()[1]
    assert added.out == f"alice  {key}\n"
    again = onnxfp("keys", "add", "Alice", other)
    assert (again.code, again.out) == (7, "")
    assert again.err == "error: alice is in your trust store already\nhint: --force replaces its key\n"
    second = onnxfp("keys", "add", "al", key)
    assert second.code == 0
    assert second.err == "warning: you trust the same key as alice\n"
    listed = onnxfp("keys", "list")
    assert (listed.code, listed.out, listed.err) == (0, f"al     {key}\nalice  {key}\n", "")
    record = json.loads(onnxfp("keys", "list", "--json").out)["keys"]
    assert [(k["name"], k["public_key"]) for k in record] == [("al", key), ("alice", key)]
    assert Path(record[0]["file"]).exists()
    assert onnxfp("keys", "add", "alice", other, "--force").out == f"alice  {other}\n"
    removed = onnxfp("keys", "remove", "al")
    assert (removed.code, removed.out, removed.err) == (0, "removed al\n", "")
    gone = onnxfp("keys", "remove", "al")
    assert (gone.code, gone.out) == (7, "")
    assert gone.err.startswith("error: al is not in your trust store\nhint: ")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["add", "../a", "{owner}"], 2, "cannot be the name of a key"),
        (["add", "a", "{tmp}/missing.pem"], 7, "does not exist"),
        (["add", "a", "{tmp}/k.pem"], 7, "holds a private key"),
        (["add", "a", "01" + "00" * 31], 7, "anybody can sign"),
        (["remove", "a/b"], 2, "cannot be the name of a key"),
        (["add", "a"], 2, "Missing argument"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said(
    onnxfp: Run, tmp_path: Path, owner: Path, words: list[str], code: int, message: str
) -> None:
    generate_key_pair(tmp_path / "k.pem")
    outcome = onnxfp("keys", *(word.format(owner=owner, tmp=tmp_path) for word in words))
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert not (tmp_path / "home").exists()


def test_a_verdict_says_whose_key_it_was(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path, owner: Path) -> None:
    base, bundle = crafted
    assert "key not pinned" in onnxfp("verify", base, bundle).out
    assert "trust store" not in onnxfp("inspect", bundle).out
    onnxfp("keys", "add", "alice", owner)
    named = onnxfp("verify", base, bundle)
    assert (named.code, named.err) == (0, "")
    assert "alice (in your trust store)\n" in named.out
    assert "key not pinned" not in named.out
    pinned = onnxfp("verify", base, bundle, "--public-key", "alice")
    assert "alice (in your trust store); the key you demanded" in pinned.out
    record = json.loads(onnxfp("verify", base, bundle, "--json").out)
    assert record["signer"]["name"] == "alice"
    assert record["signer"]["is_pinned"] is False
    seen = onnxfp("inspect", bundle)
    assert (seen.code, seen.err) == (0, "")
    assert "alice (in your trust store)\n" in seen.out
    assert json.loads(onnxfp("inspect", bundle, "--json").out)["signer"]["name"] == "alice"
    generate_key_pair(tmp_path / "other.pem")
    onnxfp("keys", "add", "bob", tmp_path / "other.pub.pem")
    for command in (("verify", base, bundle), ("inspect", bundle)):
        refused = onnxfp(*command, "--public-key", "bob")
        assert (refused.code, refused.out) == (5, "")
        assert "the pinned key is" in refused.err
        missing = onnxfp(*command, "--public-key", "carol")
        assert (missing.code, missing.out) == (7, "")
        assert "nor is it a name in your trust store" in missing.err


def test_a_stranger_in_the_store_is_a_warning(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "home" / "trusted"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    listed = onnxfp("keys", "list")
    assert (listed.code, listed.out) == (0, "")
    assert listed.err.startswith("warning: the trust store's 'notes.txt' is left out: it is not called NAME.pub.pem\n")
    assert onnxfp("verify", *crafted).code == 0
