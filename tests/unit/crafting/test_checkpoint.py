"""Half-finished generations: they come back whole, or not at all."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxfp.crafting.checkpoint import Checkpoint
from onnxfp.crafting.state import Crafted
from onnxfp.recipe.derivation import DerivationContext, derive_labels, derive_seeds


@pytest.fixture
def context(forge: Any) -> DerivationContext:
    found: DerivationContext = forge.manifest().derivation_context()
    return found


@pytest.fixture
def crafted(context: DerivationContext) -> Crafted:
    indices = np.array([0, 2, 5])
    return Crafted(derive_seeds(context, indices), derive_labels(context, indices), indices, 7, 0.025)


def test_a_checkpoint_survives_the_round_trip(tmp_path: Path, context: DerivationContext, crafted: Crafted) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "a.fp.npz", context)
    assert checkpoint.load() is None
    checkpoint.save(crafted)
    assert checkpoint.path.name == "a.fp.npz.partial"
    loaded = checkpoint.load()
    assert loaded is not None
    assert (loaded.n_candidates, loaded.noise) == (7, 0.025)
    for name in ("levels", "labels", "indices"):
        assert (getattr(loaded, name) == getattr(crafted, name)).all()
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_state_before_the_first_example_is_kept_too(tmp_path: Path, context: DerivationContext) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "a", context)
    checkpoint.save(replace(Crafted.none_yet(context), n_candidates=9))
    loaded = checkpoint.load()
    assert loaded is not None
    assert (len(loaded.labels), loaded.n_candidates) == (0, 9)


def test_another_recipes_checkpoint_is_ignored(
    tmp_path: Path, context: DerivationContext, crafted: Crafted, caplog: pytest.LogCaptureFixture
) -> None:
    Checkpoint.beside(tmp_path / "a", context).save(crafted)
    other = replace(context, n_classes=11)
    with caplog.at_level(logging.WARNING):
        assert Checkpoint.beside(tmp_path / "a", other).load() is None
        assert Checkpoint.beside(tmp_path / "a", context, ("sha256:" + "0" * 64,)).load() is None
    assert caplog.text.count("is ignored") == 2


def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, context: DerivationContext, crafted: Crafted) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "a", context)
    checkpoint.save(crafted)
    whole = checkpoint.path.read_bytes()
    for damaged in (
        whole[:40],
        whole[:-1],
        whole[:100] + b"~" + whole[101:],
        b"",
        b"onnxfp/checkpoint/1\n\xff\xff\xff\xff",
    ):
        checkpoint.path.write_bytes(damaged)
        assert checkpoint.load() is None


def test_examples_that_were_tampered_with_are_ignored(
    tmp_path: Path, context: DerivationContext, crafted: Crafted
) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "a", context)
    checkpoint.save(replace(crafted, labels=(crafted.labels + 1) % 10))
    assert checkpoint.load() is None


def test_states_are_written_now_and_then_and_the_last_one_on_the_way_out(
    tmp_path: Path, context: DerivationContext, crafted: Crafted, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, clock = Checkpoint.beside(tmp_path / "a", context), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def written() -> int:
        loaded = Checkpoint.beside(tmp_path / "a", context).load()
        assert loaded is not None
        return loaded.n_candidates

    def fail() -> None:
        with checkpoint:
            checkpoint.keep(crafted)
            assert written() == 7
            # As if writing had taken a second.
            checkpoint._due = clock[0] + 50
            clock[0] += 49
            checkpoint.keep(replace(crafted, n_candidates=8))
            assert written() == 7
            clock[0] += 1
            checkpoint.keep(replace(crafted, n_candidates=9))
            assert written() == 9
            checkpoint._due = clock[0] + 50
            checkpoint.keep(replace(crafted, n_candidates=10))
            assert written() == 9
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert written() == 10
