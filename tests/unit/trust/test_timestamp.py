"""Time-stamps: what is asked for, what a token must be, and what it is turned into."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from onnxfp.errors import CertificateError, FileError, TimestampError, TimestampFormatError
from onnxfp.trust.timestamp import (
    Timestamp,
    check_reply,
    check_token,
    load_authority,
    make_query,
    read_token,
)

CONTENT = b"a bundle"
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def token(authority: Any) -> bytes:
    stamped: bytes = authority.stamp(CONTENT)
    return stamped


def test_a_query_asks_for_a_digest_a_nonce_and_certificates() -> None:
    query = make_query(CONTENT)
    assert "sha256:" + query.message_imprint.message.hex() == DIGEST
    assert query.cert_req
    # A nonce that comes back shows that the answer is a new one, so no two are alike.
    assert len({make_query(CONTENT).nonce for _ in range(200)}) == 200
    assert CONTENT not in query.as_bytes()


def test_a_token_says_what_existed_and_when(authority: Any, token: bytes) -> None:
    found = check_token(token, [("bundle", DIGEST)], load_authority(authority.path("ca")))
    assert (found.subject, found.digest) == ("bundle", DIGEST)
    assert found.authority == "CN=Test tsa"
    assert found.policy == "1.3.6.1.4.1.99999.1"
    certificate = authority.tsa.certificate
    from cryptography.hazmat.primitives.hashes import SHA256

    assert found.certificate == "sha256:" + certificate.fingerprint(SHA256()).hex()
    # The fraction that the library cuts off, and the accuracy of 1.5 s, both count against whoever relies on it.
    late = datetime.fromisoformat(found.existed_before) - datetime.now(UTC)
    assert timedelta(seconds=-300) < late < timedelta(seconds=4)


def test_the_time_is_never_too_early(authority: Any) -> None:
    trusted = load_authority(authority.path("ca"))
    for _ in range(3):
        stamped = authority.stamp(CONTENT)
        after = datetime.now(UTC)
        found = check_token(stamped, [("bundle", DIGEST)], trusted)
        assert datetime.fromisoformat(found.existed_before) > after


def test_a_token_is_matched_with_what_it_is_about(authority: Any, token: bytes) -> None:
    trusted = load_authority(authority.path("ca"))
    other = "sha256:" + "00" * 32
    assert check_token(token, [("bundle", other), ("commitment", DIGEST)], trusted).subject == "commitment"
    with pytest.raises(TimestampError, match="not this bundle or commitment") as raised:
        check_token(token, [("bundle", other), ("commitment", other)], trusted)
    assert "--commitment" in raised.value.hint


@pytest.mark.parametrize("names", [("ca",), ("tsa", "ca"), ("ca", "tsa", "other_ca"), ("ca", "ca")])
def test_a_chain_may_hold_the_signer_and_strangers(authority: Any, token: bytes, names: tuple[str, ...]) -> None:
    assert check_token(token, [("bundle", DIGEST)], load_authority(authority.chain(*names))).authority == "CN=Test tsa"


def test_an_authority_may_have_an_intermediate_and_a_new_signer(authority: Any) -> None:
    middle = authority.issue("middle", authority.ca, is_ca=True)
    authority.issue("new", middle)
    token = authority.stamp(CONTENT, "new")
    digests: Any = [("bundle", DIGEST)]
    assert check_token(token, digests, load_authority(authority.chain("ca", "middle"))).authority == "CN=Test new"
    assert check_token(token, digests, load_authority(authority.chain("ca", "middle", "tsa", "new"))).authority
    with pytest.raises(TimestampError, match="unable to get"):
        check_token(token, digests, load_authority(authority.path("ca")))


def test_an_authority_may_be_its_own_root(authority: Any) -> None:
    authority.issue("alone")
    token = authority.stamp(CONTENT, "alone")
    assert (
        check_token(token, [("bundle", DIGEST)], load_authority(authority.path("alone"))).authority == "CN=Test alone"
    )


def test_names_that_steer_terminals_are_escaped(authority: Any) -> None:
    authority.issue("odd", authority.ca, subject="a\x1b[2Jb")
    found = check_token(authority.stamp(CONTENT, "odd"), [("bundle", DIGEST)], load_authority(authority.path("ca")))
    assert found.authority.isprintable()
    long = Timestamp("bundle", DIGEST, "2026-01-01T00:00:00Z", "n" * 5000, DIGEST, "1.2", "1")
    assert len(long.authority) == 1000


def test_a_reply_must_be_one_to_the_query(authority: Any) -> None:
    query = make_query(CONTENT)
    check_reply(authority.reply(query.as_bytes()), query)
    with pytest.raises(TimestampError, match="another nonce"):
        check_reply(authority.stamp(CONTENT), query)
    with pytest.raises(TimestampError, match="another digest"):
        check_reply(authority.stamp(b"another bundle"), query)


def test_certificates_that_cannot_be_trusted_are_named(authority: Any, tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="holds no root") as raised:
        load_authority(authority.path("tsa"))
    assert raised.value.hint
    junk = tmp_path / "junk.pem"
    for content in (
        b"",
        b"junk",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"x" * (2**20 + 1),
    ):
        junk.write_bytes(content)
        with pytest.raises(CertificateError) as raised:
            load_authority(junk)
        assert raised.value.hint
    for path in (tmp_path / "missing.pem", tmp_path):
        with pytest.raises(FileError):
            load_authority(path)
        with pytest.raises(FileError):
            read_token(path)


def test_a_token_over_another_hash_is_refused(authority: Any) -> None:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    query = TimestampRequestBuilder(data=CONTENT, hash_algorithm=HashAlgorithm.SHA512).build()
    with pytest.raises(TimestampFormatError, match="SHA-256"):
        check_token(authority.reply(query.as_bytes()), [("bundle", DIGEST)], load_authority(authority.path("ca")))
