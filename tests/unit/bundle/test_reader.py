"""The bundle file: what numpy sees in it, and that the same content makes the same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxfp.bundle.fingerprint import sign_fingerprint
from onnxfp.bundle.reader import parse_bundle, read_bundle
from onnxfp.bundle.writer import MEMBERS, pack
from onnxfp.errors import FileError, ShapeError


def test_numpy_opens_a_bundle_without_pickles(tmp_path: Path, forge: Any) -> None:
    fingerprint = forge.fingerprint()
    path = tmp_path / "a.fp.npz"
    fingerprint.save(path)
    with np.load(path, allow_pickle=False) as archive:  # noqa: TID251 - a reader of the owner's own file
        assert sorted(archive.files) == sorted(name.removesuffix(".npy") for name in MEMBERS)
        assert (archive["examples"] == fingerprint.levels).all()
        assert (archive["labels"] == fingerprint.labels).all()
        assert archive["manifest.json"] == fingerprint.manifest.to_json()


def test_a_bundle_survives_the_round_trip(tmp_path: Path, forge: Any) -> None:
    fingerprint = forge.fingerprint()
    path = tmp_path / "a.fp.npz"
    fingerprint.save(path)
    loaded = read_bundle(path)
    assert loaded.manifest == fingerprint.manifest
    for name in ("levels", "labels", "indices"):
        assert (getattr(loaded, name) == getattr(fingerprint, name)).all()
    assert loaded.digest == fingerprint.digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_the_same_content_makes_the_same_bytes(forge: Any) -> None:
    assert pack(forge.fingerprint().members()) == pack(forge.fingerprint().members())


def test_loaded_arrays_cannot_be_changed(forge: Any) -> None:
    loaded = parse_bundle(pack(forge.fingerprint().members()))
    with pytest.raises(ValueError, match="read-only"):
        loaded.labels[0] = 1


def test_wide_levels_are_stored_in_sixteen_bits(forge: Any) -> None:
    from dataclasses import replace

    from onnxfp.types import InputGrid

    manifest = replace(forge.manifest(), grid=InputGrid(n_levels=65536))
    loaded = parse_bundle(pack(forge.fingerprint(manifest).members()))
    assert loaded.levels.dtype == np.uint16


def test_arrays_must_fit_the_manifest(forge: Any) -> None:
    good = forge.fingerprint()
    with pytest.raises(ShapeError, match="do not fit"):
        sign_fingerprint(good.levels[:3], good.labels, good.indices, good.manifest, forge.signer)


def test_an_unwritable_folder_is_an_error_and_leaves_nothing(tmp_path: Path, forge: Any) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        forge.fingerprint().save(tmp_path / "missing" / "a.fp.npz")
    assert list(tmp_path.iterdir()) == []
