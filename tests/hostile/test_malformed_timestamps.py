"""Tokens that are none: garbage, cut off, swollen, refusals, and good ones with a byte changed."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest

from onnxfp.errors import TimestampError, TimestampFormatError
from onnxfp.trust.authority import MAX_RESPONSE_BYTES
from onnxfp.trust.timestamp import check_token, load_authority, read_token
from tests.fuzz.limits import limited_time

COUNT = int(os.environ.get("ONNXFP_MUTATIONS", "4000"))
CONTENT = b"a bundle"
DIGESTS: Any = [("bundle", "sha256:" + hashlib.sha256(CONTENT).hexdigest())]
REFUSAL = bytes.fromhex("30053003020102")
GRANTED_NOTHING = bytes.fromhex("30053003020100")


@pytest.fixture(scope="module")
def token(authority: Any) -> bytes:
    stamped: bytes = authority.stamp(CONTENT)
    return stamped


@pytest.fixture(scope="module")
def trusted(authority: Any) -> Any:
    return load_authority(authority.path("ca"))


def test_what_is_no_token_is_refused(token: bytes, trusted: Any) -> None:
    pieces = [b"", b"\x00", b"<html>", b"\x30\x80" * 50_000, b"\x30\x84\x7f\xff\xff\xff", token + b"\n", token[1:]]
    pieces += [token[:cut] for cut in range(0, len(token), 7)]
    pieces += [GRANTED_NOTHING, os.urandom(4096), b"-----BEGIN PKCS7-----\n"]
    for piece in pieces:
        with pytest.raises(TimestampFormatError) as raised:
            check_token(piece, DIGESTS, trusted)
        assert raised.value.hint
        assert str(raised.value).isprintable()


def test_a_refusal_is_no_time_stamp(trusted: Any) -> None:
    with pytest.raises(TimestampFormatError, match="refusal") as raised:
        check_token(REFUSAL, DIGESTS, trusted)
    assert raised.value.hint


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.tsr"
    with path.open("wb") as stream:
        stream.truncate(2**33)
    with pytest.raises(TimestampFormatError, match=str(MAX_RESPONSE_BYTES)):
        read_token(path)


@pytest.mark.parametrize(
    "odd",
    [
        {"serial": b"\x7f" * 64},
        {"time": "20260101000000"},
        {"time": "20261301000000Z"},
        {"time": "00000101000000Z"},
        {"accuracy": b"\x80"},
        {"accuracy": b"\x7f" * 40},
    ],
)
def test_odd_numbers_from_a_trusted_authority_end_in_an_error(
    authority: Any, trusted: Any, odd: dict[str, Any]
) -> None:
    digest = hashlib.sha256(CONTENT).digest()
    with pytest.raises((TimestampFormatError, TimestampError)) as raised:
        check_token(authority.sign_anything(authority.tst_info(digest, **odd), "tsa"), DIGESTS, trusted)
    assert raised.value.hint
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("digest", [b"", b"\x00" * 20, b"\x00" * 64])
def test_an_imprint_of_another_length_is_not_the_digest(authority: Any, trusted: Any, digest: bytes) -> None:
    with pytest.raises(TimestampError, match="is not this bundle"):
        check_token(authority.sign_anything(authority.tst_info(digest), "tsa"), DIGESTS, trusted)


def test_no_mutation_says_another_time_or_crashes(token: bytes, trusted: Any) -> None:
    honest = check_token(token, DIGESTS, trusted)
    rng = random.Random(20261125)
    n_refused = 0
    for _ in range(COUNT):
        mutated = bytearray(token)
        for _ in range(rng.choice((1, 1, 2, 3))):
            mutated[rng.randrange(len(mutated))] ^= rng.randrange(1, 256)
        with limited_time():
            try:
                found = check_token(bytes(mutated), DIGESTS, trusted)
            except (TimestampError, TimestampFormatError):
                n_refused += 1
            else:
                # Some bytes of the envelope are not signed (RFC 5652), and mean nothing for what is.
                assert found == honest
    assert n_refused > 0.95 * COUNT
