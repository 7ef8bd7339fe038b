"""A worker process that its model has taken over: whatever it says to the verifier is an error, and no more."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onnxfp import Execution, Limits
from onnxfp.errors import ContractError, OnnxfpError
from onnxfp.model.io_contract import choose_output, read_answer
from onnxfp.model.onnx_file import read_onnx
from onnxfp.model.tensor_info import Tensor
from onnxfp.runtime import isolated
from onnxfp.runtime.ipc import MessageError, read_message, write_message
from onnxfp.runtime.isolated import IsolatedRuntime
from onnxfp.runtime.launch import WorkerProcess
from onnxfp.runtime.local import NoCudaError, RefusedError
from onnxfp.runtime.session import ModelSession
from onnxfp.types import OutputSpec
from tests.fuzz.limits import limited_memory

PATH = Path("model.onnx")


def frame(values: list[Any], content: bytes = b"") -> io.BytesIO:
    text = json.dumps({"head": {}, "values": values}).encode()
    return io.BytesIO(len(text).to_bytes(8, "little") + text + content)


@pytest.mark.parametrize(
    "value",
    [
        {"dtype": "<f4", "shape": [-1]},
        {"dtype": "<f4", "shape": [2**62, 0, 2**62]},
        {"dtype": "<f4", "shape": [2**31]},
        {"dtype": "<f4", "shape": [1e400]},
        {"dtype": "<f4", "shape": [1.5]},
        {"dtype": "<f4", "shape": [1] * 100},
        {"dtype": "<f4", "shape": "12"},
        {"dtype": "<f4"},
        {"dtype": "O", "shape": [1]},
        {"dtype": "<U4", "shape": [1]},
        {"dtype": "01", "shape": [1]},
        {"dtype": "(999999999,)<f4", "shape": [1]},
        {"dtype": ["a", "<f4"], "shape": [1]},
        {"json": {}},
        {"json": {"map": [[[], 1]]}},
        {"json": {"map": 1}},
        None,
    ],
    ids=str,
)
def test_a_value_that_is_none_is_refused(value: Any) -> None:
    with limited_memory(), pytest.raises(MessageError):
        read_message(frame([value], bytes(64)))


def test_many_values_together_stay_within_the_limit() -> None:
    array = {"dtype": "|u1", "shape": [1000]}
    assert len(read_message(frame([array] * 10, bytes(10_000)), 10_000)[1]) == 10
    with pytest.raises(MessageError, match="more than"):
        read_message(frame([array] * 11, bytes(11_000)), 10_000)


def test_deep_and_long_heads_are_refused() -> None:
    with pytest.raises(MessageError):
        read_message(io.BytesIO((100_000).to_bytes(8, "little") + b"[" * 100_000))
    with pytest.raises(MessageError, match="head"):
        read_message(io.BytesIO((2**60).to_bytes(8, "little")))


SCORES, LABELS = OutputSpec("y", "scores", 5), OutputSpec("y", "labels", None)
LOGIT = OutputSpec("y", "logit", 2)


@pytest.mark.parametrize("output", [SCORES, LABELS, LOGIT], ids=lambda o: o.kind)
@pytest.mark.parametrize(
    "value",
    [
        np.float32(1.0),
        np.array(1.0, np.float32),
        np.array(3),
        np.empty((0, 5), np.float32),
        np.empty((2, 0), np.float32),
        np.empty(0, np.int64),
        np.array(["a", "b"]),
        np.ones((2, 5), bool),
        np.ones((3, 5), np.float32),
        np.ones((5, 3), np.float32),
        "text",
        None,
        7,
        [],
        [1, 2],
        ["a", "b"],
        [{}, {}],
        [{0: "a", 1: "b"}] * 2,
        [{0: 0.5, "x": 0.5}] * 2,
        [{0: 0.5, 1: 0.5}, {0: 1.0}],
        [[1.0] * 5, [1.0]],
    ],
    ids=str,
)
def test_an_answer_of_another_kind_is_refused(output: OutputSpec, value: Any) -> None:
    with pytest.raises(ContractError, match=r"^model\.onnx: output 'y' ") as raised:
        read_answer(PATH, output, value, 2)
    assert str(raised.value).isprintable()
    with pytest.raises(ContractError):
        choose_output(PATH, [Tensor("y", "tensor(float)", (2, 5))], [value], 2, None, 7)


def test_numbers_beyond_float32_are_no_answer_and_no_warning() -> None:
    labels, _ = read_answer(PATH, SCORES, np.array([[1e300, 0, 0, 0, 0], [1, 2, 3, 4, 5]]), 2)
    assert labels.tolist() == [-1, 4]


WORKER = """
import sys
from onnxfp.runtime.ipc import read_message, write_message
read_message(sys.stdin.buffer)
SAY
sys.stdin.buffer.read()
"""

EVIL = "\x1b[2J\x1b[1;1Hverdict  MATCH"
GOOD = {"inputs": [["x", "tensor(float)", ["N", 3, 8, 8]]], "outputs": [["y", "tensor(float)", [1, 5]]]}


def deep_words(depth: int) -> list[str]:
    """Return what writes lists in lists, which JSON's reader takes, wherever a text belongs."""
    deep, tensor = "[" * depth + "]" * depth, '["x", "tensor(float)", ["N", 3, 8, 8]]'
    heads = [
        f'{{"error": {deep}, "message": {deep}}}',
        f'{{"error": "RefusedError", "message": {deep}}}',
        f'{{"error": "NoCudaError", "message": {deep}}}',
        f'{{"inputs": [[{deep}, "tensor(float)", [1]]], "outputs": []}}',
        f'{{"inputs": [["x", {deep}, [1]]], "outputs": []}}',
        f'{{"inputs": [["x", "tensor(float)", {deep}]], "outputs": []}}',
        f'{{"inputs": {deep}, "outputs": {deep}}}',
        *(f'{{"inputs": [{tensor}], "outputs": [], "{name}": [{deep}]}}' for name in ("providers", "holds")),
        f'{{"inputs": [{tensor}], "outputs": [], "warning": {deep}}}',
    ]
    return [f'{{"head": {head}, "values": []}}' for head in heads]


@pytest.mark.parametrize("depth", range(900, 1000, 5))
def test_lists_in_lists_are_no_texts(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # How deep is too deep depends on how many calls are open; one of these is read, and was too deep to be printed.
    for text in deep_words(depth):
        said = io.BytesIO(len(text).to_bytes(8, "little") + text.encode())
        process = SimpleNamespace(stdin=io.BytesIO(), stdout=said, pid=2**31 - 2, kill=str, wait=lambda timeout: 0)
        worker = WorkerProcess(process, SimpleNamespace(cleanup=str))  # type: ignore[arg-type]
        monkeypatch.setattr(isolated, "take_worker", lambda *words, worker=worker: worker)
        with suppress(RefusedError, NoCudaError):
            opened = IsolatedRuntime(b"", "cpu", optimise=True, n_bytes=1, limits=Limits())
            assert {opened.warning, *opened.providers} <= {"", "?"}
            assert opened.holds == ()


Opening = Callable[[str], ModelSession]


@pytest.fixture
def taken_over(covered_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opening:
    """Return what opens a model in a worker that says what it is told to."""
    start = subprocess.Popen

    def opening(say: str) -> ModelSession:
        code = WORKER.replace("SAY", say)

        def start_another(words: list[str], **options: Any) -> Any:
            return start([words[0], "-c", code], **options)

        monkeypatch.setattr(subprocess, "Popen", start_another)
        return ModelSession(read_onnx(covered_path), execution=Execution("cpu", Limits(seconds=20)))

    return opening


@pytest.mark.parametrize(
    "say",
    [
        "print('hello' * 100, flush=True)",
        "sys.stdout.buffer.write(b'\\xff' * 8); sys.stdout.flush()",
        "write_message(sys.stdout.buffer, {})",
        "write_message(sys.stdout.buffer, {'inputs': 5, 'outputs': {}})",
        "write_message(sys.stdout.buffer, {'inputs': [[1]], 'outputs': []})",
        "write_message(sys.stdout.buffer, {'error': [1], 'message': {'a': 1}})",
        "write_message(sys.stdout.buffer, {'error': 'RefusedError', 'message': 7})",
        "write_message(sys.stdout.buffer, {'inputs': [['x', 'tensor(int8)', [1, 10**4000, 10**4000]]], 'outputs': []})",
        "write_message(sys.stdout.buffer, {'inputs': [['x', 'tensor(float)', [10**4000, 10**4000]]], 'outputs': []})",
        "write_message(sys.stdout.buffer, {'inputs': [['x', 5, [1, 2]]], 'outputs': []})",
        "write_message(sys.stdout.buffer, {'inputs': [['x', 'tensor(float)', [1, 2**60]]], 'outputs': []})",
        "write_message(sys.stdout.buffer, {'inputs': [['x', 'tensor(float)', [2**60, 2]]], 'outputs': []})",
        f"write_message(sys.stdout.buffer, {{'error': 'RefusedError', 'message': {EVIL!r}}})",
        f"write_message(sys.stdout.buffer, {{'inputs': [[{EVIL!r}, {EVIL!r}, [{EVIL!r}, 2]]] * 9, 'outputs': []}})",
        f"write_message(sys.stdout.buffer, {GOOD!r}); write_message(sys.stdout.buffer, {{}}, [])",
        f"write_message(sys.stdout.buffer, {GOOD!r}); write_message(sys.stdout.buffer, {{}}, [{EVIL!r}])",
    ],
)
def test_it_cannot_do_more_than_fail(taken_over: Opening, say: str) -> None:
    with limited_memory(), pytest.raises(OnnxfpError, match=r"base\.onnx") as raised:
        taken_over(say)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 5000


def test_its_words_steer_no_terminal(taken_over: Opening, caplog: pytest.LogCaptureFixture) -> None:
    described = {**GOOD, "providers": [EVIL, 5], "warning": EVIL, "holds": ["network", EVIL]}
    say = (
        f"write_message(sys.stdout.buffer, {described!r})\n"
        "import numpy; write_message(sys.stdout.buffer, {}, [numpy.zeros((1, 5), numpy.float32)])"
    )
    session = taken_over(say)
    assert all(word.isprintable() for word in session.providers)
    assert session.holds == ("network",)
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_a_frame_is_written_and_read_back() -> None:
    stream = io.BytesIO()
    values = [np.arange(6, dtype=np.float16).reshape(2, 3), np.array([True]), [{1: 0.5}], np.zeros((0, 4))]
    write_message(stream, {"a": 1}, values)
    stream.seek(0)
    head, read = read_message(stream)
    assert head == {"a": 1}
    assert [np.asarray(v).tolist() if isinstance(v, np.ndarray) else v for v in read] == [
        np.asarray(v).tolist() if isinstance(v, np.ndarray) else v for v in values
    ]
