"""Commitments: hiding, binding, and one text for one opening."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp.errors import CommitmentError, CommitmentFormatError, CommitmentVersionError, FileError, ParameterError
from onnxfp.trust.commitment import (
    Commitment,
    is_value,
    make_commitment,
    opening_path,
    parse_value,
    read_opening,
)

BUNDLE, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32


def test_anybody_can_check_it_with_a_hash_alone(forge: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "model.fp.npz"
    forge.fingerprint().save(bundle)
    opening = onnxfp.commit(bundle, output=opening_path(bundle))
    text = (tmp_path / "model.fp.commitment.json").read_bytes()
    assert opening.value == "sha256:" + hashlib.sha256(text).hexdigest()
    assert json.loads(text)["bundle"] == "sha256:" + hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert onnxfp.commit(forge.fingerprint()).bundle == opening.bundle


def test_it_hides_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two commitments to one bundle have nothing in common, so a value tells nobody of which bundle it is.
    values = [make_commitment(BUNDLE).value for _ in range(400)]
    assert len(set(values)) == 400
    # Each of the 256 bits of a value is as often set as not: under a fair coin one of them lies outside with 3e-6.
    bits = [f"{int(value.removeprefix('sha256:'), 16):0256b}" for value in values]
    for position in range(256):
        assert 140 < sum(text[position] == "1" for text in bits) < 260
    # What hides it is 32 bytes of the operating system's randomness, and nothing else.
    drawn: list[int] = []

    def draw(count: int) -> bytes:
        drawn.append(count)
        return b"\x07" * count

    monkeypatch.setattr(secrets, "token_bytes", draw)
    assert make_commitment(BUNDLE).salt == "07" * 32
    assert drawn == [32]
    assert make_commitment(BUNDLE) == make_commitment(BUNDLE)


def test_it_binds_to_one_bundle() -> None:
    opening = make_commitment(BUNDLE)
    opening.check(BUNDLE)
    opening.check(BUNDLE, opening.value)
    with pytest.raises(CommitmentError, match="commits to the bundle") as raised:
        opening.check(OTHER)
    assert raised.value.hint
    # The same salt for another bundle is another commitment.
    moved = Commitment(opening.schema, OTHER, opening.salt)
    with pytest.raises(CommitmentError, match="was published") as raised:
        moved.check(OTHER, opening.value)
    assert raised.value.hint
    # So is another salt for the same bundle.
    with pytest.raises(CommitmentError, match="was published"):
        make_commitment(BUNDLE).check(BUNDLE, opening.value)


def test_the_salt_is_in_no_message(tmp_path: Path) -> None:
    opening = make_commitment(BUNDLE)
    assert opening.salt not in repr(opening)
    with pytest.raises(CommitmentError) as raised:
        opening.check(OTHER)
    assert opening.salt not in str(raised.value) + raised.value.hint


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_opening_is_for_its_owner_and_never_replaced(forge: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.commitment.json"
    opening = onnxfp.commit(forge.fingerprint(), output=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileError, match="exists already"):
        onnxfp.commit(forge.fingerprint(), output=path)
    assert read_opening(path) == opening
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda text: text + b"\n", "canonical"),
        (lambda text: text.replace(b",", b", "), "canonical"),
        (lambda text: b"", "canonical"),
        (lambda text: b"[]", "canonical"),
        (lambda text: text.replace(b"abab", b"ABAB"), "bundle is not a SHA-256"),
        (lambda text: text.replace(b"sha256:", b"sha512:"), "bundle is not a SHA-256"),
        (lambda text: text.replace(b'"salt":"', b'"salt":"0'), "salt is not 64"),
        (lambda text: text.replace(b'"salt"', b'"sand"'), "unknown|missing"),
        (lambda text: text.replace(b'"bundle"', b'"and":1,"bundle"'), "unknown"),
        (lambda text: b'{"a":' * 800, "canonical"),
    ],
)
def test_an_opening_has_one_text(tmp_path: Path, edit: Callable[[bytes], bytes], complaint: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(edit(make_commitment(BUNDLE).to_json()))
    with pytest.raises(CommitmentFormatError, match=complaint) as raised:
        read_opening(path)
    assert raised.value.hint
    assert str(path) in str(raised.value)


def test_another_schema_is_another_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(make_commitment(BUNDLE).to_json().replace(b"commitment/1", b"commitment/9"))
    with pytest.raises(CommitmentVersionError, match="commitment/9") as raised:
        read_opening(path)
    assert raised.value.hint
    path.write_bytes(b"{" + b" " * 5000)
    with pytest.raises(CommitmentFormatError, match="limit"):
        read_opening(path)
    for missing in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileError):
            read_opening(missing)


def test_a_value_is_told_from_a_file() -> None:
    value = make_commitment(BUNDLE).value
    assert is_value(value)
    assert parse_value(value) == parse_value(value.upper()) == parse_value(value.removeprefix("sha256:")) == value
    for text in ("a.json", "sha256:", "ab" * 31, "sha512:" + "ab" * 32, value + "0", ""):
        assert not is_value(text)
        with pytest.raises(ParameterError, match="not the value"):
            parse_value(text)


@pytest.mark.parametrize("n_bundles", [1, 250, 10**6])
def test_an_opening_may_state_how_many_there_are(n_bundles: int, tmp_path: Path) -> None:
    opening = make_commitment(BUNDLE, n_bundles)
    opening.save(tmp_path / "a.commitment.json")
    assert read_opening(tmp_path / "a.commitment.json") == opening
    text = json.loads(opening.to_json())
    assert (text["schema"], text["n_bundles"]) == ("onnxfp/commitment/2", n_bundles)
    # An opening that states nothing is what it always was.
    assert set(json.loads(make_commitment(BUNDLE).to_json())) == {"schema", "bundle", "salt"}


@pytest.mark.parametrize("n_bundles", [0, -1, 10**6 + 1])
def test_an_impossible_number_of_bundles_is_refused(n_bundles: int) -> None:
    with pytest.raises(ParameterError, match="between 1 and"):
        make_commitment(BUNDLE, n_bundles)
    text = make_commitment(BUNDLE, 5).to_json().replace(b'"n_bundles":5', f'"n_bundles":{n_bundles}'.encode())
    with pytest.raises(CommitmentFormatError, match="n_bundles"):
        Commitment.from_json(text)


def test_a_number_of_bundles_belongs_to_its_schema() -> None:
    for text in (
        make_commitment(BUNDLE, 5).to_json().replace(b"commitment/2", b"commitment/1"),
        make_commitment(BUNDLE).to_json().replace(b"commitment/1", b"commitment/2"),
        make_commitment(BUNDLE, 5).to_json().replace(b'"n_bundles":5', b'"n_bundles":null'),
    ):
        with pytest.raises(CommitmentFormatError):
            Commitment.from_json(text)
