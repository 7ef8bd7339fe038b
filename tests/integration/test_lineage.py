"""Descent, base, commitments to several bundles and chosen inputs: exit code, stdout and stderr, each on its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxfp as package
from onnxfp.evidence.lineage import ENOUGH_CO_DESCENDANTS
from tests.conftest import Forge

Run = Callable[..., Any]
Make = Callable[..., onnx.ModelProto]
EASY = ("--kind", "rc", "--spectrum", "white", "--steps", 4, "--step-size", 0.1, "--epsilon", 0.9, "--noise", 0.01)


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def written(text: str) -> str:
    """Return an output without its line breaks."""
    return " ".join(text.split())


@pytest.fixture
def strangers(tmp_path: Path, make_classifier: Make) -> Path:
    """A folder of models that share nothing with the base of ``crafted``, and are as many as a MATCH takes."""
    folder = tmp_path / "strangers"
    folder.mkdir()
    for seed in range(20, 20 + ENOUGH_CO_DESCENDANTS):
        model = make_classifier(seed=seed, n_classes=10, shape=(3, 16, 16), pool="MaxPool")
        write(model, folder / f"{seed}.onnx")
    return folder


@pytest.fixture
def other(tmp_path: Path, make_classifier: Make) -> Path:
    """A model for the inputs and classes of ``crafted``, and independent of it."""
    return write(make_classifier(seed=9, n_classes=10, shape=(3, 16, 16), pool="MaxPool"), tmp_path / "another.onnx")


def test_what_the_owner_declares_is_in_the_bundle_and_shown(onnxfp: Run, tmp_path: Path, make_classifier: Make) -> None:
    base, ancestor = (write(make_classifier(seed=seed), tmp_path / f"{seed}.onnx") for seed in (0, 9))
    bundle, key = tmp_path / "a.fp.npz", tmp_path / "k.pem"
    assert onnxfp("keygen", "-o", key).code == 0
    words = ("generate", base, "-n", 20, *EASY, "-o", bundle, "--key", key, "--force")
    undeclared = onnxfp(*words)
    assert undeclared.code == 0
    assert "nothing is declared about the descent" in written(undeclared.err)
    assert "undeclared: a MATCH means common lineage" in written(onnxfp("inspect", bundle).out)
    scratch = onnxfp(*words, "--from-scratch")
    assert scratch.code == 0
    assert "descent" not in scratch.err
    assert "the owner declares that the base derives from no other model" in written(onnxfp("inspect", bundle).out)
    declared = onnxfp(*words, "--ancestor", ancestor)
    assert declared.code == 0
    assert "nothing is declared" not in declared.err
    (recorded,) = package.load(bundle).manifest.lineage.ancestors
    seen = onnxfp("inspect", bundle)
    assert (seen.code, seen.err) == (0, "")
    assert "ancestors declared: a MATCH takes eight co-descendants" in written(seen.out)
    assert f"{recorded.digest[:23]}... {recorded.n_matches} matches" in written(seen.out)
    assert "bounds 0 to 1" in written(seen.out)
    lineage = json.loads(onnxfp("inspect", bundle, "--json").out)["manifest"]["lineage"]
    assert lineage["claim"] == "declared"
    assert lineage["ancestors"] == [{"digest": recorded.digest, "n_matches": recorded.n_matches}]


def test_declarations_that_contradict_each_other_write_nothing(
    onnxfp: Run, tmp_path: Path, make_classifier: Make
) -> None:
    base, ancestor = (write(make_classifier(seed=seed), tmp_path / f"{seed}.onnx") for seed in (0, 9))
    bundle = tmp_path / "a.fp.npz"
    for words, message in (
        (("--ancestor", ancestor, "--from-scratch"), "has no ancestor"),
        (("--ancestor", base), "is the base itself"),
    ):
        refused = onnxfp("generate", base, "-o", bundle, *words)
        assert (refused.code, refused.out) == (2, "")
        assert message in written(refused.err)
        assert "\nhint: " in refused.err
    missing = onnxfp("generate", base, "-o", bundle, "--ancestor", tmp_path / "missing.onnx")
    assert (missing.code, missing.out) == (7, "")
    assert not bundle.exists()


def test_verify_says_what_is_known_of_descent(
    onnxfp: Run, crafted: tuple[Path, Path], other: Path, strangers: Path
) -> None:
    base, bundle = crafted
    alone = onnxfp("verify", base, bundle)
    assert (alone.code, alone.err) == (0, "")
    assert "not examined" in written(alone.out)
    possible = onnxfp("verify", base, bundle, "--ancestor", other)
    assert (possible.code, possible.err) == (11, "")
    assert "base.onnx: INCONCLUSIVE" in possible.out
    assert "declared by the verifier" in written(possible.out)
    excluded = onnxfp("verify", base, bundle, "--ancestor", other, "--co-descendant", strangers)
    assert (excluded.code, excluded.err) == (0, "")
    assert "base.onnx: MATCH" in excluded.out
    assert f"{ENOUGH_CO_DESCENDANTS} co-descendants: " in written(excluded.out)
    record = json.loads(onnxfp("verify", base, bundle, "--ancestor", other, "--co-descendant", strangers, "--json").out)
    assert record["decision"]["descent"] == "excluded"
    assert len(record["descent"]["co_descendants"]) == ENOUGH_CO_DESCENDANTS


def test_a_base_at_hand_is_asked(
    onnxfp: Run, crafted: tuple[Path, Path], other: Path, forge: Forge, tmp_path: Path
) -> None:
    base, bundle = crafted
    good = onnxfp("verify", other, bundle, "--base", base, "--json")
    assert (good.code, good.err) == (10, "")
    assert json.loads(good.out)["base_check"]["n_matches"] == package.load(bundle).n_examples
    wrong = onnxfp("verify", base, bundle, "--base", other)
    assert (wrong.code, wrong.out) == (2, "")
    assert "is not the model that the bundle names as its base" in written(wrong.err)
    # A bundle, well signed and well derived, that names a model which never gave its labels.
    manifest = package.load(bundle).manifest
    digest = package.verify(other, bundle).suspect.digest
    named = replace(manifest, public_key=forge.public_key, base=replace(manifest.base, digest=digest))
    forged = tmp_path / "forged.fp.npz"
    forge.fingerprint(named).save(forged)
    for words in ((base, forged, "--base", other), (other, forged)):
        contradiction = onnxfp("verify", *words)
        assert (contradiction.code, contradiction.out) == (5, "")
        assert "is the model that the bundle names as its base, and gives" in written(contradiction.err)
        assert "\nhint: " in contradiction.err


def test_a_commitment_to_several_bundles_costs_significance(
    onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path
) -> None:
    base, bundle = crafted[0], Path(shutil.copy(crafted[1], tmp_path / "a.fp.npz"))
    p_value = json.loads(onnxfp("verify", base, bundle, "--json").out)["decision"]["p_value"]
    for n_bundles in (2, 1_000_000):
        opening = tmp_path / f"{n_bundles}.json"
        made = onnxfp("commit", bundle, "--one-of", n_bundles, "-o", opening)
        assert (made.code, made.err) == (0, "")
        seen = onnxfp("verify", base, bundle, "--commitment", opening, "--json")
        assert seen.err == ""
        record = json.loads(seen.out)
        assert record["commitment"]["n_bundles"] == n_bundles
        assert record["decision"]["p_value"] == pytest.approx(min(1.0, n_bundles * p_value))
    assert seen.code == 11
    refused = onnxfp("commit", bundle, "--one-of", 0, "-o", tmp_path / "none.json")
    assert (refused.code, refused.out) == (2, "")
    assert not (tmp_path / "none.json").exists()


def test_values_chosen_for_another_input_are_no_match(onnxfp: Run, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    model = onnx.load(base)
    (logits,) = model.graph.output
    model.graph.input.append(onnx.helper.make_tensor_value_info("tuned", onnx.TensorProto.FLOAT, [10]))
    model.graph.node.append(onnx.helper.make_node("Add", [logits.name, "tuned"], ["sum"]))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, ["N", 10]))
    path = write(model, tmp_path / "tuned.onnx")
    same = onnxfp("verify", path, bundle, "--fix", "tuned=" + ",".join(["0"] * 10))
    assert (same.code, same.err) == (0, "")
    chosen = onnxfp("verify", path, bundle, "--fix", "tuned=" + ",".join(["0"] * 9 + ["1e-6"]))
    assert (chosen.code, chosen.err) == (11, "")
    assert "tuned.onnx: INCONCLUSIVE" in chosen.out
    assert "input tuned fixed by the verifier: 2 different values" in written(chosen.out)
