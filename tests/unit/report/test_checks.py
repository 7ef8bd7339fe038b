"""Every check that a report lists is executed, wherever the fingerprint comes from, and says what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxfp
from onnxfp.bundle.check import check_bundle
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.errors import (
    BundleFormatError,
    DerivationError,
    DigestError,
    KeyMismatchError,
    OnnxfpError,
    SignatureError,
)
from onnxfp.report.checks import ALWAYS, CommitmentRecord, describe_checks
from onnxfp.trust.timestamp import Timestamp

VALUE = "sha256:" + "12" * 32
STAMP = Timestamp("bundle", VALUE, "2026-01-03T00:00:00Z", "CN=TSA", VALUE, "1.2.3", "a1")


def moved(fingerprint: Fingerprint) -> Any:
    levels = fingerprint.levels.copy()
    levels[2] ^= 0x80
    return {"levels": levels}


FORGERIES: dict[str, tuple[Callable[[Fingerprint], Any], type[OnnxfpError]]] = {
    "labels": (lambda f: {"labels": np.ascontiguousarray(f.labels[::-1])}, DerivationError),
    "seeds": (moved, DerivationError),
    "selection": (lambda f: {"indices": np.ascontiguousarray(f.indices[::-1])}, DerivationError),
    "more candidates": (lambda f: {"indices": f.indices + 3}, DerivationError),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_was_signed_but_not_derived_is_rejected(
    forge: Any, tmp_path: Path, covered_path: Path, onnxfp_main: Callable[..., int], name: str
) -> None:
    honest = forge.fingerprint()
    change, error = FORGERIES[name]
    # The signature is good: whoever holds the key can sign anything.
    forged = forge.sign_again(honest, **change(honest))
    path = tmp_path / "forged.fp.npz"
    forged.save(path)
    for source in (path, forged):
        with pytest.raises(error) as raised:
            onnxfp.verify(covered_path, source)
        assert raised.value.hint
    with pytest.raises(error):
        onnxfp.load(path)
    with pytest.raises(error):
        onnxfp.commit(path)
    assert onnxfp_main("verify", covered_path, path) == 5
    assert onnxfp_main("inspect", path) == 5
    assert onnxfp_main("commit", path) == 5
    assert not (tmp_path / "forged.fp.commitment.json").exists()


@pytest.fixture
def onnxfp_main() -> Callable[..., int]:
    from onnxfp.cli import main

    return lambda *words: main([str(word) for word in words])


def test_a_fingerprint_in_memory_is_checked_as_its_file_is(forge: Any, covered_path: Path) -> None:
    honest = forge.fingerprint()
    for change, error in (
        ({"labels": honest.labels[::-1]}, DigestError),
        (moved(honest), DigestError),
        ({"envelope": honest.envelope[:-1]}, BundleFormatError),
        ({"envelope": honest.envelope.replace(b'"sig":"', b'"sig":"AAAA')}, SignatureError),
        ({"manifest": replace(honest.manifest, public_key="ab" * 32)}, SignatureError),
        ({"manifest": replace(honest.manifest, n_candidates=6)}, DigestError),
    ):
        with pytest.raises(error):
            onnxfp.verify(covered_path, replace(honest, **change))
    with pytest.raises(KeyMismatchError):
        onnxfp.verify(covered_path, honest, public_key="ab" * 32)


def test_checks_say_what_they_found(forge: Any) -> None:
    checked = check_bundle(forge.fingerprint())
    checks = {c.name: c for c in describe_checks(checked, is_pinned=True, commitment=None, timestamp=None)}
    assert tuple(checks) == ALWAYS
    assert all(c.n_checked and c.found and c.rules_out for c in checks.values())
    assert checks["file"].n_checked == checked.n_bytes
    assert forge.public_key in checks["signature"].found
    assert checks["labels"].n_checked == checks["seeds"].n_checked == 6
    # The seeds themselves, 16 levels allowed.
    assert "farther than 0 of 256 levels" in checks["seeds"].found
    assert "allows 16 (epsilon 0.06275)" in checks["seeds"].found
    assert "within the 8 candidates" in checks["selection"].found
    assert "need no comparison" in checks["grid"].found


def test_the_distance_is_that_of_the_farthest_value(forge: Any) -> None:
    honest = forge.fingerprint()
    levels = honest.levels.copy()
    levels[3, 1, 2, 0] = levels[3, 1, 2, 0] + 5 if levels[3, 1, 2, 0] < 128 else levels[3, 1, 2, 0] - 5
    checked = check_bundle(forge.sign_again(honest, levels=levels))
    assert checked.derivation.farthest == 5


def test_what_was_not_checked_is_said(forge: Any) -> None:
    checked = check_bundle(forge.fingerprint())
    opened = CommitmentRecord(VALUE, is_demanded=False)
    checks = {c.name: c for c in describe_checks(checked, is_pinned=False, commitment=opened, timestamp=None)}
    assert (checks["key"].n_checked, checks["key"].found[:11]) == (0, "NOT CHECKED")
    assert "NOT COMPARED" in checks["commitment"].found
    assert checks["commitment"].rules_out.startswith("Nothing until it is")
    demanded = CommitmentRecord(VALUE, is_demanded=True)
    checks = {c.name: c for c in describe_checks(checked, is_pinned=False, commitment=demanded, timestamp=STAMP)}
    assert VALUE in checks["commitment"].found
    assert "NOT COMPARED" not in checks["commitment"].found
    assert "existed before 2026-01-03T00:00:00Z, says CN=TSA" in checks["timestamp"].found
    assert "false claim" not in checks["timestamp"].found
    stamped = replace(STAMP, subject="commitment")
    checks = {c.name: c for c in describe_checks(checked, is_pinned=False, commitment=opened, timestamp=stamped)}
    assert "is the one that was time-stamped" in checks["commitment"].found


def test_a_signers_time_after_the_stamps_is_noticed(forge: Any) -> None:
    checked = check_bundle(forge.fingerprint())
    early = replace(STAMP, existed_before="2026-01-01T00:00:00Z")
    *_, check = describe_checks(checked, is_pinned=False, commitment=None, timestamp=early)
    assert "claims to have made it at 2026-01-02T03:04:05Z, which is later" in check.found
