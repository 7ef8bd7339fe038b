"""Labels that suit the accuser: edited after signing, or signed by the accuser themself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxfp
from onnxfp.bundle import npy
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.writer import pack
from onnxfp.errors import BundleFormatError, DerivationError, DigestError


def test_edited_labels_are_not_the_signed_ones(members: dict[str, bytes], forge: Any) -> None:
    labels = forge.fingerprint().labels[::-1]
    with pytest.raises(DigestError, match=r"labels\.npy"):
        parse_bundle(pack({**members, "labels.npy": npy.dump(labels)}))


def test_signed_labels_must_still_be_the_derived_ones(tmp_path: Path, forge: Any) -> None:
    honest = forge.fingerprint()
    forged = forge.sign_again(honest, labels=np.ascontiguousarray(honest.labels[::-1]))
    forged.save(tmp_path / "forged.fp.npz")
    with pytest.raises(DerivationError, match="label of example"):
        onnxfp.load(tmp_path / "forged.fp.npz")


def test_labels_outside_the_classes_are_refused(forge: Any) -> None:
    honest = forge.fingerprint()
    for label in (-1, 10):
        forged = forge.sign_again(honest, labels=np.full_like(honest.labels, label))
        with pytest.raises(BundleFormatError, match="outside"):
            parse_bundle(pack(forged.members()))
