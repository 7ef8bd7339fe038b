"""Starting the process in which a model will be open, if need be before anybody knows which.

A child takes as long to import NumPy and onnxruntime as its parent takes to read and check everything else, so a
command that will open a model starts one first. This module imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What onnxruntime, CUDA and Python themselves read.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "VIRTUAL_ENV")
_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "ORT_")
# Seconds in which a listener notices that nobody is left to answer.
_PATIENCE = 2.0


@dataclass(slots=True)
class Child:
    """A process that waits for its first request, the empty folder it runs in, and who waits for its answer."""

    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    listener: threading.Thread | None = None

    def end(self) -> None:
        """End the process and what it has started, whatever they are doing, and remove its folder."""
        # It leads a group. One of the others would hold the pipe open, and keep the listener waiting.
        if os.name == "posix":
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(OSError):
            self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        if self.listener is not None:
            self.listener.join(_PATIENCE)
        # Closing a stream waits for whoever uses it; if a process has left the group, that may be for ever.
        if self.listener is None or not self.listener.is_alive():
            for stream in (self.process.stdin, self.process.stdout):
                with suppress(OSError, ValueError):
                    if stream is not None:
                        stream.close()
        self.folder.cleanup()


# Children that were started ahead, by the words they were started with.
_waiting: dict[tuple[str, ...], Child] = {}


def start_ahead(*words: str) -> None:
    """Start a child for the next model that is opened with the same words; it ends with this process if none is."""
    if not _waiting:
        atexit.register(_end_unused)
    if words not in _waiting:
        _waiting[words] = _start(words)


def take_child(*words: str) -> Child:
    """Return a child that waits for its first request: the one started ahead, or a new one.

    Args:
        words: What the worker is told; see :func:`onnxfp.runtime.worker.main`.
    """
    return _waiting.pop(words, None) or _start(words)


def may_have_gpu() -> bool:
    """Whether an NVIDIA driver is about; asked without loading it, which takes longer than opening a model."""
    return os.name == "nt" or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def _start(words: tuple[str, ...]) -> Child:
    folder = tempfile.TemporaryDirectory(prefix="onnxfp-", ignore_cleanup_errors=True)
    process = subprocess.Popen(  # noqa: S603 - this interpreter, with words of our own
        [sys.executable, "-P", "-m", "onnxfp.runtime.worker", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder.name,
        env=_environment(folder.name),
        # Ctrl-C is for the parent, which then ends the child.
        start_new_session=True,
    )
    return Child(process, folder)


def _end_unused() -> None:
    while _waiting:
        _waiting.popitem()[1].end()


def _environment(folder: str) -> dict[str, str]:
    """Return what the child needs of the environment: no tokens, no keys, no passphrases."""
    kept = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith(_PREFIXES)}
    # So that the child finds what the parent found, from the empty folder it starts in.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    return {**kept, "PYTHONPATH": path, "HOME": folder, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
