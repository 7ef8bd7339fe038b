"""Time-stamps that an accuser made, borrowed, or had made by the wrong hands."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp import TimeEvidence
from onnxfp.errors import TimestampError
from onnxfp.trust.timestamp import check_token, load_authority

CONTENT = b"a bundle"
DIGESTS: Any = [("bundle", "sha256:" + hashlib.sha256(CONTENT).hexdigest())]


def refused(token: bytes, certificates: Path, complaint: str) -> None:
    with pytest.raises(TimestampError, match=complaint) as raised:
        check_token(token, DIGESTS, load_authority(certificates))
    assert raised.value.hint
    assert str(raised.value).isprintable()


def test_the_token_of_another_bundle_is_borrowed(authority: Any) -> None:
    refused(authority.stamp(b"another bundle"), authority.path("ca"), "is not this bundle")


def test_the_accusers_own_authority_signed(authority: Any) -> None:
    own = authority.issue("own_ca", is_ca=True)
    authority.issue("own_tsa", own)
    refused(authority.stamp(CONTENT, "own_tsa"), authority.path("ca"), "unable to get local issuer certificate")
    # Not even with the names of the real one.
    copy = authority.issue("copied_ca", is_ca=True, subject="Test ca")
    authority.issue("copied_tsa", copy, subject="Test tsa")
    refused(authority.stamp(CONTENT, "copied_tsa"), authority.path("ca"), "not one of the authority's")
    refused(authority.stamp(CONTENT, "copied_tsa"), authority.chain("ca", "tsa"), "not one of the authority's")


def test_another_signer_under_the_same_root_where_one_is_demanded(authority: Any) -> None:
    authority.issue("colleague", authority.ca)
    token = authority.stamp(CONTENT, "colleague")
    assert check_token(token, DIGESTS, load_authority(authority.path("ca"))).digest == DIGESTS[0][1]
    refused(token, authority.chain("ca", "tsa"), "does not match")


def test_a_certificate_that_may_certify_nobody_made_the_signer(authority: Any) -> None:
    leaf = authority.issue("leaf", authority.ca)
    authority.issue("child", leaf)
    token = authority.stamp(CONTENT, "child")
    refused(token, authority.path("ca"), "not one of the authority's")
    refused(token, authority.chain("ca", "leaf"), "not one of the authority's")


def test_a_certificate_for_web_servers_signed(authority: Any) -> None:
    # Under the same root: whoever has any certificate of a large authority could stamp otherwise.
    authority.issue("web", authority.ca, is_for_stamps=False)
    info = authority.tst_info(hashlib.sha256(CONTENT).digest())
    assert (
        check_token(authority.sign_anything(info, "tsa"), DIGESTS, load_authority(authority.path("ca"))).digest
        == DIGESTS[0][1]
    )
    token = authority.sign_anything(info, "web")
    refused(token, authority.path("ca"), "purpose|EKU")
    refused(token, authority.chain("ca", "web"), "purpose|EKU")


def test_an_authority_of_no_accuracy_says_nothing(authority: Any) -> None:
    digest = hashlib.sha256(CONTENT).digest()
    for accuracy in (b"\x02\x00\x00", b"\x7f" * 15):
        token = authority.sign_anything(authority.tst_info(digest, accuracy=accuracy), "tsa")
        refused(token, authority.path("ca"), "less accurate than a day")
    now = datetime.now(UTC).replace(microsecond=0)
    info = authority.tst_info(digest, accuracy=b"\x3c", time=f"{now:%Y%m%d%H%M%SZ}")
    found = check_token(authority.sign_anything(info, "tsa"), DIGESTS, load_authority(authority.path("ca")))
    assert datetime.fromisoformat(found.existed_before) == now + timedelta(seconds=61)


@pytest.mark.parametrize(
    ("starts", "ends", "complaint"),
    [
        (timedelta(days=-20), timedelta(days=-10), "certificate has expired"),
        (timedelta(days=10), timedelta(days=20), "not yet valid"),
    ],
)
def test_the_signers_certificate_was_not_valid_at_the_time(
    authority: Any, starts: timedelta, ends: timedelta, complaint: str
) -> None:
    name = f"late{starts.days}".replace("-", "m")
    authority.issue(name, authority.ca, starts=starts, ends=ends)
    refused(authority.stamp(CONTENT, name), authority.path("ca"), complaint)


def test_a_certificate_that_has_run_out_since_is_no_objection(authority: Any) -> None:
    token = authority.stamp(CONTENT)
    later = datetime.now(UTC) + timedelta(days=365 * 50)
    assert check_token(token, DIGESTS, load_authority(authority.path("ca")), now=later).digest == DIGESTS[0][1]


def test_a_time_that_is_still_to_come_is_refused(authority: Any) -> None:
    token = authority.stamp(CONTENT)
    trusted, earlier = load_authority(authority.path("ca")), datetime.now(UTC) - timedelta(hours=1)
    with pytest.raises(TimestampError, match="still to come") as raised:
        check_token(token, DIGESTS, trusted, now=earlier)
    assert "clock" in raised.value.hint


def test_a_stamp_of_a_commitment_says_nothing_without_its_opening(
    authority: Any, crafted: tuple[Path, Path], tmp_path: Path
) -> None:
    base, bundle = crafted
    opening = tmp_path / "o.commitment.json"
    value, ca = onnxfp.commit(bundle, output=opening).value, authority.path("ca")
    token = tmp_path / "o.tsr"
    token.write_bytes(authority.stamp(opening.read_bytes()))
    with pytest.raises(TimestampError, match="is not this bundle") as raised:
        onnxfp.verify(base, bundle, time_evidence=TimeEvidence(timestamp=token, tsa_certificate=ca))
    assert "--commitment" in raised.value.hint
    dated = onnxfp.verify(
        base,
        bundle,
        time_evidence=TimeEvidence(commitment=value, opening=opening, timestamp=token, tsa_certificate=ca),
    )
    assert dated.timestamp is not None
    assert (dated.timestamp.subject, dated.timestamp.digest) == ("commitment", value)
    # Another opening of the same bundle does not inherit the stamp.
    with pytest.raises(TimestampError, match="is not this bundle or commitment"):
        onnxfp.verify(
            base,
            bundle,
            time_evidence=TimeEvidence(commitment=onnxfp.commit(bundle), timestamp=token, tsa_certificate=ca),
        )
