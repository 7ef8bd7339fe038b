"""Workers: without secrets, in a folder of their own, and gone with everything they started."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from onnxfp.runtime import launch
from onnxfp.runtime.ipc import MessageError
from onnxfp.runtime.launch import WorkerProcess, choose_model_worker, start_ahead, take_worker

# Answers each request with what it sees around it.
REPORTING = """
import os
from onnxfp.runtime.ipc import read_message, write_message
from onnxfp.runtime.launch import take_own_streams
requests, answers = take_own_streams()
print("lost")
while True:
    head, _ = read_message(requests)
    if head.get("leave"):
        os._exit(7)
    if head.get("garbage"):
        answers.write(b"\\xff" * 8)
        answers.flush()
    elif not head.get("silent"):
        write_message(answers, {"environment": dict(os.environ), "folder": os.getcwd(), "group": os.getpgrp()})
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    (tmp_path / "reporting.py").write_text(REPORTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SOME_TOKEN", "secret")
    return take_worker("reporting")


def test_a_worker_sees_no_secrets_and_an_empty_folder(worker: WorkerProcess) -> None:
    said, values = worker.ask({})
    assert values == []
    assert "secret" not in said["environment"].values()
    assert Path(said["folder"]).resolve() == Path(worker.folder.name).resolve()
    assert list(Path(worker.folder.name).iterdir()) == []
    assert said["environment"]["HOME"] == said["environment"]["TMPDIR"] == worker.folder.name
    assert said["group"] == worker.process.pid != os.getpgrp()
    worker.end()
    assert worker.process.returncode == -signal.SIGKILL
    assert not Path(worker.folder.name).exists()
    worker.end()


def test_its_end_is_told_apart_from_its_silence(worker: WorkerProcess) -> None:
    assert worker.ask({})[0]
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        worker.ask({"silent": True}, max_seconds=0.5)
    assert time.monotonic() - began < 20
    assert worker.wait(0.1) is None
    worker.end()
    assert worker.wait(0.1) == -signal.SIGKILL


def test_an_exit_is_the_end_of_the_pipe(worker: WorkerProcess) -> None:
    with pytest.raises(EOFError):
        worker.ask({"leave": True})
    assert worker.wait(10) == 7
    worker.end()


def test_what_is_no_message_is_an_error(worker: WorkerProcess) -> None:
    with pytest.raises(MessageError):
        worker.ask({"garbage": True})
    worker.end()


def test_one_that_was_started_ahead_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []

    def start(module: str, words: tuple[str, ...]) -> object:
        started.append((module, *words))
        return object()

    monkeypatch.setattr(launch, "_start", start)
    monkeypatch.setattr(launch, "_waiting", {})
    monkeypatch.setattr("atexit.register", lambda end: None)
    start_ahead("a.module", "word")
    start_ahead("a.module", "word")
    assert started == [("a.module", "word")]
    other = take_worker("another.module", "word")
    ahead = take_worker("a.module", "word")
    assert started == [("a.module", "word"), ("another.module", "word")]
    assert take_worker("a.module", "word") not in (ahead, other)


@pytest.mark.skipif(sys.platform == "win32", reason="a driver may be anywhere there")
def test_a_model_is_confined_where_no_driver_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    module, *words = choose_model_worker("cpu")
    assert (module, words) == ("onnxfp.runtime.worker", ["confined"])
    monkeypatch.setattr(launch, "_may_have_gpu", lambda: True)
    assert choose_model_worker("cpu") == (module, "confined")
    assert choose_model_worker("auto") == choose_model_worker("cuda") == (module,)
    monkeypatch.setattr(launch, "_may_have_gpu", lambda: False)
    assert choose_model_worker("auto") == (module, "confined")
