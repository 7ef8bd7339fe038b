"""Time-stamp authorities that answer wrongly, too much, too slowly or not at all."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from onnxfp.api.timestamping import timestamp
from onnxfp.errors import AuthorityError, OnnxfpError, ParameterError, TimestampError, TimestampFormatError
from onnxfp.trust.authority import MAX_RESPONSE_BYTES
from onnxfp.trust.commitment import Commitment, make_commitment

REPLY_TYPE = {"Content-Type": "application/timestamp-reply"}


@pytest.fixture
def subject() -> Commitment:
    return make_commitment("sha256:" + "ab" * 32)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def refused(
    subject: Commitment, url: str, tmp_path: Path, error: type[OnnxfpError], complaint: str, **options: Any
) -> None:
    output = tmp_path / "token.tsr"
    with pytest.raises(error, match=complaint) as raised:
        timestamp(subject, tsa=url, output=output, **options)
    assert raised.value.hint
    assert str(raised.value).isprintable()
    # Nothing that is not good is kept.
    assert list(tmp_path.iterdir()) == []


def test_a_real_authority_stamps_the_value(authority: Any, subject: Commitment, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(query: bytes) -> Any:
        asked.append(query)
        return authority.answer(authority.reply(query))

    with authority.serve(answer) as url:
        token = timestamp(subject, tsa=url, tsa_certificate=authority.path("ca"), output=tmp_path / "token.tsr")
    assert (tmp_path / "token.tsr").read_bytes() == token
    # The authority learned the published value, and nothing that it is of.
    assert bytes.fromhex(subject.value.removeprefix("sha256:")) in asked[0]
    for secret in (subject.salt, subject.bundle.removeprefix("sha256:")):
        assert bytes.fromhex(secret) not in asked[0]
        assert secret.encode() not in asked[0]


@pytest.mark.parametrize(
    ("body", "status", "headers", "error", "complaint"),
    [
        (b"", 200, REPLY_TYPE, TimestampFormatError, "not an RFC 3161"),
        (b"garbage" * 50, 200, REPLY_TYPE, TimestampFormatError, "not an RFC 3161"),
        (bytes.fromhex("30053003020102"), 200, REPLY_TYPE, AuthorityError, r"refused \(status 2\)"),
        (b"<html>", 200, {"Content-Type": "text/html"}, AuthorityError, "'text/html'"),
        (b"x", 200, {}, AuthorityError, "'text/plain'"),
        (b"x", 500, REPLY_TYPE, AuthorityError, "status 500"),
        (b"x", 404, REPLY_TYPE, AuthorityError, "status 404"),
        (b"", 302, {"Location": "file:///etc/passwd"}, AuthorityError, "status 302"),
        (b"", 307, {"Location": "http://127.0.0.1:1/"}, AuthorityError, "status 307"),
        (b"\x30" * (MAX_RESPONSE_BYTES + 1), 200, REPLY_TYPE, AuthorityError, "more than 262144 bytes"),
        (b"x", 200, {**REPLY_TYPE, "Content-Length": "1000"}, AuthorityError, "999 bytes less"),
        (b"x", 200, {**REPLY_TYPE, "Content-Encoding": "gzip"}, TimestampFormatError, "not an RFC 3161"),
    ],
)
def test_what_is_no_answer_is_refused(
    authority: Any,
    subject: Commitment,
    tmp_path: Path,
    body: bytes,
    status: int,
    headers: dict[str, str],
    error: type[OnnxfpError],
    complaint: str,
) -> None:
    with authority.serve(lambda _: authority.answer(body, status, headers)) as url:
        refused(subject, url, tmp_path, error, complaint)


def test_an_answer_without_end_is_not_read_to_its_end(authority: Any, subject: Commitment, tmp_path: Path) -> None:
    with authority.serve(lambda _: authority.answer(b"\x30" * 2**28)) as url:
        began = time.monotonic()
        refused(subject, url, tmp_path, AuthorityError, "more than")
        assert time.monotonic() - began < 20


def test_an_authority_that_drips_is_not_waited_for(authority: Any, subject: Commitment, tmp_path: Path) -> None:
    # Each byte comes well within the time of the whole, so that no limit on one read would ever be met.
    with authority.serve(lambda _: authority.answer(b"\x30" * 1000, dripped=True)) as url:
        began = time.monotonic()
        refused(subject, url, tmp_path, AuthorityError, "did not answer within 1 seconds", seconds=1.0)
        assert time.monotonic() - began < 10


def test_an_authority_that_says_nothing_is_not_waited_for(subject: Commitment, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        refused(subject, url, tmp_path, AuthorityError, "did not answer|timed out", seconds=0.5)


def test_nobody_is_there(subject: Commitment, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused(subject, f"http://127.0.0.1:{port}/", tmp_path, AuthorityError, "cannot be asked")
    refused(subject, "http://name.invalid/", tmp_path, AuthorityError, "cannot be asked|did not answer", seconds=5.0)


def test_an_old_answer_is_played_back(authority: Any, subject: Commitment, tmp_path: Path) -> None:
    old = authority.stamp(subject.to_json())
    with authority.serve(lambda _: authority.answer(old)) as url:
        refused(subject, url, tmp_path, TimestampError, "another nonce")


def test_another_digest_is_stamped(authority: Any, subject: Commitment, tmp_path: Path) -> None:
    def answer(query: bytes) -> Any:
        asked = hashlib.sha256(subject.to_json()).digest()
        return authority.answer(authority.reply(query.replace(asked, bytes(32))))

    with authority.serve(answer) as url:
        refused(subject, url, tmp_path, TimestampError, "another digest")


def test_an_answer_by_another_authority_is_not_kept(authority: Any, subject: Commitment, tmp_path: Path) -> None:
    with authority.serve() as url:
        certificate = {"tsa_certificate": authority.path("other_ca")}
        refused(subject, url, tmp_path, TimestampError, "not one of the authority's", **certificate)


def test_https_must_show_a_certificate_that_is_trusted(
    authority: Any, subject: Commitment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.issue("web_server", authority.ca, is_for_stamps=False)
    with authority.serve(tls="web_server") as url:
        assert url.startswith("https://")
        refused(subject, url, tmp_path, AuthorityError, "CERTIFICATE_VERIFY_FAILED")
        # A root of strangers does not help, the right one does.
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path("other_ca")))
        refused(subject, url, tmp_path, AuthorityError, "CERTIFICATE_VERIFY_FAILED")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path("ca")))
        assert timestamp(subject, tsa=url, tsa_certificate=authority.path("ca"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "freetsa.org",
        "file:///etc/passwd",
        "ftp://host/",
        "http://",
        "http:///path",
        "http://a b/",
        "http://h:x/",
        "http://h:99999/",
        "https://user:secret@host/",
        "http://h/\x1b[2J",
        "http://h/\r\nX: y",
        "http://\u00e9.example/",
        "http://[::1",
        "data:,x",
        "-x",
    ],
)
def test_what_is_no_url_is_refused_before_anything_is_sent(subject: Commitment, tmp_path: Path, url: str) -> None:
    refused(subject, url, tmp_path, ParameterError, "is not the URL")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e300, 86_401.0])
def test_no_time_and_endless_time_are_no_use(subject: Commitment, tmp_path: Path, seconds: float) -> None:
    refused(subject, "http://127.0.0.1/", tmp_path, ParameterError, "needs some time", seconds=seconds)
