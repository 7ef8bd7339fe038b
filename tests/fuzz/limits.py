"""What one input may cost: a second of computing and 500 MB."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxfp.errors import OnnxfpError

SECONDS = 1.0
MEMORY_BYTES = 500_000_000


class TooSlowError(Exception):
    """An input took more time than any may."""


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
    # Of this process: a busy machine is no finding.
    began = time.process_time()
    try:
        run(content)
    except OnnxfpError as error:
        if not str(error):
            raise
    seconds = time.process_time() - began
    if seconds > SECONDS:
        raise TooSlowError(f"{seconds:.1f} s for {len(content)} bytes")
    return seconds
