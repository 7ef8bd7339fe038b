"""``onnxfp evaluate`` from one end to the other, as its user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import onnxfp as package
from onnxfp import Evaluation, Execution, Limits, ModelIO, OnnxfpError
from onnxfp.api.evaluation import EvaluationProgress
from onnxfp.bundle.fingerprint import Fingerprint
from onnxfp.cli.outputs import check_outputs
from onnxfp.errors import ExecutionError, ParameterError
from onnxfp.evaluation import pool as pool_module
from onnxfp.evaluation import task_runner as runner_module
from onnxfp.evaluation.pool import Setup, run_tasks
from onnxfp.evaluation.task import Observation, Task
from onnxfp.evaluation.task_runner import TaskRunner
from onnxfp.evaluation.user_data import Data, read_data
from onnxfp.evidence.verdict import Counts
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.types import Bounds, InputGrid
from onnxfp.variants.catalogue import list_input_transforms, list_variants
from tests.builders import build_model, declare

Run = Callable[..., Any]
Maker = Callable[..., onnx.ModelProto]


def count(seen: Observation) -> Counts:
    assert seen.counts is not None, seen.error
    return seen.counts


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: the tensors are so small that more only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folders(crafted: tuple[Path, Path], make_classifier: Maker, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Base and bundle in a folder of the test's own, and a folder of two unassociated models."""
    base, bundle = (Path(shutil.copy(path, tmp_path)) for path in crafted)
    references = tmp_path / "references"
    references.mkdir()
    for seed in (8, 9):
        (references / f"other{seed}.onnx").write_bytes(
            make_classifier(seed=seed, n_classes=10, shape=(3, 16, 16), pool="MaxPool").SerializeToString()
        )
    return base, bundle, references


def test_the_quick_suite_as_a_user_runs_it(onnxfp: Run, folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, bundle, references = folders
    own = tmp_path / "copy.onnx"
    model = onnx.load(base)
    model.producer_name = "somebody"
    own.write_bytes(model.SerializeToString())
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", images=images)
    words = ("evaluate", base, bundle, "--reference", references, "--variant", own, "--data", tmp_path / "data.npz")
    done = onnxfp(*words, "--json", tmp_path / "out.json", "--no-isolation", "--jobs", 2)
    assert (done.code, done.err) == (0, ""), done.err
    for text in ("quick suite", "prune-global-0.2", "unassociated models", "other8", "summary", "uniqueness score"):
        # A long path makes a line break where it likes.
        assert text in " ".join(done.out.split())
    assert not list(tmp_path.glob("*.partial"))
    # The next run may replace it.
    check_outputs({"--json": tmp_path / "out.json"}, ())
    evaluation = Evaluation.from_json((tmp_path / "out.json").read_text())
    rows = {row.name: row for row in evaluation.rows}
    expected = [v.name for v in list_variants("quick", has_labels=False)] + [
        q.name for q in list_input_transforms("quick")
    ]
    assert list(rows) == [*expected, "copy", "other8", "other9"]
    assert evaluation.usefulness.source == "data"
    # One hidden layer of 16 channels: a twentieth of them is less than one, and there is nothing to zero.
    assert {row.name: row.error for row in evaluation.failed} == {
        "drop-channels-0.05": "no hidden layer has channels enough to prune 5% of them"
    }
    for name in ("copy", "launder-renamed", "launder-fused", "query-8-bits"):
        outcome = rows[name].outcome
        assert outcome is not None
        assert (outcome.match_rate, outcome.usefulness) == (1.0, 1.0), name
    assert evaluation.summary.n_references == 2
    assert evaluation.summary.transferability is not None
    assert evaluation.summary.transferability.value < 0.6
    # What verify says with the same references is what the table says.
    report = package.verify(own, bundle, references=[references])
    copy = rows["copy"].outcome
    assert copy is not None
    assert (copy.p_value, copy.verdict) == (report.decision.p_value, report.verdict)
    # A reference is judged by the others.
    report = package.verify(references / "other8.onnx", bundle, references=[references / "other9.onnx"])
    other = rows["other8"].outcome
    assert other is not None
    assert (other.p_value, other.verdict) == (report.decision.p_value, report.verdict)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(folders: tuple[Path, Path, Path]) -> None:
    base, bundle, references = folders
    asked: list[str] = []

    def stop_after(n: int) -> Callable[[EvaluationProgress], None]:
        def on_progress(progress: EvaluationProgress) -> None:
            asked.append(progress.name)
            if progress.n_done >= n:
                raise KeyboardInterrupt

        return on_progress

    execution = Execution(limits=None)
    arguments: dict[str, Any] = {"references": [references], "execution": execution, "jobs": 1}
    with pytest.raises(KeyboardInterrupt):
        package.evaluate(base, bundle, on_progress=stop_after(6), **arguments)
    partial = bundle.with_name(bundle.name + ".evaluation.partial")
    kept = json.loads(partial.read_text())["observations"]
    assert len(kept) == 6
    first = [name for name in asked if name]
    asked.clear()
    seen: list[EvaluationProgress] = []
    evaluation = package.evaluate(base, bundle, on_progress=seen.append, **arguments)
    assert seen[0].n_done == 6
    assert not set(first) & {progress.name for progress in seen}
    assert seen[-1].n_done == seen[-1].n_total == len(evaluation.rows) + 1
    assert not partial.exists()
    assert evaluation.usefulness.source == "noise"


def test_ctrl_c_leaves_no_process_behind_and_says_so(
    folders: tuple[Path, Path, Path], interruptible: list[str]
) -> None:
    base, bundle, _ = folders
    command = [*interruptible, "evaluate", str(base), str(bundle), "--jobs", "2"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    partial = bundle.with_name(bundle.name + ".evaluation.partial")
    deadline = time.monotonic() + 60
    while not partial.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    others = (
        [p for t in Path(f"/proc/{child.pid}/task").iterdir() for p in (t / "children").read_text().split()]
        if children.exists()
        else []
    )
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, ""), err
    assert err.strip().endswith("interrupted")
    assert partial.exists()
    for process in others:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)


def test_a_process_that_dies_costs_one_row(
    folders: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, bundle, _ = folders
    start, started = pool_module._Slot._start, list[Any]()

    def start_and_kill_the_first(self: Any) -> Any:
        worker = start(self)
        started.append(worker)
        if len(started) == 1:
            worker.process.kill()
        return worker

    monkeypatch.setattr(pool_module._Slot, "_start", start_and_kill_the_first)
    tasks = [Task("base", "base", "base"), Task("a", "variant", "float16"), Task("b", "query", "query-jpeg-90")]
    found = {task.key: seen for task, seen in run_tasks(Setup(base, bundle, "quick"), tasks, 1)}
    assert "was ended by signal 9" in found["base"].error
    assert found["a"].error == found["b"].error == ""
    assert count(found["a"]).n_matches > 150
    assert len(started) == 2
    assert all(worker.process.returncode is not None for worker in started)


def test_what_goes_wrong_with_one_model_is_its_row(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, bundle, references = folders
    (references / "damaged.onnx").write_bytes(onnx.load(base).SerializeToString()[:-2000])
    wrong = onnx.load(references / "other8.onnx")
    wrong.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 24
    runner = TaskRunner(base, package.load(bundle), "quick")
    seen = runner.run(Task("x", "variant", "no such variant"))
    assert "no such variant" in seen.error
    (tmp_path / "wrong.onnx").write_bytes(wrong.SerializeToString())
    assert runner.run(Task("x", "file", str(tmp_path / "wrong.onnx"))).error
    with pytest.raises(OnnxfpError):
        package.evaluate(base, bundle, references=[references / "damaged.onnx"])


def test_labelled_data_train_variants_that_the_standard_suite_lists(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    base, bundle, _ = folders
    fingerprint = package.load(bundle)
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "data.npz",
        images=rng.integers(0, 256, (100, 3, 16, 16)).astype(np.uint8),
        labels=rng.integers(0, 10, 100),
    )
    data = read_data(tmp_path / "data.npz", fingerprint.manifest.base, fingerprint.manifest.grid)
    runner = TaskRunner(base, fingerprint, "standard", data=data)
    trained = [v.name for v in list_variants("standard", has_labels=True) if v.needs_labels]
    assert {"ftll-2", "ftal-2", "rtll-2", "rtal-2", "adversarial-1"} < set(trained)
    digests = set()
    for name in trained:
        seen = runner.run(Task(name, "variant", name))
        assert seen.error == "", name
        assert count(seen).n_answered == fingerprint.n_examples
        digests.add(seen.digest)
    assert len(digests) == len(trained)
    assert runner.run(Task("x", "variant", "ftal-10")).error


def tabular() -> onnx.ModelProto:
    """A classifier of 20 features with a temperature as its second input."""
    rng = np.random.default_rng(0)

    def stored(name: str, *dims: int) -> onnx.TensorProto:
        return numpy_helper.from_array((rng.normal(size=dims) / np.sqrt(dims[0])).astype(np.float32), name)

    nodes = [
        helper.make_node("Gemm", ["x", "a", "ab"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "b"], ["y0"]),
        helper.make_node("Mul", ["y0", "t"], ["y"]),
    ]
    tensors = [stored("a", 20, 64), stored("ab", 64), stored("b", 64, 4)]
    return build_model(nodes, [declare("x", ["N", 20]), declare("t", [1])], [declare("y", ["N", 4])], tensors)


@pytest.mark.parametrize("form", ["fixed batch, probabilities", "float16", "features and a second input"])
def test_models_of_other_forms(form: str, make_classifier: Maker, easy: RecipeOverrides, tmp_path: Path) -> None:
    forms: dict[str, tuple[onnx.ModelProto, dict[str, Any]]] = {
        "fixed batch, probabilities": (make_classifier(batch=2, softmax=True), {"overrides": easy}),
        "float16": (make_classifier(element=onnx.TensorProto.FLOAT16), {"overrides": easy}),
        "features and a second input": (
            tabular(),
            {
                "overrides": RecipeOverrides(kind="rc", epsilon=0.4, n_steps=30, step_size=0.1, noise=0.01),
                "io": ModelIO(grid=InputGrid(Bounds(-3, 3), 65536), fixed={"t": 5.0}),
            },
        ),
    }
    model, arguments = forms[form]
    base = tmp_path / "base.onnx"
    base.write_bytes(model.SerializeToString())
    fingerprint = package.generate(base, n_examples=20, execution=Execution(limits=None), **arguments)
    fixed = arguments.get("io", ModelIO()).fixed
    grid, rng = fingerprint.manifest.grid, np.random.default_rng(0)
    levels = rng.integers(0, grid.n_levels, (120, *fingerprint.manifest.base.input.shape)).astype(grid.dtype)
    data = Data(levels, rng.integers(0, 4, 120), "sha256:" + "ab" * 32)  # type: ignore[arg-type]
    runner = TaskRunner(base, fingerprint, "standard", data=data, fixed=fixed)
    for name in ("launder-all", "launder-folded", "float16", "int8-static", "int8-dynamic", "weight-bits-tensor-6"):
        seen = runner.run(Task(name, "variant", name))
        assert seen.error == "", name
        assert count(seen).n_matches >= 17, name
    for name in ("rtal-2", "prune-adaptive-0.3"):
        seen = runner.run(Task(name, "variant", name))
        assert (seen.error, count(seen).n_answered) == ("", 20), name
    without = TaskRunner(base, fingerprint, "quick", fixed=fixed)
    assert without.run(Task("base", "base", "base")).usefulness == 1.0
    assert without.run(Task("x", "variant", "int8-static")).error == ""


def test_variants_of_a_trained_model_are_what_they_claim(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CIFAR-10 base: what keeps the function matches throughout, an unassociated model does not."""
    monkeypatch.setitem(runner_module.N_USEFULNESS, "quick", 60)
    fingerprint: Fingerprint = package.load(models.parent / "tests" / "golden" / "base-1.fp.npz")
    runner = TaskRunner(models / "base.onnx", fingerprint, "quick")
    n = fingerprint.n_examples
    for name in ("launder-all", "float16", "int8-static", "prune-adaptive-0.2"):
        seen = runner.run(Task(name, "variant", name))
        assert seen.error == ""
        assert count(seen).n_matches >= 0.9 * n, name
        assert seen.usefulness >= (1.0 if name == "launder-all" else 0.8), name
    ruined = runner.run(Task("x", "variant", "prune-global-0.8"))
    assert count(ruined).n_matches < 0.5 * n
    other = runner.run(Task("x", "file", str(models / "independent" / "resnet.onnx")))
    assert count(other).n_matches < 0.6 * n
    assert other.n_top5 is not None
    assert other.n_top5 >= count(other).n_matches


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--jobs", 0), 2, "--jobs"),
        (("--suite", "huge"), 2, "huge"),
        (("--reference", "missing.onnx"), 7, "missing.onnx does not exist"),
        (("--data", "missing.npz"), 7, "missing.npz does not exist"),
        (("--json", "missing/out.json"), 7, "the folder of missing/out.json does not exist"),
        (("--no-isolation", "--max-memory", 1), 2, "leave out --no-isolation"),
        (("--public-key", "ab" * 32), 5, "key"),
    ],
)
def test_wrong_usage_is_said_before_the_long_work(
    onnxfp: Run, folders: tuple[Path, Path, Path], words: tuple[object, ...], code: int, complaint: str
) -> None:
    base, bundle, _ = folders
    done = onnxfp("evaluate", base, bundle, *words)
    assert (done.code, done.out) == (code, "")
    assert complaint in done.err


def test_models_that_do_not_belong_are_refused(folders: tuple[Path, Path, Path]) -> None:
    base, bundle, references = folders
    other = references / "other8.onnx"
    with pytest.raises(ParameterError, match="is not the model that the fingerprint was made of"):
        package.evaluate(other, bundle)
    with pytest.raises(ParameterError, match="is the base model itself"):
        package.evaluate(base, bundle, references=[base])
    with pytest.raises(ParameterError, match="both as a variant and as a reference"):
        package.evaluate(base, bundle, references=[other], variants=[other])
    with pytest.raises(ParameterError, match="no suite"):
        package.evaluate(base, bundle, suite="huge")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="at least one process"):
        package.evaluate(base, bundle, jobs=0)


def test_a_base_that_cannot_be_asked_ends_the_evaluation_at_once(folders: tuple[Path, Path, Path]) -> None:
    base, bundle, _ = folders
    seen: list[EvaluationProgress] = []
    with pytest.raises(ExecutionError, match="the base could not be asked"):
        package.evaluate(
            base, bundle, execution=Execution(limits=Limits(memory_bytes=2**20)), jobs=1, on_progress=seen.append
        )
    assert [progress.n_done for progress in seen] == [0]


def test_the_top_five_are_counted_as_in_a_verification(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runner_module.N_USEFULNESS, "quick", 1)
    golden, other = models.parent / "tests" / "golden" / "base-1.fp.npz", models / "independent" / "vgg_seed2.onnx"
    seen = TaskRunner(models / "base.onnx", package.load(golden), "quick").run(Task("x", "file", str(other)))
    assert [(grade.k, grade.n_within) for grade in package.verify(other, golden).top_k] == [(5, seen.n_top5)]


def test_five_classes_have_no_top_five(base_path: Path, make_classifier: Maker, easy: RecipeOverrides) -> None:
    base_path.write_bytes(make_classifier(n_classes=5).SerializeToString())
    fingerprint = package.generate(base_path, n_examples=2, overrides=easy)
    seen = TaskRunner(base_path, fingerprint, "quick").run(Task("base", "base", "base"))
    assert (seen.error, seen.n_top5) == ("", None)
