"""Checkpoints that somebody planted: longer than any memory, or naming more than they hold."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from onnxfp.bundle import canonical_json
from onnxfp.crafting.checkpoint import Checkpoint
from onnxfp.crafting.state import Crafted
from tests.fuzz.limits import limited_memory, limited_time

MAGIC = b"onnxfp/checkpoint/1\n"


def checkpoint(tmp_path: Path, forge: Any) -> Checkpoint:
    return Checkpoint(tmp_path / "base.fp.npz.partial", forge.manifest().derivation_context())


def head(context: Any, n_kept: int) -> bytes:
    text = canonical_json.dump(
        {"context": context.digest().hex(), "n_kept": n_kept, "n_candidates": n_kept, "noise": 0.0}
    )
    return MAGIC + len(text).to_bytes(4, "little") + text


@pytest.mark.skipif(sys.platform == "win32", reason="its files are not sparse")
@pytest.mark.parametrize("length", [2**36, 2**33, 2**31], ids=["64 GiB", "8 GiB", "2 GiB"])
@pytest.mark.parametrize("beginning", ["nothing", "a long head", "a good head", "many examples"])
def test_its_length_is_looked_at_first(
    tmp_path: Path, forge: Any, caplog: pytest.LogCaptureFixture, length: int, beginning: str
) -> None:
    here = checkpoint(tmp_path, forge)
    content = {
        "nothing": b"",
        "a long head": MAGIC + b"\xff" * 4,
        "a good head": head(here.context, 6),
        "many examples": head(here.context, 2**62),
    }[beginning]
    with here.path.open("wb") as stream:
        stream.write(content)
        stream.truncate(length)
    with limited_time(), limited_memory():
        assert here.load() is None
    assert "is ignored" in caplog.text


def test_a_good_one_is_taken(tmp_path: Path, forge: Any) -> None:
    here, fingerprint = checkpoint(tmp_path, forge), forge.fingerprint()
    here.save(Crafted(fingerprint.levels, fingerprint.labels, fingerprint.indices, 8, 0.0))
    loaded = here.load()
    assert loaded is not None
    assert (loaded.levels == fingerprint.levels).all()
    here.path.write_bytes(here.path.read_bytes() + b"\0")
    assert here.load() is None
