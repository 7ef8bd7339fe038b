"""Tasks shared out among processes, so that a crash costs one of them and all cores have work."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onnxfp.evaluation.task import Observation, Task
from onnxfp.execution import Limits
from onnxfp.runtime.ipc import MessageError, read_message, write_message
from onnxfp.runtime.local import Provider
from onnxfp.variants.catalogue import Suite


@dataclass(frozen=True, slots=True)
class Setup:
    """What every process needs to know.

    Attributes:
        base: The base model's file.
        bundle: The bundle's file.
        suite: Which variants there are.
        data: The user's inputs, or ``None``.
        fixed: Values of the base's other graph inputs.
        provider: Where onnxruntime runs.
        limits: What each model may take; ``None`` opens them in the worker's own process.
    """

    base: Path
    bundle: Path
    suite: Suite
    data: Path | None = None
    fixed: Mapping[str, ArrayLike] = field(default_factory=dict)
    provider: Provider = "auto"
    limits: Limits | None = None


def choose_jobs() -> int:
    """Return how many processes work at once: one a core, four at most, as each holds the data and a model or two."""
    return max(1, min(4, _n_cores()))


def run_tasks(setup: Setup, tasks: Sequence[Task], jobs: int) -> Generator[tuple[Task, Observation]]:
    """Yield every task with its observation, in the order in which they end.

    However the caller leaves (an error, Ctrl-C, a generator that is closed), the processes are ended.

    Args:
        setup: What every process needs to know.
        tasks: What is to be done.
        jobs: Processes at once, at least 1.
    """
    waiting, finished = queue.SimpleQueue[Task](), queue.SimpleQueue[tuple[Task, Observation] | BaseException]()
    for task in tasks:
        waiting.put(task)
    jobs = min(jobs, len(tasks))
    workers = [_Worker(setup, max(1, _n_cores() // jobs)) for _ in range(jobs)]

    def serve(worker: _Worker) -> None:
        try:
            while not worker.is_ended:
                task = waiting.get_nowait()
                finished.put((task, worker.observe(task)))
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            finished.put(error)
        finally:
            worker.end()

    threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            result = finished.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        for worker in workers:
            worker.end()
        for thread in threads:
            thread.join(timeout=10)


class _Worker:
    """One process at a time; another is started when it is needed after the last has died."""

    def __init__(self, setup: Setup, n_threads: int) -> None:
        self._setup, self._n_threads = setup, n_threads
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.is_ended = False

    def observe(self, task: Task) -> Observation:
        try:
            requests, answers = self._pipes()
            write_message(requests, asdict(task))
            seen, _ = read_message(answers)
            return Observation(**seen)
        except (EOFError, OSError, MessageError) as error:
            return Observation(
                error=f"its process {self._bury()}" if not isinstance(error, MessageError) else str(error)
            )

    def end(self) -> None:
        with self._lock:
            self.is_ended = True
        self._bury(is_wanted=False)

    def _pipes(self) -> tuple[Any, Any]:
        with self._lock:
            if self.is_ended:
                raise EOFError
            if self._child is None:
                self._child = self._start()
            return self._child.stdin, self._child.stdout

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "onnxfp.evaluation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C is for the parent, which then ends the child.
            start_new_session=True,
        )
        setup = self._setup
        limits = None if setup.limits is None else [setup.limits.memory_bytes, setup.limits.seconds]
        head = {
            "base": str(setup.base.absolute()),
            "bundle": str(setup.bundle.absolute()),
            "suite": setup.suite,
            "data": str(setup.data.absolute()) if setup.data is not None else "",
            "fixed": list(setup.fixed),
            "provider": setup.provider,
            "limits": limits,
            "n_threads": self._n_threads,
        }
        write_message(child.stdin, head, [np.asarray(value) for value in setup.fixed.values()])  # type: ignore[arg-type]
        return child

    def _bury(self, *, is_wanted: bool = True) -> str:
        """End the process and say how it ended."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return "was ended"
        code = None
        if is_wanted:
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(timeout=5)
        child.kill()
        child.wait(timeout=10)
        for stream in (child.stdin, child.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        if code is None:
            return "closed its connection"
        return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
