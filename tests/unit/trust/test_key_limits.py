"""Key files at the edges: passphrases that are none, files that are no keys, and half-made pairs."""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from onnxfp import files
from onnxfp.errors import FileError, KeyFileError, ParameterError
from onnxfp.trust import keys
from onnxfp.trust.keys import generate_key_pair, load_public_key, load_signer, public_key_path


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1024])
def test_a_passphrase_that_cannot_encrypt_makes_no_key(tmp_path: Path, passphrase: bytes) -> None:
    with pytest.raises(ParameterError, match="passphrase") as raised:
        generate_key_pair(tmp_path / "my.pem", passphrase=passphrase)
    assert raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_empty_answer_is_a_wrong_passphrase(tmp_path: Path) -> None:
    generate_key_pair(tmp_path / "my.pem", passphrase=b"right")
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        load_signer(tmp_path / "my.pem", lambda _: b"")


def test_not_even_the_traceback_shows_a_passphrase(tmp_path: Path) -> None:
    wrong = b"secret"[::-1]
    generate_key_pair(tmp_path / "my.pem", passphrase=b"right")
    with pytest.raises(KeyFileError) as raised:
        load_signer(tmp_path / "my.pem", lambda _: wrong)
    assert wrong.decode() not in "".join(traceback.format_exception(raised.value))
    assert raised.value.__cause__ is None


def test_a_public_key_in_the_place_of_the_private_one_is_noticed(tmp_path: Path) -> None:
    generate_key_pair(tmp_path / "my.pem")
    with pytest.raises(KeyFileError, match="holds a public key"):
        load_signer(public_key_path(tmp_path / "my.pem"), lambda _: b"")


def test_a_file_larger_than_any_key_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.pem"
    with path.open("wb") as stream:
        stream.truncate(2**33)
    for load in (load_public_key, lambda p: load_signer(p, lambda _: b"")):
        with pytest.raises(KeyFileError, match="exceeds the limit"):
            load(path)


def test_a_name_that_no_system_takes_is_an_error() -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_public_key("a\0b")


@pytest.mark.parametrize("failure", [FileError("full"), KeyboardInterrupt()])
def test_half_a_pair_never_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    write = files.write_file

    def fail_for_the_public_half(path: Path, *rest: Any, **options: Any) -> None:
        if path.name.endswith(".pub.pem"):
            raise failure
        write(path, *rest, **options)

    monkeypatch.setattr(keys, "write_file", fail_for_the_public_half)
    with pytest.raises(type(failure)):
        generate_key_pair(tmp_path / "my.pem")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_links_still_never_replaces_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    generate_key_pair(tmp_path / "my.pem")
    before = (tmp_path / "my.pem").read_bytes()
    public_key_path(tmp_path / "my.pem").unlink()
    with pytest.raises(FileError, match="exists already"):
        generate_key_pair(tmp_path / "my.pem")
    assert (tmp_path / "my.pem").read_bytes() == before
    assert (tmp_path / "my.pem").stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "my.pem"]
