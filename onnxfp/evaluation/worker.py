"""A process that makes variants and asks them: ``python -m onnxfp.evaluation.worker``.

It takes tasks on stdin and answers on stdout, in the frames of :mod:`onnxfp.runtime.ipc`, until stdin closes. What a
library does to it (a crash, all memory taken) costs the task at hand; its parent starts another.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onnxfp.bundle.reader import read_bundle
from onnxfp.evaluation.task import Task
from onnxfp.evaluation.task_runner import TaskRunner
from onnxfp.evaluation.user_data import read_data
from onnxfp.execution import Limits
from onnxfp.runtime.ipc import read_message, write_message
from onnxfp.runtime.launch import take_own_streams
from onnxfp.runtime.sandbox import tie_to_parent


def main() -> None:
    """Read how to work from the first frame, then tasks until there are no more."""
    requests, answers = take_own_streams()
    tie_to_parent()
    # They would be about the insides of libraries, and nobody reads them here.
    warnings.simplefilter("ignore")
    head, arrays = read_message(requests)
    runner = open_runner(head, arrays)
    _limit_threads(head["n_threads"])
    while True:
        try:
            task, _ = read_message(requests)
        except EOFError:
            return
        write_message(answers, asdict(runner.run(Task(**task))))


def open_runner(head: dict[str, Any], fixed: list[Any]) -> TaskRunner:
    """Return the runner that the first frame describes.

    Args:
        head: Paths and settings.
        fixed: Values of the base's other graph inputs, in the order of ``head["fixed"]``.
    """
    fingerprint = read_bundle(head["bundle"])
    manifest = fingerprint.manifest
    limits = Limits(*head["limits"]) if head["limits"] is not None else None
    return TaskRunner(
        Path(head["base"]),
        fingerprint,
        head["suite"],
        data=read_data(Path(head["data"]), manifest.base, manifest.grid) if head["data"] else None,
        fixed=dict(zip(head["fixed"], fixed, strict=True)),
        provider=head["provider"],
        limits=limits,
    )


def _limit_threads(n_threads: int) -> None:
    # torch reads it when it is imported, which happens with the first training.
    os.environ["OMP_NUM_THREADS"] = str(n_threads)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
