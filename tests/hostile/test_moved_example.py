"""An example outside its epsilon ball: an input that the accuser chose instead of deriving it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxfp
from onnxfp.errors import DerivationError


def test_an_example_out_of_its_ball_is_found(tmp_path: Path, forge: Any) -> None:
    honest = forge.fingerprint()
    levels = honest.levels.copy()
    levels[4, 0, 0, 0] = levels[4, 0, 0, 0] ^ 0x80
    forge.sign_again(honest, levels=levels).save(tmp_path / "forged.fp.npz")
    with pytest.raises(DerivationError, match="example 4"):
        onnxfp.load(tmp_path / "forged.fp.npz")


def test_a_natural_image_in_the_place_of_an_example_is_found(tmp_path: Path, forge: Any) -> None:
    honest = forge.fingerprint()
    levels = honest.levels.copy()
    levels[0] = np.linspace(0, 255, levels[0].size, dtype=np.uint8).reshape(levels[0].shape)
    forge.sign_again(honest, levels=levels).save(tmp_path / "forged.fp.npz")
    with pytest.raises(DerivationError, match="example 0"):
        onnxfp.load(tmp_path / "forged.fp.npz")


def test_a_repeated_lucky_example_is_found(tmp_path: Path, forge: Any) -> None:
    honest = forge.fingerprint()
    lucky = [np.ascontiguousarray(np.repeat(a[:1], 6, axis=0)) for a in (honest.levels, honest.labels, honest.indices)]
    forged = forge.sign_again(honest, levels=lucky[0], labels=lucky[1], indices=lucky[2])
    forged.save(tmp_path / "forged.fp.npz")
    with pytest.raises(DerivationError, match="increase strictly"):
        onnxfp.load(tmp_path / "forged.fp.npz")
