"""A checkpoint is signed by nobody: whatever was written into it, it is dropped or passes every check."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxfp.bundle import canonical_json, npy
from onnxfp.crafting.checkpoint import _MAGIC, Checkpoint
from onnxfp.crafting.state import Crafted
from onnxfp.recipe.derivation import check_derivation, derive_labels, derive_seeds


@pytest.mark.parametrize(
    "head",
    [
        {"noise": 10**399},
        {"noise": 5.0},
        {"noise": -0.01},
        {"noise": "0.01"},
        {"n_candidates": -3},
        {"n_candidates": "7"},
        {"n_candidates": 2**70},
        {"n_kept": 10**300},
        {"n_kept": -1},
        {"n_kept": 3},
        {"n_kept": None},
        {"context": 5},
        {"context": "00"},
    ],
)
def test_a_number_out_of_its_range_is_dropped(tmp_path: Path, forge: Any, head: dict[str, object]) -> None:
    checkpoint = Checkpoint(tmp_path / "a.partial", forge.manifest().derivation_context())
    good = {"context": checkpoint.context.digest().hex(), "n_kept": 0, "n_candidates": 0, "noise": 0.01}
    arrays = b"".join(
        npy.dump(a) for a in (np.empty((0, 3, 8, 8), np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    )

    def write(value: dict[str, object], after: bytes = b"") -> None:
        text = canonical_json.dump(value)
        checkpoint.path.write_bytes(_MAGIC + len(text).to_bytes(4, "little") + text + arrays + after)

    write(good)
    assert checkpoint.load() is not None
    write(good, b"more")
    assert checkpoint.load() is None
    write({**good, **head})
    assert checkpoint.load() is None


def test_a_folder_in_its_place_is_no_checkpoint(tmp_path: Path, forge: Any) -> None:
    checkpoint = Checkpoint(tmp_path, forge.manifest().derivation_context())
    assert checkpoint.load() is None


def test_what_survives_an_edit_is_derived(tmp_path: Path, forge: Any) -> None:
    context = forge.manifest().derivation_context()
    checkpoint = Checkpoint(tmp_path / "a.partial", context)
    indices = np.array([0, 2, 5])
    checkpoint.save(Crafted(derive_seeds(context, indices), derive_labels(context, indices), indices, 7, 0.025))
    whole, rng = checkpoint.path.read_bytes(), random.Random(20260104)
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 2, 5))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        checkpoint.path.write_bytes(content[: rng.choice((len(content), rng.randrange(len(content))))])
        found = checkpoint.load()
        if found is not None:
            check_derivation(context, found.levels, found.labels, found.indices, found.n_candidates)
