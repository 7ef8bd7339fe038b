"""Descent, base and commitments at generation and verification, on small models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxfp
from onnxfp import Verdict
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.bundle.manifest import Lineage
from onnxfp.errors import BaseContradictionError, ParameterError
from onnxfp.evidence.lineage import ENOUGH_CO_DESCENDANTS
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.trust.commitment import make_commitment
from tests.conftest import Forge

Make = Callable[..., onnx.ModelProto]
SHAPE = (3, 16, 16)


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def resemble(base: Path, path: Path, *, scale: float, seed: int) -> Path:
    """Write the base with noise on its weights, as a share of their size: another model that derives from it."""
    model, rng = onnx.load(base), np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        changed = values + scale * values.std() * rng.normal(size=values.shape)
        tensor.CopyFrom(onnx.numpy_helper.from_array(changed.astype(values.dtype), tensor.name))
    return write(model, path)


@pytest.fixture
def strangers(tmp_path: Path, make_classifier: Make) -> list[Path]:
    """Nine models that share nothing with the base."""
    return [
        write(make_classifier(seed=seed, n_classes=10, shape=SHAPE, pool="MaxPool"), tmp_path / f"stranger{seed}.onnx")
        for seed in range(20, 29)
    ]


def test_an_ancestor_is_recorded_with_its_matches_and_avoided(
    covered_path: Path, covered_other_path: Path, easy: RecipeOverrides
) -> None:
    plain, avoiding = (
        onnxfp.generate(covered_path, n_examples=100, overrides=easy, ancestors=ancestors)
        for ancestors in ([], [covered_other_path])
    )
    before, asked = (onnxfp.verify(covered_other_path, made).counts.n_matches for made in (plain, avoiding))
    # With three keys: 12 and 1, 15 and 1, 5 and 1. What cannot be avoided is kept, and counted.
    assert asked < before
    (ancestor,) = avoiding.manifest.lineage.ancestors
    assert avoiding.manifest.lineage.claim == "declared"
    assert ancestor.digest == onnxfp.verify(covered_other_path, avoiding).suspect.digest
    assert ancestor.n_matches == asked
    assert plain.manifest.lineage == Lineage()
    assert onnxfp.verify(covered_path, avoiding).match_rate == 1.0
    # A declared ancestor is neither a reference nor unassociated.
    assert not avoiding.manifest.references


def test_an_ancestor_with_other_classes_is_recorded_and_not_asked(
    covered_path: Path, tmp_path: Path, easy: RecipeOverrides, make_classifier: Make, caplog: pytest.LogCaptureFixture
) -> None:
    seven = write(make_classifier(n_classes=7, shape=SHAPE), tmp_path / "seven.onnx")
    larger = write(make_classifier(n_classes=10, shape=(3, 20, 20)), tmp_path / "larger.onnx")
    made = onnxfp.generate(covered_path, n_examples=4, overrides=easy, ancestors=[seven, larger])
    assert made.manifest.lineage.claim == "declared"
    assert [one.n_matches for one in made.manifest.lineage.ancestors] == [None, None]
    assert "2 of the ancestors have other classes or another input" in caplog.text
    assert "nothing is declared about the descent" not in caplog.text
    report = onnxfp.verify(covered_path, made)
    assert [(one.declared_by, one.n_matches) for one in report.descent.ancestors] == [("owner", None)] * 2


def test_contradictory_declarations_are_refused_before_the_work(covered_path: Path, covered_other_path: Path) -> None:
    with pytest.raises(ParameterError, match="is the base itself, and no ancestor of it"):
        onnxfp.generate(covered_path, ancestors=[covered_path])
    with pytest.raises(ParameterError, match="has no ancestor") as raised:
        onnxfp.generate(covered_path, ancestors=[covered_other_path], from_scratch=True)
    assert "--from-scratch" in raised.value.hint


def test_a_base_trained_from_scratch_is_declared_so(
    covered_path: Path, easy: RecipeOverrides, caplog: pytest.LogCaptureFixture
) -> None:
    made = onnxfp.generate(covered_path, n_examples=2, overrides=easy, from_scratch=True)
    assert made.manifest.lineage == Lineage("from scratch")
    assert "nothing is declared about the descent" not in caplog.text
    assert onnxfp.verify(covered_path, made).decision.descent == "none declared"
    onnxfp.generate(covered_path, n_examples=2, overrides=easy)
    assert "nothing is declared about the descent" in caplog.text


def test_a_match_takes_enough_co_descendants_where_an_ancestor_is_declared(
    crafted: tuple[Path, Path], covered_other_path: Path, strangers: list[Path]
) -> None:
    base, bundle = crafted
    assert onnxfp.verify(base, bundle).decision.descent == "not examined"
    alone = onnxfp.verify(base, bundle, ancestors=[covered_other_path])
    assert (alone.verdict, alone.decision.descent) == (Verdict.INCONCLUSIVE, "possible")
    assert alone.decision.reasons == ("descent unknown",)
    assert (alone.decision.min_matches, alone.decision.descent_p_value) == (None, 1.0)
    assert [(one.declared_by, one.n_matches is None) for one in alone.descent.ancestors] == [("verifier", False)]
    pool = strangers[:ENOUGH_CO_DESCENDANTS]
    few = onnxfp.verify(base, bundle, ancestors=[covered_other_path], co_descendants=pool[:-1])
    assert (few.verdict, few.decision.descent) == (Verdict.INCONCLUSIVE, "possible")
    assert len(few.descent.co_descendants) == ENOUGH_CO_DESCENDANTS - 1
    enough = onnxfp.verify(base, bundle, ancestors=[covered_other_path], co_descendants=pool)
    assert (enough.verdict, enough.decision.descent) == (Verdict.MATCH, "excluded")
    assert len(enough.descent.co_descendants) == ENOUGH_CO_DESCENDANTS
    assert enough.decision.descent_p_value is not None
    assert enough.decision.descent_p_value <= enough.policy.alpha


def test_co_descendants_that_match_as_the_suspect_does_explain_it(
    crafted: tuple[Path, Path], covered_other_path: Path, strangers: list[Path], tmp_path: Path
) -> None:
    base, bundle = crafted
    # One relative among strangers that matches everything is enough to leave descent possible.
    relative = resemble(base, tmp_path / "relative.onnx", scale=1e-4, seed=1)
    related = [*strangers[: ENOUGH_CO_DESCENDANTS - 1], relative]
    report = onnxfp.verify(base, bundle, ancestors=[covered_other_path], co_descendants=related)
    assert max(one.n_matches for one in report.descent.co_descendants) > 0.95 * report.counts.n_asked
    assert (report.verdict, report.decision.descent) == (Verdict.INCONCLUSIVE, "possible")
    assert report.decision.reasons == ("descent",)
    # The null of unassociated models is another question, with the same answer as before.
    assert report.null == onnxfp.verify(base, bundle).null


def test_references_that_answer_alike_count_once(
    crafted: tuple[Path, Path], covered_other_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, bundle = crafted
    model = onnx.load(covered_other_path)
    model.doc_string = "another digest"
    copy = write(model, tmp_path / "copy.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(tensor), tensor.name))
    silent = write(model, tmp_path / "constant.onnx")
    report = onnxfp.verify(base, bundle, references=[covered_other_path, copy, silent])
    (counted,) = report.verifier_references
    by_reason = {one.same_as: one for one in report.excluded_references}
    assert set(by_reason) == {counted.digest, None}
    assert by_reason[counted.digest].n_matches == counted.n_matches
    assert by_reason[None].n_labels == 1
    assert report.null == onnxfp.verify(base, bundle, references=[covered_other_path]).null
    assert "it gave 1 classes" in caplog.text
    assert "it answers as" in caplog.text


def test_the_base_at_hand_is_checked(crafted: tuple[Path, Path], covered_other_path: Path) -> None:
    base, bundle = crafted
    report = onnxfp.verify(covered_other_path, bundle, base=base)
    assert report.base_check is not None
    assert (report.base_check.digest, report.base_check.n_matches) == (report.bundle.base_digest, report.counts.n_asked)
    assert report.decision == onnxfp.verify(covered_other_path, bundle).decision
    assert onnxfp.verify(covered_other_path, bundle).base_check is None
    with pytest.raises(ParameterError, match="is not the model that the bundle names as its base") as raised:
        onnxfp.verify(base, bundle, base=covered_other_path)
    assert raised.value.exit_code == 2


def contradict(fingerprint: Fingerprint, forge: Forge, digest: str) -> Fingerprint:
    """Return a well signed and well derived bundle that names a base which never gave its labels."""
    manifest = fingerprint.manifest
    named = replace(manifest, public_key=forge.public_key, base=replace(manifest.base, digest=digest))
    return forge.fingerprint(named)


def test_a_base_that_does_not_give_the_recorded_labels_is_refused(
    crafted: tuple[Path, Path], covered_other_path: Path, forge: Forge
) -> None:
    base, bundle = crafted
    digest = onnxfp.verify(covered_other_path, bundle).suspect.digest
    forged = contradict(onnxfp.load(bundle), forge, digest)
    for suspect, given in ((base, covered_other_path), (covered_other_path, None)):
        with pytest.raises(BaseContradictionError, match="is the model that the bundle names as its base") as raised:
            onnxfp.verify(suspect, forged, base=given)
        assert raised.value.exit_code == 5
        assert "no evidence" in raised.value.hint
    # Without the base nothing is contradicted.
    assert onnxfp.verify(base, forged).base_check is None


def test_the_p_value_counts_every_bundle_that_was_committed_to(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    alone = onnxfp.verify(base, bundle)
    assert alone.verdict is Verdict.MATCH
    digest = onnxfp.load(bundle).digest
    for n_bundles, factor in ((None, 1), (1, 1), (10, 10), (10**6, 10**6)):
        opening = tmp_path / f"{n_bundles}.json"
        make_commitment(digest, n_bundles).save(opening)
        evidence = onnxfp.TimeEvidence(commitment=opening)
        report = onnxfp.verify(base, bundle, time_evidence=evidence)
        assert report.commitment is not None
        assert report.commitment.n_bundles == n_bundles
        assert report.decision.p_value == pytest.approx(min(1.0, factor * alone.decision.p_value))
    assert report.verdict is not Verdict.MATCH


def test_a_number_of_bundles_out_of_range_is_refused() -> None:
    for n_bundles in (0, -1, 10**6 + 1):
        with pytest.raises(ParameterError, match="an owner commits to between 1 and"):
            make_commitment("sha256:" + "ab" * 32, n_bundles)


def test_an_input_chosen_value_by_value_is_no_match(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    model = onnx.load(base)
    (logits,) = model.graph.output
    model.graph.input.append(onnx.helper.make_tensor_value_info("tuned", onnx.TensorProto.FLOAT, [10]))
    model.graph.node.append(onnx.helper.make_node("Add", [logits.name, "tuned"], ["sum"]))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, ["N", 10]))
    path = write(model, tmp_path / "tuned.onnx")
    same, chosen = (
        onnxfp.verify(path, bundle, io=onnxfp.ModelIO(fixed={"tuned": np.array(values, np.float32)}))
        for values in ([0.0] * 10, [0.0] * 9 + [1e-6])
    )
    assert same.counts == chosen.counts
    assert same.verdict is Verdict.MATCH
    assert (chosen.verdict, chosen.decision.reasons) == (Verdict.INCONCLUSIVE, ("chosen input",))
    assert chosen.suspect.question is not None
    (fixed,) = chosen.suspect.question.fixed
    assert (fixed.name, fixed.n_values) == ("tuned", 2)
    assert chosen.decision.p_value == same.decision.p_value
