"""Asking a time-stamp authority: one HTTP exchange, within limits of time and size.

The standard library's client is enough for one POST, and adds nobody to those whom an auditor must trust. Certificates
of https authorities are verified against the system's roots (OpenSSL's ``SSL_CERT_FILE`` names others), proxies are
those of the environment, redirects are not followed. Many authorities speak plain http: the token is signed, and what
is sent is a digest.
"""

from __future__ import annotations

import threading
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from onnxfp.errors import AuthorityError, ParameterError
from onnxfp.text import escape_text, quote_text

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"

MAX_RESPONSE_BYTES = 2**18
"""Largest answer that is read (256 KiB): a token with a long chain of certificates has some 10 KiB."""

_HINT = "check the URL of the authority, or ask another"


def check_url(url: str) -> None:
    """Check that a URL is one of an authority, before anything else is done.

    Raises:
        ParameterError: It is no plain http or https URL.
    """
    problem = ""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        problem = str(error)
    else:
        if parts.scheme not in ("http", "https") or not parts.hostname:
            problem = "it does not begin with http:// or https:// and a host"
        elif parts.username is not None or parts.password is not None:
            problem = "it holds a password, which everybody on this machine could see"
        elif not url.isascii() or not url.isprintable() or " " in url:
            problem = "it holds a blank or a character that URLs do not have"
    if problem:
        raise ParameterError(
            f"{quote_text(url)} is not the URL of a time-stamp authority: {escape_text(problem)}",
            hint="for example --tsa https://freetsa.org/tsr",
        )


def ask_authority(url: str, query: bytes, *, seconds: float) -> bytes:
    """Send a query and return the answer, whatever it holds.

    Args:
        url: Of the authority, ``http`` or ``https``.
        query: The RFC 3161 request.
        seconds: Wall time for the whole exchange.

    Raises:
        ParameterError: The URL is none.
        AuthorityError: The authority cannot be reached or is too slow, its https certificate is not trusted, or it
            answers with an error, another media type, or too much.
    """
    check_url(url)
    answer: list[bytes | OSError | ValueError | HTTPException | AuthorityError] = []

    def exchange() -> None:
        try:
            answer.append(_post(url, query, seconds))
        except (OSError, ValueError, HTTPException, AuthorityError) as error:
            answer.append(error)

    # Time limits of sockets begin anew with every byte, so an authority that drips could hold its client for ever. The
    # thread is left to itself then, and ends with the process.
    thread = threading.Thread(target=exchange, name="time-stamp authority", daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer:
        raise AuthorityError(f"{url} did not answer within {seconds:g} seconds", hint=_HINT)
    found = answer[0]
    if isinstance(found, AuthorityError):
        raise found
    if isinstance(found, (OSError, ValueError, HTTPException)):
        reason = found.reason if isinstance(found, URLError) else found
        raise AuthorityError(f"{url} cannot be asked: {escape_text(str(reason), 300)}", hint=_HINT) from found
    return found


def _post(url: str, query: bytes, seconds: float) -> bytes:
    import ssl
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

    class RefuseRedirect(HTTPRedirectHandler):
        def redirect_request(
            self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
        ) -> None:
            """Follow nobody: the error that stands for the redirect is raised instead."""

    opener = build_opener(RefuseRedirect, HTTPSHandler(context=ssl.create_default_context()))
    headers = {"Content-Type": QUERY_TYPE, "Accept": REPLY_TYPE}
    request = Request(url, data=query, headers=headers, method="POST")  # noqa: S310 - check_url lets http(s) through only
    try:
        response = opener.open(request, timeout=seconds)
    except HTTPError as error:
        error.close()
        raise AuthorityError(f"{url} answers with HTTP status {error.code}", hint=_HINT) from error
    with response:
        _check_type(url, response.headers)
        content: Any = response.read(MAX_RESPONSE_BYTES + 1)
        missing = response.length
    if len(content) > MAX_RESPONSE_BYTES:
        raise AuthorityError(f"{url} answers with more than {MAX_RESPONSE_BYTES} bytes", hint=_HINT)
    if missing:
        raise AuthorityError(f"{url} answers with {missing} bytes less than it announced", hint=_HINT)
    return bytes(content)


def _check_type(url: str, headers: HTTPMessage) -> None:
    found = headers.get_content_type()
    if found != REPLY_TYPE:
        raise AuthorityError(f"{url} answers with {quote_text(found, 60)}; {REPLY_TYPE!r} was expected", hint=_HINT)
