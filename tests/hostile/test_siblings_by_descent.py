"""Two parties that tuned one public model: neither has the other's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import onnxfp
from onnxfp import Verdict
from onnxfp.cli import cli
from onnxfp.files import write_file
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.trust.keys import default_key_path, public_key_path
from tests.conftest import TEST_KEY, make_once

SIBLINGS = ("stolen/pruned_finetuned", "base", "stolen/laundered", "stolen/pruned", "stolen/int8")


def _generate(folder: Path, models: Path, *, is_declared: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXFP_HOME", str(folder / "home"))
        # Another key derives other seeds and labels, and other counts.
        (folder / "home").mkdir()
        private = TEST_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_file(default_key_path(), private, mode=0o600)
        public = TEST_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_file(public_key_path(default_key_path()), public)
        onnxfp.generate(
            models / "stolen/finetuned.onnx",
            output=folder / "tuned.fp.npz",
            overrides=RecipeOverrides(n_steps=8, seed=1),
            ancestors=[models / "base.onnx"] if is_declared else [],
        )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """A fingerprint of a tune of the base, without a word on its descent."""
    return make_once(tmp_path_factory, "plain", lambda f: _generate(f, models, is_declared=False)) / "tuned.fp.npz"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """The same with the ancestor declared."""
    return make_once(tmp_path_factory, "declared", lambda f: _generate(f, models, is_declared=True)) / "tuned.fp.npz"


@pytest.mark.parametrize("name", SIBLINGS)
def test_with_the_ancestor_declared_no_sibling_is_accused(name: str, declared: Path, models: Path) -> None:
    report = onnxfp.verify(models / f"{name}.onnx", declared)
    assert report.verdict is not Verdict.MATCH
    assert report.decision.descent == "possible"


@pytest.mark.parametrize("name", ["base", "stolen/laundered", "stolen/int8", "stolen/finetuned"])
def test_with_the_verifiers_ancestor_no_count_is_a_match(name: str, plain: Path, models: Path, tmp_path: Path) -> None:
    suspect, ancestor = models / f"{name}.onnx", models / "base.onnx"
    done = CliRunner().invoke(cli, ["verify", str(suspect), str(plain), "--ancestor", str(ancestor), "--json"])
    assert done.exit_code == 11
    record = json.loads(done.stdout)
    assert record["decision"]["descent"] == "possible"
    assert record["decision"]["reasons"] == ["descent unknown"]


def test_a_match_without_an_ancestor_says_what_was_not_examined(plain: Path, models: Path, tmp_path: Path) -> None:
    # The ancestor itself: the words may say no more than that the two have a common lineage.
    page, command = tmp_path / "page.html", ["verify", str(models / "base.onnx"), str(plain)]
    done = CliRunner().invoke(cli, [*command, "--report", str(page)])
    assert done.exit_code == 0
    shown = [done.stdout, page.read_text(), CliRunner().invoke(cli, [*command, "--json"]).stdout]
    for text in shown[:2]:
        flat = " ".join(text.split())
        assert "not examined" in flat
        assert "common lineage" in flat
    record = json.loads(shown[2])
    assert record["decision"]["descent"] == "not examined"
    assert "common descent" in record["not_tested"]
