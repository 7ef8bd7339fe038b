"""What one input may cost: a second of computing on a fast machine, and 500 MB."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxfp.errors import OnnxfpError

SECONDS = 1.0
MEMORY_BYTES = 500_000_000


_REFERENCE = b"[" + b",".join([b"[[[[]]]]"] * (2**20 // 9)) + b"]"
_REFERENCE_SECONDS = 0.1


class TooSlowError(AssertionError):
    """An input took more time than any may."""


@contextmanager
def limited_time(seconds: float = SECONDS) -> Iterator[None]:
    """Let a block compute for no longer than a fast machine would in ``seconds``.

    The processor time of this process counts, and what is over the limit is held against the time that the standard
    library takes here and now to read a mebibyte of JSON: a slow machine, or a busy one, is no finding.

    Raises:
        TooSlowError: It took longer, unless the block raised something else.
    """
    began = time.process_time()
    yield
    check_time(time.process_time() - began, seconds)


def check_time(taken: float, seconds: float) -> None:
    """Raise ``TooSlowError`` if ``taken`` seconds here are more than ``seconds`` of a fast machine."""
    if taken <= seconds:
        return
    began = time.process_time()
    json.loads(_REFERENCE)
    allowed = seconds * max(1.0, (time.process_time() - began) / _REFERENCE_SECONDS)
    if taken > allowed:
        raise TooSlowError(f"{taken:.2f} s, and no more than {allowed:.2f} are allowed on this machine")


@contextmanager
def limited_memory() -> Iterator[None]:
    """Let this process take no more than 500 MB beyond what it has; what wants more gets a ``MemoryError``.

    The kernel counts, so memory that C libraries take is counted too. Held on Linux.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    taken = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (int(taken.split()[1]) * 1024 + MEMORY_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def feed(run: Callable[[bytes], None], content: bytes) -> float:
    """Give an input to a target.

    Returns:
        Seconds of computing.

    Raises:
        TooSlowError: It took too long. Whatever else is raised is a finding too.
    """
    began = time.process_time()
    try:
        run(content)
    except OnnxfpError as error:
        if not str(error):
            raise
    seconds = time.process_time() - began
    check_time(seconds, SECONDS)
    return seconds
