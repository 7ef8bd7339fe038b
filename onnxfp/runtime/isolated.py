"""A model that is open in a process of its own, with limits, so that it can harm nothing but its own answer.

onnxruntime is a large C++ program that parses what a stranger wrote. A crash, a hang or an allocation of terabytes in
it ends the child, and here becomes an error that names the cause. The child starts in an empty folder of its own, with
an environment that holds no secrets.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import IO, Any

from numpy.typing import NDArray

from onnxfp.execution import Limits
from onnxfp.model.tensor_info import Tensor
from onnxfp.runtime.ipc import MessageError, read_message, write_message
from onnxfp.runtime.local import NoCudaError, Provider, RefusedError
from onnxfp.runtime.process import may_have_gpu, take_child

HOLDS = ("process", "time", "memory", "network")
"""What a model can be kept from: this process, endless time, all memory, the network."""

_COPIES_OF_A_MODEL = 8
_MAX_WORDS = 16
# As onnxruntime, NumPy and the C++ library say it.
_NO_MEMORY = re.compile(r"bad_alloc|bad array new length|allocate memory|[Uu]nable to allocate|MemoryError")
# Scores of the largest batch; no classifier needs a hundredth of it.
_MAX_ANSWER_BYTES = 2**30


class LimitReachedError(RefusedError):
    """The child came to its end before it answered: a crash, or more time or memory than is allowed."""


class IsolatedRuntime:
    """A model that is open in a child process. See :class:`~onnxfp.runtime.local.Runtime`.

    Args:
        source: The file's absolute path, or its content.
        provider: ``auto`` takes CUDA where it works, else the CPU; ``cuda`` demands it.
        optimise: Whether onnxruntime may fuse nodes.
        n_bytes: Size of the model with its external data.
        limits: What it may take.

    Raises:
        RefusedError: onnxruntime refuses the model, or the child ended while it opened it.
        NoCudaError: CUDA was demanded and is not available.
    """

    def __init__(
        self, source: str | bytes, provider: Provider, *, optimise: bool, n_bytes: int, limits: Limits
    ) -> None:
        self._limits = limits
        self._memory_bytes = limits.memory_bytes + _COPIES_OF_A_MODEL * n_bytes
        # A GPU's driver maps more than any model needs, and checks who opens it.
        has_gpu = provider != "cpu" and may_have_gpu()
        child = take_child(*([] if has_gpu else ["confined"]))
        self._child = child
        self._end = weakref.finalize(self, child.end)
        head = {
            "path": source if isinstance(source, str) else "",
            "provider": provider,
            "optimise": optimise,
            "memory_bytes": 0 if has_gpu else self._memory_bytes,
            "cpu_seconds": int(limits.seconds * (os.cpu_count() or 1)) + 1,
        }
        described, _ = self._exchange(head, [] if isinstance(source, str) else [_as_array(source)], "opening it")
        self.inputs = _tensors(described, "inputs")
        self.outputs = _tensors(described, "outputs")
        self.providers = _words(described, "providers")
        self.warning = _printable(described.get("warning", ""))
        self.holds = tuple(word for word in HOLDS if word in _words(described, "holds"))

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the values of the outputs ``names``."""
        request = {"names": list(names), "feeds": list(feeds)}
        _, values = self._exchange(request, list(feeds.values()), "running it")
        if len(values) != len(names):
            raise RefusedError(f"its process gave {len(values)} values for {len(names)} outputs")
        return values

    def close(self) -> None:
        """End the child; it ends by itself when this object is collected."""
        self._end()

    def _exchange(self, head: dict[str, Any], values: Sequence[Any], doing: str) -> tuple[dict[str, Any], list[Any]]:
        """Send a request and return the answer, or say what became of the child."""
        requests, answers = self._child.process.stdin, self._child.process.stdout
        assert requests is not None  # noqa: S101 - both were asked for as pipes
        assert answers is not None  # noqa: S101
        if not self._end.alive:
            raise RefusedError("its process has ended")
        future: Future[tuple[dict[str, Any], list[Any]]] = Future()
        # A daemon: where a process that has left the group keeps the pipe open, this one can end all the same.
        listener = threading.Thread(target=_ask, args=(future, requests, answers, head, values), daemon=True)
        self._child.listener = listener
        listener.start()
        try:
            answer, results = future.result(self._limits.seconds)
        except FutureTimeoutError:
            self.close()
            seconds = f"{self._limits.seconds:g} s"
            raise LimitReachedError(f"{doing} took longer than the {seconds} that are allowed") from None
        except (EOFError, OSError):
            reason = self._cause_of_death()
            self.close()
            raise LimitReachedError(f"{doing} {reason}") from None
        except (MessageError, MemoryError) as error:
            self.close()
            raise RefusedError(f"{doing} gave no readable answer: {str(error)[:200]!a}") from error
        except BaseException:
            self.close()
            raise
        if "error" in answer:
            if answer["error"] == NoCudaError.__name__:
                raise NoCudaError(_printable(answer.get("message")))
            message = _printable(answer.get("message"))
            if _NO_MEMORY.search(message):
                allowed = f"{self._memory_bytes / 2**30:.1f} GiB of memory are allowed"
                raise LimitReachedError(
                    f"{doing} took more memory than there is, or than may be: {allowed} ({message})"
                )
            raise RefusedError(message)
        return answer, results

    def _cause_of_death(self) -> str:
        try:
            code = self._child.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            if name == "SIGXCPU":
                return "took more processor time than is allowed"
            memory = f"; {self._memory_bytes / 2**30:.1f} GiB of memory are allowed" if name != "SIGSEGV" else ""
            return f"crashed onnxruntime ({name}{memory})"
        return f"ended its process with code {code}"


def _ask(
    future: Future[tuple[dict[str, Any], list[Any]]],
    requests: IO[bytes],
    answers: IO[bytes],
    head: dict[str, Any],
    values: Sequence[Any],
) -> None:
    try:
        write_message(requests, head, values)
        future.set_result(read_message(answers, _MAX_ANSWER_BYTES))
    except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
        future.set_exception(error)
    finally:
        # The error holds this frame, which would hold the future, which holds the error.
        del future


def _as_array(content: bytes) -> NDArray[Any]:
    import numpy as np

    return np.frombuffer(content, np.uint8)


def _tensors(described: Mapping[str, Any], side: str) -> tuple[Tensor, ...]:
    try:
        return tuple(
            Tensor(_text(name), _text(kind), tuple(map(_axis, shape))) for name, kind, shape in described[side]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError("its process described no inputs and outputs") from error


def _text(value: object) -> str:
    # Not made into one: of lists in lists, str() goes deeper than it can.
    if not isinstance(value, str):
        raise TypeError
    return value


def _axis(value: object) -> int | str | None:
    """Return an axis as onnxruntime may give it; a longer number could not even be printed."""
    return value if isinstance(value, str) or (type(value) is int and abs(value) < 2**63) else None


def _words(described: Mapping[str, Any], name: str) -> tuple[str, ...]:
    words = described.get(name)
    return tuple(map(_printable, words[:_MAX_WORDS])) if isinstance(words, list) else ()


def _printable(message: object) -> str:
    """Return the child's words without what could steer a terminal; what is no text says nothing."""
    text = message[:400] if isinstance(message, str) else "?"
    return "".join(letter if letter.isprintable() else "?" for letter in text)
