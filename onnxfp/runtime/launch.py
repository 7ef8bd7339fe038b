"""The one launcher of worker processes: started, asked and ended here, if need be before their work is known.

A worker is a module of this package that reads requests on stdin and answers on stdout. It starts in an empty folder of
its own, as the leader of a process group, with an environment that holds no secrets. It takes as long to import NumPy
and onnxruntime as its parent takes to read and check everything else, so a command that will open a model starts one
first. This module imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# Read by onnxruntime, torch, CUDA and Python themselves.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "VIRTUAL_ENV")
_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "ORT_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "PYTORCH_")
# Seconds in which a listener notices that nobody is left to answer.
_PATIENCE = 2.0

Answer = tuple[dict[str, Any], list[Any]]
"""A JSON object and values, see :mod:`onnxfp.runtime.ipc`."""


@dataclass(slots=True)
class WorkerProcess:
    """A running worker.

    Attributes:
        process: The process, with pipes to its stdin and from its stdout.
        folder: The empty folder in which it started.
        listener: The thread that waits for its answer, or ``None`` before the first request.
    """

    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    listener: threading.Thread | None = None

    def send(self, head: dict[str, Any], values: Sequence[Any] = ()) -> None:
        """Send a request that has no answer.

        Raises:
            OSError: The worker has closed the pipe.
        """
        from onnxfp.runtime.ipc import write_message

        write_message(self._pipes()[0], head, values)

    def ask(
        self,
        head: dict[str, Any],
        values: Sequence[Any] = (),
        *,
        max_seconds: float | None = None,
        max_bytes: int | None = None,
    ) -> Answer:
        """Send a request and wait for the answer.

        Args:
            head: Plain values of the request.
            values: Its arrays, or values that JSON holds.
            max_seconds: Longest wait; ``None`` sets no limit.
            max_bytes: Most bytes of the answer's arrays together; ``None`` sets the limit of every message.

        Raises:
            TimeoutError: There was no answer in time.
            EOFError: The worker has closed the pipe.
            OSError: The same, seen while the request was written.
            MessageError: The answer is not a message.
        """
        future: Future[Answer] = Future()
        # A daemon: where a process that has left the group keeps the pipe open, this one can end all the same.
        listener = threading.Thread(target=_listen, args=(future, *self._pipes(), head, values, max_bytes), daemon=True)
        self.listener = listener
        listener.start()
        return future.result(max_seconds)

    def wait(self, max_seconds: float) -> int | None:
        """Return the exit code, negative for a signal, or ``None`` where the process still runs after some seconds."""
        try:
            return self.process.wait(timeout=max_seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """End the process and the others of its group, whatever they are doing, and remove its folder."""
        # It leads a group. One of the others would hold the pipe open, and keep the listener waiting.
        if os.name == "posix":
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(OSError):
            self.process.kill()
        self.wait(10)
        if self.listener is not None:
            self.listener.join(_PATIENCE)
        # Closing a stream waits for whoever uses it; if a process has left the group, that may be for ever.
        if self.listener is None or not self.listener.is_alive():
            for stream in (self.process.stdin, self.process.stdout):
                with suppress(OSError, ValueError):
                    if stream is not None:
                        stream.close()
        self.folder.cleanup()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None  # noqa: S101 - both were asked for as pipes
        assert answers is not None  # noqa: S101
        return requests, answers


# Workers that were started ahead, by the words they were started with.
_waiting: dict[tuple[str, ...], WorkerProcess] = {}


def start_ahead(module: str, *words: str) -> None:
    """Start a worker for the next :func:`take_worker` with the same words; it ends with this process if none comes.

    Args:
        module: Module that the worker runs.
        words: Its command line.
    """
    if not _waiting:
        atexit.register(_end_unused)
    if (module, *words) not in _waiting:
        _waiting[module, *words] = _start(module, words)


def take_worker(module: str, *words: str) -> WorkerProcess:
    """Return a worker that waits for its first request: the one started ahead, or a new one.

    Args:
        module: Module that the worker runs.
        words: Its command line.
    """
    return _waiting.pop((module, *words), None) or _start(module, words)


def choose_model_worker(provider: str) -> tuple[str, ...]:
    """Return module and words of the worker in which a stranger's model is opened.

    Args:
        provider: ``cpu``, or any other where CUDA may be used.

    Returns:
        The module, followed by ``confined`` if everything shall be given up. The driver of a GPU needs some of it.
    """
    return ("onnxfp.runtime.worker", *([] if provider != "cpu" and _may_have_gpu() else ["confined"]))


def take_own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return the stdin and stdout of a worker, called in the worker, and leave libraries nothing to print to."""
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    return sys.stdin.buffer, answers


def _may_have_gpu() -> bool:
    """Whether an NVIDIA driver is about; asked without loading it, which takes longer than opening a model."""
    return os.name == "nt" or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def _start(module: str, words: Sequence[str]) -> WorkerProcess:
    folder = tempfile.TemporaryDirectory(prefix="onnxfp-", ignore_cleanup_errors=True)
    process = subprocess.Popen(  # noqa: S603 - this interpreter, with words of our own
        [sys.executable, "-P", "-m", module, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder.name,
        env=_environment(folder.name),
        # Ctrl-C is for the parent, which then ends the worker.
        start_new_session=True,
    )
    return WorkerProcess(process, folder)


def _listen(
    future: Future[Answer],
    requests: IO[bytes],
    answers: IO[bytes],
    head: dict[str, Any],
    values: Sequence[Any],
    max_bytes: int | None,
) -> None:
    from onnxfp.runtime.ipc import MAX_VALUES_BYTES, read_message, write_message

    try:
        write_message(requests, head, values)
        future.set_result(read_message(answers, MAX_VALUES_BYTES if max_bytes is None else max_bytes))
    except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
        future.set_exception(error)
    finally:
        # The error holds this frame, which would hold the future, which holds the error.
        del future


def _end_unused() -> None:
    while _waiting:
        _waiting.popitem()[1].end()


def _environment(folder: str) -> dict[str, str]:
    """Return what a worker needs of the environment: no tokens, no keys, no passphrases."""
    kept = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith(_PREFIXES)}
    # So that the worker finds what the parent found, from the empty folder it starts in.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    return {**kept, "PYTHONPATH": path, "HOME": folder, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
