"""A signed bundle with as many candidates and references as a manifest may name, to be inspected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from onnxfp.bundle.manifest import ReferenceResult
from onnxfp.cli import cli
from onnxfp.limits import MAX_CANDIDATES
from tests.conftest import Forge
from tests.fuzz.limits import limited_time


def test_inspecting_it_takes_seconds_at_most(forge: Forge, tmp_path: Path) -> None:
    manifest = forge.manifest(n_examples=200, n_candidates=MAX_CANDIDATES, shape=(3, 32, 32))
    # Counts that all differ: equal ones would be computed once.
    references = tuple(ReferenceResult(f"sha256:{number:064x}", number) for number in range(200))
    manifest = replace(manifest, references=references, recipe=replace(manifest.recipe, spectrum="coarse"))
    path = tmp_path / "costly.fp.npz"
    forge.fingerprint(manifest).save(path)
    with limited_time(3.0):
        done = CliRunner().invoke(cli, ["inspect", str(path)])
    assert done.exit_code == 0
