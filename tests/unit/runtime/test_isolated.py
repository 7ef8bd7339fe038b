"""Models in a process of their own: the same answers, and errors that name what became of the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxfp import Execution
from onnxfp.errors import ModelFormatError, ParameterError, ProviderError, SuspectError
from onnxfp.execution import MAX_MEMORY_BYTES, MAX_SECONDS, Limits
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime import launch
from onnxfp.runtime.isolated import IsolatedRuntime
from onnxfp.runtime.local import NoCudaError, RefusedError
from onnxfp.runtime.session import ModelSession

LIMITS = Limits()


def open_isolated(model: onnx.ModelProto, limits: Limits = LIMITS) -> IsolatedRuntime:
    content = model.SerializeToString()
    return IsolatedRuntime(content, "cpu", optimise=True, n_bytes=len(content), limits=limits)


def test_a_worker_answers_what_this_process_answers(base_path: Path) -> None:
    file = read_onnx(base_path)
    inputs = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    here, there = ModelSession(file), ModelSession(file, execution=Execution(limits=LIMITS))
    assert (here.input, here.output, here.providers) == (there.input, there.output, there.providers)
    assert (here.answer(inputs).labels == there.answer(inputs).labels).all()
    scores = here.answer(inputs).scores, there.answer(inputs).scores
    assert scores[0] is not None
    assert scores[1] is not None
    assert (scores[0] == scores[1]).all()
    assert here.holds == ()
    assert there.holds[:2] == ("process", "time")


@pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")
def test_the_limits_of_a_worker_are_hard_ones(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    """Whoever takes the worker over could raise soft ones."""
    runtime = open_isolated(make_classifier())
    lines = Path(f"/proc/{runtime._worker.process.pid}/limits").read_text().splitlines()
    # Name, soft, hard, unit.
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    for name in ("Max core file size", "Max file size"):
        assert limits[name] == ["0", "0"]
    if "memory" in runtime.holds:
        for name in ("Max data size", "Max address space"):
            assert limits[name][0] == limits[name][1] != "unlimited"


def test_external_data_are_found_from_another_folder(
    make_classifier: Callable[..., onnx.ModelProto], base_path: Path, tmp_path: Path
) -> None:
    onnx.save(make_classifier(), tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    session = ModelSession(read_onnx(tmp_path / "m.onnx"), execution=Execution(limits=LIMITS))
    assert session.output.n_classes == 5
    # The network is given up all the same.
    assert ("network" in session.holds) == (
        "network" in ModelSession(read_onnx(base_path), execution=Execution(limits=LIMITS)).holds
    )


def test_a_refusal_of_onnxruntime_keeps_its_reason(base_path: Path, tmp_path: Path) -> None:
    model = onnx.load(base_path)
    model.graph.node[0].input[1] = "nowhere"
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFormatError, match="nowhere"):
        ModelSession(read_onnx(broken), execution=Execution(limits=LIMITS))


def test_a_run_that_fails_is_an_error_and_the_worker_goes_on(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    runtime = open_isolated(make_classifier())
    with pytest.raises(RefusedError):
        runtime.run(["logits"], {"image": np.zeros((1, 3, 9, 9), np.float32)})
    assert runtime.run(["logits"], {"image": np.zeros((1, 3, 8, 8), np.float32)})[0].shape == (1, 5)


def test_cuda_that_is_demanded_and_missing_is_said(base_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(ProviderError, match="CUDA was demanded"):
        ModelSession(read_onnx(base_path), execution=Execution("cuda", LIMITS))
    with pytest.raises(NoCudaError):
        IsolatedRuntime(base_path.read_bytes(), "cuda", optimise=True, n_bytes=1, limits=LIMITS)


def test_a_worker_is_ended_and_its_folder_removed(make_classifier: Callable[..., onnx.ModelProto]) -> None:
    runtime = open_isolated(make_classifier())
    process = runtime._worker.process
    folder = Path(f"/proc/{process.pid}/cwd").resolve() if sys.platform == "linux" else None
    del runtime
    assert process.returncode is not None
    assert folder is None or not folder.exists()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_is_named_and_final(make_classifier: Callable[..., onnx.ModelProto], name: str) -> None:
    runtime = open_isolated(make_classifier())
    os.kill(runtime._worker.process.pid, signal.Signals[name])
    feeds = {"image": np.zeros((1, 3, 8, 8), np.float32)}
    with pytest.raises(RefusedError, match=f"running it crashed onnxruntime \\({name}"):
        runtime.run(["logits"], feeds)
    with pytest.raises(RefusedError, match="has ended"):
        runtime.run(["logits"], feeds)


def test_a_suspect_whose_process_crashes_is_an_error_of_the_suspect(base_path: Path) -> None:
    session = ModelSession(read_onnx(base_path), execution=Execution(limits=LIMITS))
    runtime = session._runtime
    assert isinstance(runtime, IsolatedRuntime)
    os.kill(runtime._worker.process.pid, signal.SIGABRT)
    with pytest.raises(SuspectError, match=r"SIGABRT; .* GiB of memory are allowed"):
        session.answer(np.zeros((1, 3, 8, 8), np.float32))


def test_the_worker_sees_no_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXFP_PASSPHRASE", "secret")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    assert "secret" not in launch._environment("/x").values()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_the_worker_can_write_no_file(tmp_path: Path) -> None:
    code = """if True:
        import signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from onnxfp.runtime.worker import _restrict
        _restrict({"memory_bytes": 0, "cpu_seconds": 100})
        try:
            with open(sys.argv[1], "wb") as file:
                file.write(b"x")
        except OSError as error:
            print(error.strerror)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "File too large\n"


@pytest.mark.parametrize(
    ("memory", "seconds", "name"),
    [
        (0, 1.0, "memory_bytes"),
        (-1, 1.0, "memory_bytes"),
        (float("nan"), 1.0, "memory_bytes"),
        (float("inf"), 1.0, "memory_bytes"),
        (MAX_MEMORY_BYTES + 1, 1.0, "memory_bytes"),
        (1, 0.0, "seconds"),
        (1, float("nan"), "seconds"),
        (1, float("inf"), "seconds"),
        (1, 1e300, "seconds"),
    ],
)
def test_impossible_limits_are_refused(memory: Any, seconds: float, name: str) -> None:
    with pytest.raises(ParameterError, match=f"{name} must lie in"):
        Limits(memory, seconds)


def test_the_largest_limits_hold_nothing_back(base_path: Path) -> None:
    limits = Limits(MAX_MEMORY_BYTES, MAX_SECONDS)
    session = ModelSession(read_onnx(base_path), execution=Execution("cpu", limits))
    assert session.answer(np.zeros((1, 3, 8, 8), np.float32)).labels.shape == (1,)
