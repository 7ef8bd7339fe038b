"""Key files: made with care, opened with clear errors, never shown."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from onnxfp.errors import FileError, KeyFileError
from onnxfp.trust.keys import (
    default_key_path,
    generate_key_pair,
    load_public_key,
    load_signer,
    public_key_path,
    signer_public_key,
)


def no_question(_: Path) -> bytes:
    raise AssertionError("asked for a passphrase that is not needed")


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_both_halves_belong_together(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "deep" / "my.pem"
    public_key = generate_key_pair(path, passphrase=passphrase)
    signer = load_signer(path, (lambda _: passphrase) if passphrase else no_question)
    assert (
        signer_public_key(signer) == public_key == load_public_key(public_key_path(path)) == load_public_key(public_key)
    )
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_private_key_is_for_its_owner_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "my.pem"
    generate_key_pair(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    load_signer(path, no_question)
    assert not caplog.records
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        load_signer(path, no_question)
    assert "can be read by other users" in caplog.text


def test_an_existing_key_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "my.pem"
    first = generate_key_pair(path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="exists already"):
        generate_key_pair(path)
    public_key_path(path).unlink()
    with pytest.raises(FileError, match="exists already"):
        generate_key_pair(path)
    assert path.read_bytes() == before
    assert not public_key_path(path).exists()
    assert generate_key_pair(path, overwrite=True) != first


def test_a_wrong_passphrase_is_said_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "my.pem"
    generate_key_pair(path, passphrase=b"right")
    with pytest.raises(KeyFileError, match="passphrase is wrong") as raised:
        load_signer(path, lambda _: b"wrong-secret")
    assert "wrong-secret" not in str(raised.value) + raised.value.hint


def test_files_that_hold_no_such_key_are_refused(tmp_path: Path) -> None:
    private, public, garbage = tmp_path / "rsa.pem", tmp_path / "rsa.pub.pem", tmp_path / "garbage.pem"
    key = rsa.generate_private_key(65537, 2048)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    garbage.write_bytes(b"-----BEGIN PRIVATE KEY-----\nnonsense")
    for path in (private, garbage, tmp_path / "missing.pem"):
        with pytest.raises(KeyFileError) as raised:
            load_signer(path, no_question)
        assert "onnxfp keygen" in raised.value.hint
    garbage.write_bytes(b"nonsense")
    for path in (public, garbage, tmp_path / "missing.pem"):
        with pytest.raises(KeyFileError):
            load_public_key(path)


def test_a_private_key_in_the_place_of_the_public_one_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "my.pem"
    generate_key_pair(path)
    with pytest.raises(KeyFileError, match="holds a private key") as raised:
        load_public_key(path)
    assert "my.pub.pem" in raised.value.hint


def test_a_signer_shows_nothing_of_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "my.pem"
    generate_key_pair(path)
    secret = "".join(path.read_text().splitlines()[1:-1])
    signer = load_signer(path, no_question)
    assert secret not in repr(signer) + str(vars(signer))


def test_the_default_key_lies_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_key_path() == tmp_path / "home" / "onnxfp.pem"
    monkeypatch.delenv("ONNXFP_HOME")
    assert default_key_path().name == "onnxfp.pem"
    assert default_key_path().is_absolute()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot be made") as raised:
        generate_key_pair(tmp_path / "file" / "my.pem")
    assert "ONNXFP_HOME" in raised.value.hint


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666])
def test_a_key_that_others_can_reach_is_warned_about_in_every_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    path = tmp_path / "my.pem"
    generate_key_pair(path, passphrase=b"horse")
    path.chmod(mode)
    with caplog.at_level(logging.DEBUG):
        load_signer(path, lambda _: b"horse")
    (record,) = (r for r in caplog.records if "private key" in r.getMessage())
    assert record.levelname == "WARNING"
    assert f"chmod 600 {path}" in record.getMessage()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_no_umask_opens_a_new_key_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        generate_key_pair(tmp_path / "folder" / "my.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder" / "my.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_nothing_of_a_key_or_passphrase_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "my.pem"
    with caplog.at_level(logging.DEBUG):
        generate_key_pair(path, passphrase=b"correct horse")
        path.chmod(0o644)
        load_signer(path, lambda _: b"correct horse")
        with pytest.raises(KeyFileError):
            load_signer(path, lambda _: b"battery staple")
    for secret in ("correct horse", "battery staple", *path.read_text().splitlines()[1:-1]):
        assert secret not in caplog.text


def test_no_option_takes_a_passphrase_or_a_key_itself() -> None:
    # Whatever is in a process's arguments, everybody on the machine can see.
    import click

    from onnxfp.cli import cli

    def options(command: click.Command) -> list[click.Parameter]:
        nested = command.commands.values() if isinstance(command, click.Group) else ()
        return [*command.params, *(option for inner in nested for option in options(inner))]

    secret = [o for o in options(cli) if o.name and ("passphrase" in o.name or o.name == "key")]
    assert len(secret) >= 4
    for option in secret:
        # The argument of `keys add` is a public key.
        assert isinstance(option.type, click.Path) or isinstance(option, click.Argument), option.name
