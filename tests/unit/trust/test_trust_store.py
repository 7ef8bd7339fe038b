"""The trust store: names for public keys, in plain files that may have strange neighbours."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from onnxfp.errors import FileError, KeyFileError, ParameterError
from onnxfp.trust.keys import generate_key_pair, home_folder, load_public_key, public_key_path
from onnxfp.trust.trust_store import (
    TrustedKey,
    add_key,
    find_key_name,
    find_public_key,
    remove_key,
    trusted_keys,
)

NEUTRAL = (1).to_bytes(32, "little").hex()


@pytest.fixture
def alice(tmp_path: Path) -> str:
    """Raw public key of alice; both halves lie in the test's folder."""
    return generate_key_pair(tmp_path / "alice.pem")


@pytest.fixture
def store() -> Path:
    """The store's folder, there already."""
    folder = home_folder() / "trusted"
    folder.mkdir(parents=True)
    return folder


def test_a_key_gets_a_name_and_loses_it(tmp_path: Path, alice: str) -> None:
    assert trusted_keys() == ()
    assert find_key_name(alice) is None
    added = add_key("alice", public_key_path(tmp_path / "alice.pem"))
    assert added == TrustedKey("alice", alice, tmp_path / "home" / "trusted" / "alice.pub.pem")
    assert trusted_keys() == (added,)
    assert find_key_name(alice) == "alice"
    assert load_public_key(added.path) == alice
    assert remove_key("alice") == added.path
    assert trusted_keys() == ()
    with pytest.raises(FileError, match="not in your trust store") as raised:
        remove_key("alice")
    assert "keys list" in raised.value.hint


def test_keys_are_listed_by_name_and_may_be_given_in_digits(alice: str, forge: object) -> None:
    other = forge.public_key  # type: ignore[attr-defined]
    for name, key in (("zoe", alice), ("Bob-2_x.y", other.upper())):
        add_key(name, key)
    assert [(key.name, key.public_key) for key in trusted_keys()] == [("Bob-2_x.y", other), ("zoe", alice)]


def test_a_name_that_is_taken_is_replaced_only_on_demand(alice: str, tmp_path: Path) -> None:
    other = generate_key_pair(tmp_path / "other.pem")
    add_key("Alice", alice)
    for name in ("Alice", "alice"):
        with pytest.raises(FileError, match="Alice is in your trust store already") as raised:
            add_key(name, other)
        assert "--force" in raised.value.hint
    assert find_key_name(other) is None
    # One name in any capitals, as on a file system that does not tell them apart.
    assert add_key("ALICE", other, overwrite=True).name == "Alice"
    assert [(key.name, key.public_key) for key in trusted_keys()] == [("Alice", other)]


def test_one_key_under_two_names_is_said(alice: str, caplog: pytest.LogCaptureFixture) -> None:
    add_key("alice", alice)
    add_key("alice", alice, overwrite=True)
    assert not caplog.records
    add_key("also-alice", alice)
    assert "same key as alice" in caplog.text
    assert find_key_name(alice) == "alice"


def test_what_is_no_key_is_not_added(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="anybody can sign") as raised:
        add_key("mallory", NEUTRAL)
    assert raised.value.hint
    with pytest.raises(KeyFileError, match="does not exist"):
        add_key("nobody", tmp_path / "missing.pem")
    assert not home_folder().exists()


def test_strangers_in_the_folder_are_left_out_and_named(
    store: Path, alice: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_key("alice", alice)
    (store / "notes.txt").write_text("mine")
    (store / "broken.pub.pem").write_text("nonsense")
    (store / "folder.pub.pem").mkdir()
    (store / "\x1b[2J.pub.pem").write_bytes((store / "alice.pub.pem").read_bytes())
    (store / ".DS_Store").write_text("hidden")
    if os.name == "posix":
        os.mkfifo(store / "pipe.pub.pem")
    with caplog.at_level(logging.WARNING):
        assert [key.name for key in trusted_keys()] == ["alice"]
    for name in ("notes.txt", "broken.pub.pem", "folder.pub.pem", "x1b[2J"):
        assert name in caplog.text
    assert ".DS_Store" not in caplog.text
    assert "\x1b" not in caplog.text
    # A broken one can be removed, or replaced, by its name.
    remove_key("broken")
    assert not (store / "broken.pub.pem").exists()
    with pytest.raises(FileError, match="cannot be removed"):
        remove_key("folder")


def test_a_weak_key_or_a_second_spelling_put_there_by_hand_is_left_out(
    store: Path, alice: str, caplog: pytest.LogCaptureFixture
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    weak = Ed25519PublicKey.from_public_bytes(bytes.fromhex(NEUTRAL))
    (store / "weak.pub.pem").write_bytes(weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert trusted_keys() == ()
    assert "anybody can sign" in caplog.text
    add_key("alice", alice)
    pem = (store / "alice.pub.pem").read_bytes()
    (store / "Alice.pub.pem").write_bytes(pem)
    if len(list(store.glob("?lice.pub.pem"))) == 2:
        caplog.clear()
        assert len(trusted_keys()) == 1
        assert "in other letters" in caplog.text


def test_digits_win_over_files_and_files_over_names(
    alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = generate_key_pair(tmp_path / "other.pem")
    add_key("bob", alice)
    assert find_public_key("bob") == find_public_key("BOB") == find_public_key(alice) == alice
    assert find_public_key("alice.pub.pem") == alice
    Path("bob").write_bytes(Path("other.pub.pem").read_bytes())
    assert find_public_key("bob") == other
    Path(alice).write_bytes(Path("other.pub.pem").read_bytes())
    assert find_public_key(alice) == alice


def test_a_key_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"does not exist; nor is it a name in your trust store") as raised:
        find_public_key("carol")
    assert "keys list" in raised.value.hint
    with pytest.raises(KeyFileError, match="does not exist"):
        find_public_key(tmp_path / "carol.pem")


def test_a_store_that_cannot_be_read_stops_only_who_needs_it(alice: str, caplog: pytest.LogCaptureFixture) -> None:
    home_folder().mkdir()
    (home_folder() / "trusted").write_text("in the way")
    with pytest.raises(FileError, match="cannot be read") as raised:
        trusted_keys()
    assert raised.value.hint
    assert find_key_name(alice) is None
    assert "trust store is not used" in caplog.text


def test_a_bad_name_is_a_usage_error(alice: str) -> None:
    for call in (lambda: add_key("../alice", alice), lambda: remove_key("../alice")):
        with pytest.raises(ParameterError, match="cannot be the name") as raised:
            call()
        assert raised.value.hint
