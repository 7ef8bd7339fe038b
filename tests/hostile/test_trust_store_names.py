"""Names that would leave the trust store's folder, steer a terminal, or pass for another name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxfp.errors import KeyFileError, ParameterError
from onnxfp.trust.keys import home_folder
from onnxfp.trust.trust_store import add_key, find_key_name, find_public_key, is_name, remove_key, trusted_keys

BAD = [
    "",
    ".",
    "..",
    ".hidden",
    "../alice",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "C:alice",
    "a\0b",
    "alice\n",
    "\x1b[2J",
    "a b",
    "alice\u202e",
    "\u0430lice",
    "\uff41lice",
    "al\u00efce",
    "ali\u0131ce",
    "\u212aate",
    "a" * 65,
    "con",
    "NUL",
    "com1.x",
    "ab" * 32,
    "AB" * 32,
    "\udcff",
]


@pytest.mark.parametrize("name", BAD)
def test_such_a_name_is_refused_and_not_repeated(name: str, forge: Any) -> None:
    assert not is_name(name)
    for call in (lambda: add_key(name, forge.public_key), lambda: remove_key(name)):
        with pytest.raises(ParameterError, match="cannot be the name") as raised:
            call()
        assert str(raised.value).isprintable()
        assert str(raised.value).isascii()
    assert not home_folder().exists()


@pytest.mark.parametrize("name", ["a", "alice", "A.b-c_d", "-x", "_", "0", "z" * 64, "alice.pub.pem", "console"])
def test_plain_names_are_taken(name: str, forge: Any) -> None:
    add_key(name, forge.public_key)
    assert [key.name for key in trusted_keys()] == [name]
    assert [path.name for path in (home_folder() / "trusted").iterdir()] == [f"{name}.pub.pem"]
    assert find_key_name(forge.public_key) == name


def test_a_path_is_never_looked_up_as_a_name(tmp_path: Path, forge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    add_key("alice", forge.public_key)
    for source in ("./alice", "trusted/alice", "alice/", "alice\0"):
        with pytest.raises(KeyFileError):
            find_public_key(source)
