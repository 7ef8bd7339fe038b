"""Tasks shared out among processes, so that a crash costs one of them and all cores have work."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onnxfp.evaluation.task import Observation, Task
from onnxfp.execution import Limits
from onnxfp.runtime.ipc import MessageError
from onnxfp.runtime.launch import WorkerProcess, take_worker
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
    slots = [_Slot(setup, max(1, _n_cores() // jobs)) for _ in range(jobs)]

    def serve(slot: _Slot) -> None:
        try:
            while not slot.is_ended:
                task = waiting.get_nowait()
                finished.put((task, slot.observe(task)))
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            finished.put(error)
        finally:
            slot.end()

    threads = [threading.Thread(target=serve, args=(slot,), daemon=True) for slot in slots]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            result = finished.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        for slot in slots:
            slot.end()
        for thread in threads:
            thread.join(timeout=10)


class _Slot:
    """Place for one worker at a time; another is started when it is needed after the last has died."""

    def __init__(self, setup: Setup, n_threads: int) -> None:
        self._setup, self._n_threads = setup, n_threads
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()
        self.is_ended = False

    def observe(self, task: Task) -> Observation:
        try:
            seen, _ = self._take().ask(asdict(task))
            return Observation.from_plain(seen)
        except (EOFError, OSError, MessageError) as error:
            return Observation(
                error=f"its process {self._bury()}" if not isinstance(error, MessageError) else str(error)
            )

    def end(self) -> None:
        with self._lock:
            self.is_ended = True
        self._bury(is_wanted=False)

    def _take(self) -> WorkerProcess:
        with self._lock:
            if self.is_ended:
                raise EOFError
            if self._worker is None:
                self._worker = self._start()
                fixed = [np.asarray(value) for value in self._setup.fixed.values()]
                self._worker.send(_describe(self._setup, self._n_threads), fixed)
            return self._worker

    def _start(self) -> WorkerProcess:
        return take_worker("onnxfp.evaluation.worker")

    def _bury(self, *, is_wanted: bool = True) -> str:
        """End the process and say how it ended."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is None:
            return "was ended"
        code = worker.wait(5) if is_wanted else None
        worker.end()
        if code is None:
            return "closed its connection"
        return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _describe(setup: Setup, n_threads: int) -> dict[str, Any]:
    """Return the first request; a worker starts in another folder, so that paths are absolute."""
    limits = None if setup.limits is None else [setup.limits.memory_bytes, setup.limits.seconds]
    return {
        "base": str(setup.base.absolute()),
        "bundle": str(setup.bundle.absolute()),
        "suite": setup.suite,
        "data": str(setup.data.absolute()) if setup.data is not None else "",
        "fixed": list(setup.fixed),
        "provider": setup.provider,
        "limits": limits,
        "n_threads": n_threads,
    }


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
