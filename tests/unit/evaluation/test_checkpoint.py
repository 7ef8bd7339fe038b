"""What was seen so far survives, and what belongs elsewhere is not believed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from onnxfp.crafting.checkpoint import Checkpoint as GenerationCheckpoint
from onnxfp.evaluation.checkpoint import Checkpoint
from onnxfp.evaluation.task import Observation
from onnxfp.evidence.verdict import Counts

SEEN = {
    "float16": Observation("sha256:" + "ab" * 32, Counts(190, 200, 200, 230), 200, 0.87, "", 1.25),
    "int8-static": Observation(error="it cannot be quantised", seconds=0.5),
}


def test_what_was_seen_is_found_again_and_failures_are_tried_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "out.json", {"bundle": "a"})
    assert checkpoint.load() == {}
    checkpoint.save(SEEN)
    assert checkpoint.path == tmp_path / "out.json.evaluation.partial"
    assert checkpoint.load() == {"float16": SEEN["float16"]}
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() == {}


def test_another_evaluation_does_not_take_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Checkpoint.beside(tmp_path / "out.json", {"bundle": "a"}).save(SEEN)
    assert Checkpoint.beside(tmp_path / "out.json", {"bundle": "b"}).load() == {}
    assert "belongs to another evaluation" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"[]", b"{}", b'{"schema":"onnxfp/evaluation-checkpoint/2"}', b"[" * 100_000]
)
def test_something_else_in_its_place_is_ignored(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "out.json", {"bundle": "a"})
    checkpoint.path.write_bytes(content)
    assert checkpoint.load() == {}
    assert "ignored" in caplog.text


def test_an_edited_number_is_not_believed(tmp_path: Path) -> None:
    checkpoint = Checkpoint.beside(tmp_path / "out.json", {"bundle": "a"})
    checkpoint.save(SEEN)
    text = checkpoint.path.read_text()
    checkpoint.path.write_text(text.replace('"n_matches":190', '"n_matches":"190"'))
    assert checkpoint.load() == {}
    checkpoint.path.write_text(text.replace('"n_matches":190', '"n_matches":190,"more":1'))
    assert checkpoint.load() == {}


def test_a_folder_that_cannot_be_written_costs_the_checkpoint_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Checkpoint.beside(tmp_path / "missing" / "out.json", {}).save(SEEN)
    assert "cannot be resumed" in caplog.text


def test_a_generation_and_an_evaluation_of_one_bundle_are_kept_apart(tmp_path: Path, forge: Any) -> None:
    bundle = tmp_path / "base.fp.npz"
    generation = GenerationCheckpoint.beside(bundle, forge.manifest().derivation_context())
    evaluation = Checkpoint.beside(bundle, {"bundle": "a"})
    evaluation.save(SEEN)
    generation.remove()
    assert evaluation.load() == {"float16": SEEN["float16"]}
    generation.path.write_bytes(b"hours of work")
    evaluation.remove()
    assert generation.path.read_bytes() == b"hours of work"
