"""Inputs that are long along one axis and short along another: noise for them costs what its values cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxfp
from onnxfp.bundle.manifest import Manifest
from onnxfp.types import InputSpec
from tests.fuzz.limits import limited_memory, limited_time

LENGTH = 2**16


def long_and_thin(forge: Any, shape: tuple[int, ...]) -> Manifest:
    """Return a manifest of one example, whose seed has a 1/f spectrum."""
    manifest: Manifest = forge.manifest(n_examples=1, n_candidates=1, shape=shape)
    base = replace(manifest.base, input=InputSpec("x", shape, "float32", "NHWC", None), spatial_axes=(0, 1))
    return replace(manifest, base=base)


@pytest.mark.parametrize("shape", [(LENGTH, 1, 1), (1, LENGTH, 1), (LENGTH // 2, 2, 1)], ids=str)
def test_a_verifier_keeps_its_memory(forge: Any, tmp_path: Path, shape: tuple[int, ...]) -> None:
    manifest = long_and_thin(forge, shape)
    with limited_memory(), limited_time():
        fingerprint = forge.fingerprint(manifest)
        fingerprint.save(tmp_path / "thin.fp.npz")
        loaded = onnxfp.load(tmp_path / "thin.fp.npz")
    assert len(np.unique(loaded.levels)) > 1
