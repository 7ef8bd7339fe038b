"""What is signed can be read again, and does not change afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxfp.bundle.check import check_bundle
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.reader import parse_bundle, read_bundle
from onnxfp.bundle.writer import pack
from onnxfp.errors import BundleFormatError, DigestError, ParameterError, ShapeError, SignatureError


@pytest.mark.parametrize(("name", "dtype"), [("labels", np.int32), ("indices", np.uint64), ("levels", np.uint16)])
def test_an_array_of_another_type_is_not_signed(forge: Any, name: str, dtype: type) -> None:
    good = forge.fingerprint()
    arrays = {n: getattr(good, n) for n in ("levels", "labels", "indices")} | {name: getattr(good, name).astype(dtype)}
    with pytest.raises(ShapeError, match="expected"):
        sign_fingerprint(**arrays, manifest=good.manifest, signer=forge.signer)


def test_a_manifest_of_another_key_is_not_signed(forge: Any) -> None:
    with pytest.raises(ParameterError, match="not the signer's"):
        forge.fingerprint(replace(forge.manifest(), public_key="ab" * 32))


@pytest.mark.parametrize("changes", [{"created": "today"}, {"n_candidates": 5}, {"versions": (("a", "\x1b"),)}])
def test_a_manifest_that_no_reader_accepts_is_not_signed(forge: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="could not be read again"):
        forge.fingerprint(replace(forge.manifest(), **changes))


def test_the_signed_arrays_are_the_fingerprints_own(tmp_path: Path, forge: Any) -> None:
    good = forge.fingerprint()
    levels = good.levels.copy()
    signed = sign_fingerprint(levels, good.labels, good.indices, good.manifest, forge.signer)
    levels[:] = 0
    signed.save(tmp_path / "a.fp.npz")
    assert (read_bundle(tmp_path / "a.fp.npz").levels == good.levels).all()
    with pytest.raises(ValueError, match="read-only"):
        signed.levels[0] = 0


def test_every_refusal_names_the_file(tmp_path: Path, forge: Any) -> None:
    path = tmp_path / "some.fp.npz"
    good = forge.fingerprint()
    for changed, error in (
        (replace(good, labels=good.labels[::-1].copy()), DigestError),
        (replace(good, envelope=good.envelope.replace(b'"sig":"', b'"sig":"AAAA')), SignatureError),
        (replace(good, envelope=b"{}"), BundleFormatError),
    ):
        changed.save(path)
        with pytest.raises(error, match=r"some\.fp\.npz") as raised:
            read_bundle(path)
        assert raised.value.hint


def test_no_array_of_a_fingerprint_can_be_changed(forge: Any) -> None:
    good = forge.fingerprint()
    levels = good.levels.copy()
    made = Fingerprint(levels, good.labels, good.indices, good.manifest, good.envelope)
    levels[:] = 0
    for fingerprint in (made, good, parse_bundle(pack(good.members()))):
        assert fingerprint.digest == good.digest
        assert fingerprint.n_bytes == len(pack(good.members()))
        for array in (fingerprint.levels, fingerprint.labels, fingerprint.indices):
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
        fingerprint.members().clear()
        assert pack(fingerprint.members()) == pack(good.members())


def test_a_fingerprint_that_was_not_read_is_read_to_be_checked(forge: Any) -> None:
    read = parse_bundle(pack(forge.fingerprint().members()))
    assert check_bundle(read).fingerprint is read
    changed = replace(read, labels=read.labels[::-1])
    assert changed.digest != read.digest
    assert (changed.labels == read.labels[::-1]).all()
    with pytest.raises(DigestError):
        check_bundle(changed)
    with pytest.raises(SignatureError):
        check_bundle(replace(read, envelope=read.envelope.replace(b'"sig":"', b'"sig":"AAAA')))
    again = check_bundle(replace(read)).fingerprint
    assert again is not read
    assert again.digest == read.digest
