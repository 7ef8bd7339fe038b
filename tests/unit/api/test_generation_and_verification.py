"""The three calls, on small models."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from numpy.typing import NDArray
from onnx import TensorProto, helper

import onnxfp
from onnxfp import ModelIO, Policy, Verdict
from onnxfp.crafting.state import Progress
from onnxfp.errors import ContractError, FileError, KeyMismatchError, ParameterError
from onnxfp.files import write_file
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.report.verification import SCHEMA
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import TorchCopy
from onnxfp.torch_copy.parity import Parity, measure_parity
from onnxfp.types import Bounds, InputGrid, ModelInput
from tests.builders import build_model, declare, linear_classifier, write_model
from tests.conftest import TEST_KEY


def test_the_base_convicts_itself_and_not_a_stranger(crafted: tuple[Path, Path], covered_other_path: Path) -> None:
    base, bundle = crafted
    report = onnxfp.verify(base, bundle)
    assert report.match_rate == 1.0
    assert report.verdict is Verdict.MATCH
    assert report.suspect.digest == report.bundle.base_digest
    stranger = onnxfp.verify(covered_other_path, bundle)
    assert stranger.verdict is not Verdict.MATCH
    assert stranger.match_rate < 0.5


def test_a_report_is_a_versioned_record(crafted: tuple[Path, Path], covered_other_path: Path) -> None:
    base, bundle = crafted
    record = json.loads(onnxfp.verify(base, bundle, references=[covered_other_path]).to_json())
    assert record["schema"] == SCHEMA
    assert record["decision"]["verdict"] in ("MATCH", "INCONCLUSIVE")
    assert record["suspect"]["providers"] == ["CPUExecutionProvider"]
    assert record["margin"] == pytest.approx(1.0 - record["transferability"])
    assert len(record["verifier_references"]) == 1
    assert str(base.parent) not in json.dumps(record)


def test_references_are_recorded_and_a_folder_is_a_pool(
    covered_path: Path, tmp_path: Path, easy: RecipeOverrides, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    for seed in (3, 4):
        (pool / f"{seed}.onnx").write_bytes(
            make_classifier(seed=seed, n_classes=10, shape=(3, 16, 16)).SerializeToString()
        )
    fingerprint = onnxfp.generate(
        covered_path, n_examples=20, overrides=easy, references=[pool, pool / "3.onnx"], output=tmp_path / "a.fp.npz"
    )
    assert len(fingerprint.manifest.references) == 2
    report = onnxfp.verify(covered_path, fingerprint)
    assert [r.n_matches for r in report.owner_references] == [r.n_matches for r in fingerprint.manifest.references]


def test_the_base_is_no_reference_of_itself(covered_path: Path, easy: RecipeOverrides, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="the base model itself"):
        onnxfp.generate(covered_path, n_examples=20, overrides=easy, references=[covered_path])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileError, match=r"no \.onnx file"):
        onnxfp.generate(covered_path, references=[empty])


def test_an_avoided_model_matches_less(
    make_classifier: Callable[..., onnx.ModelProto], easy: RecipeOverrides, tmp_path: Path
) -> None:
    covered_path, covered_other_path = tmp_path / "base.onnx", tmp_path / "other.onnx"
    for path, seed in ((covered_path, 0), (covered_other_path, 9)):
        path.write_bytes(make_classifier(seed=seed).SerializeToString())
    # One key, so that luck is drawn once: a model that shares nothing gives 8 of 40 labels, less than 2 once in 680.
    key = tmp_path / "key.pem"
    write_file(key, TEST_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    plain, avoiding = (
        onnxfp.generate(covered_path, n_examples=40, overrides=easy, avoid=avoid, key=key)
        for avoid in ([], [covered_other_path])
    )
    before, after = (onnxfp.verify(covered_other_path, made).counts.n_matches for made in (plain, avoiding))
    # The base shares nothing with it, and can be told apart on every example.
    assert before >= 2
    assert after == 0
    assert onnxfp.verify(covered_path, avoiding).match_rate == 1.0
    assert not avoiding.manifest.references


@pytest.mark.parametrize("shape", [[3, 16, 16], [768]])
def test_a_linear_model_convicts_nobody_by_the_prior(
    tmp_path: Path, easy: RecipeOverrides, caplog: pytest.LogCaptureFixture, shape: list[int]
) -> None:
    """Another one that was trained on the same task matches nearly as often as a copy does."""
    rng = np.random.default_rng(0)

    def write(name: str, weight: NDArray[np.float32]) -> Path:
        x, y = declare("x", ["N", *shape]), declare("y", ["N", 10])
        nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
        return write_model(build_model(nodes, [x], [y], {"w": weight}), tmp_path / name)

    weight = rng.normal(size=(768, 10)).astype(np.float32)
    nearly = (weight + 0.01 * rng.normal(size=weight.shape)).astype(np.float32)
    base, twin = write("base.onnx", weight), write("twin.onnx", nearly)
    grid = InputGrid(Bounds(0.0, 1.0))
    fingerprint = onnxfp.generate(base, overrides=easy, io=ModelIO(grid=grid))
    assert "were never measured" in caplog.text
    for suspect in (base, twin):
        report = onnxfp.verify(suspect, fingerprint)
        assert report.match_rate > 0.95
        assert report.verdict is Verdict.INCONCLUSIVE
        assert "were never measured" in report.null.source


def with_head_before(model: onnx.ModelProto, path: Path) -> Path:
    """Write a classifier with another output of as many classes before its own."""
    (logits,) = model.graph.output
    aux = helper.make_tensor_value_info("aux", TensorProto.FLOAT, ["N", 5])
    model.graph.node.append(helper.make_node("Neg", [logits.name], ["aux"]))
    del model.graph.output[:]
    model.graph.output.extend([aux, logits])
    path.write_bytes(model.SerializeToString())
    return path


def test_models_are_asked_at_the_output_that_the_base_was(
    tmp_path: Path, easy: RecipeOverrides, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    base = with_head_before(make_classifier(seed=0), tmp_path / "base.onnx")
    model = onnx.load(base)
    model.producer_name = "another"
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(model.SerializeToString())
    fingerprint = onnxfp.generate(
        base,
        n_examples=20,
        overrides=easy,
        io=ModelIO(output_name="logits"),
        references=[copy],
        output=tmp_path / "base.fp.npz",
    )
    assert fingerprint.manifest.references[0].n_matches == 20
    report = onnxfp.verify(copy, fingerprint)
    assert report.suspect.output == "logits"
    assert report.match_rate == 1.0
    assert onnxfp.verify(copy, fingerprint, io=ModelIO(output_name="aux")).match_rate < 0.5
    evaluation = onnxfp.evaluate(base, fingerprint, references=[copy])
    (row,) = (row for row in evaluation.rows if row.role == "reference")
    assert row.outcome is not None
    assert row.outcome.match_rate == 1.0


def test_open_axes_and_other_inputs_of_references_are_those_of_the_base(tmp_path: Path, easy: RecipeOverrides) -> None:
    def write(name: str, weight: float) -> Path:
        x, t, y = declare("x", ["N", 3, "H", "W"]), declare("t", [1]), declare("y", ["N", 3])
        nodes = [
            helper.make_node("Mul", ["x", "t"], ["m"]),
            helper.make_node("GlobalAveragePool", ["m"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Mul", ["f", "w"], ["y"]),
        ]
        stored = {"w": np.array([1, weight, 1], np.float32)}
        return write_model(build_model(nodes, [x, t], [y], stored), tmp_path / name)

    base, other = write("base.onnx", 1.0), write("other.onnx", 1.01)
    io = ModelIO(input_name="x", fixed={"t": np.array([2.0], np.float32)})
    fingerprint = onnxfp.generate(
        base,
        n_examples=3,
        overrides=easy,
        references=[other],
        io=replace(io, input_shape=(3, 8, 8)),
    )
    assert len(fingerprint.manifest.references) == 1
    report = onnxfp.verify(base, fingerprint, references=[other], io=io)
    assert report.match_rate == 1.0
    assert len(report.verifier_references) == 1


def test_a_suspect_is_no_reference_for_itself(
    crafted: tuple[Path, Path], covered_other_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, bundle = crafted
    report = onnxfp.verify(covered_other_path, bundle, references=[covered_other_path])
    assert report.verifier_references == ()
    assert report.decision == onnxfp.verify(covered_other_path, bundle).decision
    assert "among the references" in caplog.text
    assert len(onnxfp.verify(base, bundle, references=[covered_other_path]).verifier_references) == 1


def test_the_copy_of_an_avoided_model_is_compared_with_onnxruntime(
    covered_path: Path, covered_other_path: Path, easy: RecipeOverrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def check(copy: TorchCopy, session: ModelSession, inputs: ModelInput) -> Parity:
        compared.append(session.model.path)
        return measure_parity(copy, session, inputs)

    monkeypatch.setattr("onnxfp.crafting.sources.check_parity", check)
    onnxfp.generate(
        covered_path, n_examples=2, overrides=replace(easy, n_steps=2, epsilon=0.9), avoid=[covered_other_path]
    )
    assert set(compared) == {covered_path, covered_other_path}


def test_a_graph_without_weights_says_that_there_was_no_noise(
    tmp_path: Path, easy: RecipeOverrides, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])]
    model = build_model(nodes, [declare("x", ["N", 3, 8, 8])], [declare("y", ["N", 3])])
    path = write_model(model, tmp_path / "mean.onnx")
    fingerprint = onnxfp.generate(path, n_examples=2, overrides=easy)
    assert "without" in caplog.text
    assert fingerprint.manifest.recipe.noise == 0.0
    assert fingerprint.manifest.recipe.kind == easy.kind
    assert onnxfp.verify(path, fingerprint).match_rate == 1.0


def test_what_cannot_be_avoided_is_found_before_the_work(
    covered_path: Path, covered_other_path: Path, tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    larger = tmp_path / "larger.onnx"
    larger.write_bytes(make_classifier(n_classes=10, shape=(3, 9, 9)).SerializeToString())
    with pytest.raises(ParameterError, match="the base model itself"):
        onnxfp.generate(covered_path, avoid=[covered_path])
    with pytest.raises(ParameterError, match="is to be avoided, and a reference"):
        onnxfp.generate(covered_path, avoid=[covered_other_path], references=[covered_other_path])
    with pytest.raises(ParameterError, match=r"larger\.onnx takes examples of shape \(3, 9, 9\)"):
        onnxfp.generate(covered_path, avoid=[larger])
    with pytest.raises(ParameterError, match="gradients"):
        onnxfp.generate(covered_path, avoid=[covered_other_path], overrides=RecipeOverrides(gradient="estimate"))


def test_a_reference_for_other_classes_is_found_before_the_work(
    covered_path: Path, tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    path = tmp_path / "six.onnx"
    path.write_bytes(make_classifier(n_classes=6).SerializeToString())
    seen: list[Progress] = []
    with pytest.raises(ContractError, match="10 classes"):
        onnxfp.generate(covered_path, references=[path], on_progress=seen.append)
    assert not seen


def test_the_default_key_is_made_once_and_said(
    covered_path: Path, easy: RecipeOverrides, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first = onnxfp.generate(covered_path, n_examples=1, overrides=easy)
    assert "made your default key pair" in caplog.text
    caplog.clear()
    second = onnxfp.generate(covered_path, n_examples=1, overrides=easy)
    assert "key pair" not in caplog.text
    assert first.manifest.public_key == second.manifest.public_key
    assert (first.levels == second.levels).all()


def test_a_pinned_key_is_demanded_of_loaded_fingerprints_too(crafted: tuple[Path, Path]) -> None:
    base, bundle = crafted
    fingerprint = onnxfp.load(bundle)
    report = onnxfp.verify(base, fingerprint, public_key=fingerprint.manifest.public_key)
    assert report.signer.is_pinned
    assert not onnxfp.verify(base, fingerprint).signer.is_pinned
    with pytest.raises(KeyMismatchError):
        onnxfp.verify(base, fingerprint, public_key="00" * 32)


def test_a_policy_can_demand_references(crafted: tuple[Path, Path], covered_other_path: Path) -> None:
    base, bundle = crafted
    policy = Policy(needs_references=True)
    assert onnxfp.verify(base, bundle, policy=policy).verdict is Verdict.INCONCLUSIVE
    assert onnxfp.verify(base, bundle, policy=policy, references=[covered_other_path]).verdict is Verdict.MATCH


def test_an_interrupted_run_goes_on_and_ends_the_same(
    covered_path: Path, tmp_path: Path, easy: RecipeOverrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxfp.runtime.session.ModelSession.batch_size", 8)
    whole = onnxfp.generate(covered_path, n_examples=24, overrides=easy)
    output = tmp_path / "a.fp.npz"

    def interrupt(progress: Progress) -> None:
        if progress.n_kept >= 8 and progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        onnxfp.generate(covered_path, output=output, n_examples=24, overrides=easy, on_progress=interrupt)
    assert [p.name for p in sorted(tmp_path.glob("a*"))] == ["a.fp.npz.partial"]
    starts: list[int] = []
    resumed = onnxfp.generate(
        covered_path, output=output, n_examples=24, overrides=easy, on_progress=lambda p: starts.append(p.n_kept)
    )
    assert starts[0] >= 7
    assert (resumed.levels == whole.levels).all()
    assert [p.name for p in sorted(tmp_path.glob("a*"))] == ["a.fp.npz"]


def test_an_existing_bundle_is_replaced_on_demand_only(
    covered_path: Path, tmp_path: Path, easy: RecipeOverrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxfp.runtime.session.ModelSession.batch_size", 8)
    output = tmp_path / "a.fp.npz"
    seen: list[Progress] = []

    def generate(*, overwrite: bool = False, on_progress: Callable[[Progress], None] = seen.append) -> None:
        onnxfp.generate(
            covered_path, output=output, overwrite=overwrite, n_examples=16, overrides=easy, on_progress=on_progress
        )

    def refused() -> None:
        with pytest.raises(FileError, match="exists already") as raised:
            generate()
        assert "--force" in raised.value.hint

    output.write_bytes(b"committed")
    refused()
    assert seen == []
    assert output.read_bytes() == b"committed"
    output.unlink()
    # A name that leads nowhere is taken too: what is written would lie elsewhere.
    output.symlink_to(tmp_path / "gone")
    refused()
    output.unlink()

    def come(progress: Progress) -> None:
        output.write_bytes(b"another's")

    with pytest.raises(FileError, match="exists already"):
        generate(on_progress=come)
    assert output.read_bytes() == b"another's"
    # Nothing that was crafted is lost: there is no step left to do.
    generate(overwrite=True)
    assert seen == []
    assert onnxfp.load(output).n_examples == 16
    assert [p.name for p in sorted(tmp_path.glob("a*"))] == ["a.fp.npz"]
    with pytest.raises(FileError, match="not a regular file"):
        onnxfp.generate(covered_path, output=tmp_path, overwrite=True)


def test_normalisation_outside_the_graph_keeps_the_box_of_the_real_image(
    covered_path: Path, easy: RecipeOverrides
) -> None:
    grid = InputGrid(Bounds(0, 255), mean=(120.0, 110.0, 100.0), std=(60.0, 61.0, 62.0))
    choices = RecipeOverrides(kind="c", epsilon=128, n_steps=20, step_size=12)
    fingerprint = onnxfp.generate(covered_path, n_examples=5, io=ModelIO(grid=grid), overrides=choices)
    assert fingerprint.levels.dtype.name == "uint8"
    assert fingerprint.manifest.recipe.epsilon_levels == 128
    low, high = fingerprint.model_input().min(), fingerprint.model_input().max()
    assert low >= -2.0
    assert high <= 155 / 60 + 1e-6


@pytest.mark.parametrize("n_examples", [0, -3, 10_001])
def test_no_examples_make_no_fingerprint_nor_more_than_a_bundle_holds(covered_path: Path, n_examples: int) -> None:
    with pytest.raises(ParameterError, match=f"between 1 and 10000; found {n_examples}"):
        onnxfp.generate(covered_path, n_examples=n_examples)


def test_features_need_bounds(tmp_path: Path) -> None:
    path = write_model(linear_classifier(np.random.default_rng(0).normal(size=(12, 4))), tmp_path / "features.onnx")
    with pytest.raises(ParameterError, match="no natural range") as raised:
        onnxfp.generate(path)
    assert "--bounds" in raised.value.hint
    fingerprint = onnxfp.generate(
        path,
        n_examples=8,
        io=ModelIO(grid=InputGrid(Bounds(-3, 3), 65536)),
        overrides=RecipeOverrides(epsilon=2.0, step_size=0.1),
    )
    assert fingerprint.levels.dtype.name == "uint16"
    assert onnxfp.verify(path, fingerprint).match_rate == 1.0


def test_labels_alone_cannot_be_fingerprinted(tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]) -> None:
    path = tmp_path / "labels.onnx"
    path.write_bytes(make_classifier(argmax=True).SerializeToString())
    with pytest.raises(ContractError, match="scores are needed"):
        onnxfp.generate(path)


def test_a_suspect_that_gives_labels_only_can_be_asked(
    crafted: tuple[Path, Path], tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto]
) -> None:
    path = tmp_path / "labels.onnx"
    labels_only = make_classifier(argmax=True, n_classes=10, shape=(3, 16, 16), pool="MaxPool")
    path.write_bytes(labels_only.SerializeToString())
    assert onnxfp.verify(path, crafted[1]).match_rate == 1.0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        onnxfp.nothing_of_the_kind  # noqa: B018
    assert {"generate", "verify", "load"} <= set(dir(onnxfp))


def test_a_model_that_cannot_be_converted_is_fingerprinted_by_queries(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxfp.errors import ConversionError
    from onnxfp.torch_copy.operators import registry

    path = tmp_path / "odd.onnx"
    path.write_bytes(make_classifier().SerializeToString())
    monkeypatch.delitem(registry._TABLE, ("", "AveragePool"))
    with pytest.raises(ConversionError, match="AveragePool") as raised:
        onnxfp.generate(path)
    assert "--gradient estimate" in raised.value.hint
    assert "AveragePool" in onnxfp.check(path).problem
    choices = RecipeOverrides(gradient="estimate", epsilon=0.5, step_size=0.05, n_steps=20)
    fingerprint = onnxfp.generate(path, n_examples=4, overrides=choices)
    assert fingerprint.manifest.recipe.kind == "c"
    assert fingerprint.manifest.copy_parity is None
    assert onnxfp.verify(path, fingerprint).match_rate == 1.0
    with pytest.raises(ParameterError, match="queries"):
        onnxfp.generate(path, overrides=RecipeOverrides(kind="rc", gradient="estimate"))


def test_check_says_what_was_found(covered_path: Path) -> None:
    found = onnxfp.check(covered_path)
    assert not found.problem
    assert {use.op_type for use in found.operators} == {"Conv", "Relu", "MaxPool", "Flatten", "Gemm"}
    assert found.parity is not None
    assert found.parity.max_rel_difference < 1e-5
    assert found.gradient_error is not None
    assert found.gradient_error < 0.2
